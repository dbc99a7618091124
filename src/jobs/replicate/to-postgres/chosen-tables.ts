/** The tables of the source that a job replicates: those that are chosen, and can be. */

import { listTables, readTables, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { addedTables, removedTables } from '../membership.ts';
import { checkNamed, type TableName, tableFilter } from '../table-filter.ts';
import type { Job } from './job.ts';
import { fail, OWN_SCHEMA, tableProblemHere } from './target-checks.ts';
import type { TargetState } from './target-state.ts';

export class ChosenTables {
  readonly #job: Job;
  /** Oids of tables that appeared and cannot be replicated; each is told once. */
  readonly #unfit = new Set<number>();

  constructor(job: Job) {
    this.#job = job;
  }

  /** @throws TABLE_NOT_FOUND where somebody named a table that is not there */
  async read(): Promise<SourceTable[]> {
    const { settings, sides, control } = this.#job;
    const all = await sides.within('source', 'list its tables', () => readTables(control.client));
    checkNamed(settings.tables, all, sides.source.name);
    return all.filter((table) => this.#isChosen(table));
  }

  /** Those that can be replicated: tables that came into a job that runs must not keep it from running. */
  async readFit({ tables }: TargetState): Promise<SourceTable[]> {
    const { follows, emit } = this.#job;
    return (await this.read()).filter((table) => {
      const problem = tableProblemHere(table, follows);
      if (problem === undefined) return true;
      if (tables.some(({ oid }) => oid === table.oid)) fail(problem.what, problem.fix);
      if (!this.#unfit.has(table.oid))
        emit({ type: 'notice', text: `left out: ${problem.what} → ${problem.fix}` });
      this.#unfit.add(table.oid);
      return false;
    });
  }

  /** Whether tables were made, renamed or dropped that make others the tables of the job. */
  async changed({ tables }: TargetState): Promise<boolean> {
    const { sides, control } = this.#job;
    const now = (await sides.within('source', 'list its tables', () => listTables(control.client))).filter(
      (table) => this.#isChosen(table) && !this.#unfit.has(table.oid),
    );
    return addedTables(tables, now).length > 0 || removedTables(tables, now).length > 0;
  }

  #isChosen(table: TableName): boolean {
    return table.schema !== OWN_SCHEMA && tableFilter(this.#job.settings.tables)(table);
  }
}
