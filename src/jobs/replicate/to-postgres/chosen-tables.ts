/** The tables of the source that a job replicates: those that are chosen, and can be. */

import { listTables, readTables, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../../errors.ts';
import { tableFilter, unmatched } from '../table-filter.ts';
import type { Job } from './job.ts';
import { fail, OWN_SCHEMA, tableProblemHere } from './target-checks.ts';
import type { JobTable, TargetState } from './target-state.ts';

interface Named {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

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
    const [absent] = unmatched(settings.tables, all);
    if (absent !== undefined)
      throw new LongshoreError('TABLE_NOT_FOUND', `${sides.source.name} has no table ${absent}`, {
        hint: 'name tables as schema.table; capitals count',
      });
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
    const members = membersOf(tables);
    return (
      now.some((table) => !members.some((one) => isSame(one, table))) ||
      members.some((one) => !now.some((table) => isSame(one, table)))
    );
  }

  #isChosen(table: Named): boolean {
    return table.schema !== OWN_SCHEMA && tableFilter(this.#job.settings.tables)(table);
  }
}

/** Tables that have not left the job. */
export function membersOf(tables: readonly JobTable[]): JobTable[] {
  return tables.filter(({ untilLsn }) => untilLsn === undefined);
}

export function isSame(one: Named, other: Named): boolean {
  return one.oid === other.oid && one.schema === other.schema && one.name === other.name;
}
