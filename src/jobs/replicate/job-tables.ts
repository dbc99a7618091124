/** Which tables of the source a job replicates, now: those that are chosen and fit, as the database has them. */

import type { Problem } from '../../databases/postgres/replication-setup.ts';
import { listTables, readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../errors.ts';
import type { LakeJob } from './lake-job.ts';
import type { Manifest } from './manifest.ts';
import { addedTables, removedTables } from './membership.ts';
import { checkNamed, tableFilter } from './table-filter.ts';
import { distinctTables, tableProblem } from './table-problems.ts';

export class JobTables {
  readonly #job: LakeJob;
  /** Oids of tables that appeared and cannot be replicated; each is told once. */
  readonly #unfit = new Set<number>();

  constructor(job: LakeJob) {
    this.#job = job;
  }

  /** @throws TABLE_NOT_FOUND where a pattern without a wildcard matches none */
  async chosen(): Promise<SourceTable[]> {
    const { url, settings } = this.#job;
    const all = await this.#job.asked('list its tables', (client) => readTables(client));
    checkNamed([...settings.tables, ...(settings.resync ?? [])], all, url.name);
    return all.filter(tableFilter(settings.tables));
  }

  /**
   * Those that are chosen and can be replicated beside one another; what the job has comes first.
   * @throws CHECK_FAILED where a table of the job cannot be replicated any more
   */
  async fit(checkpoint: Manifest): Promise<SourceTable[]> {
    const fit = (await this.chosen()).filter((table) => this.#isFit(table, checkpoint));
    const added = new Set(addedTables(checkpoint.tables, fit));
    const [members, others] = [fit.filter((table) => !added.has(table)), [...added]];
    const distinct = new Set(distinctTables([...members, ...others], (...left) => this.#leaveOut(...left)));
    return fit.filter((table) => distinct.has(table));
  }

  /** Whether tables were made, renamed or dropped that make others the tables of the job. */
  async changed({ tables }: Manifest): Promise<boolean> {
    const chosen = tableFilter(this.#job.settings.tables);
    const now = (await this.#job.asked('list its tables', (client) => listTables(client)))
      .filter(chosen)
      .filter(({ oid }) => !this.#unfit.has(oid));
    return addedTables(tables, now).length > 0 || removedTables(tables, now).length > 0;
  }

  /** Tables that came into a job that runs must not keep it from running. */
  #isFit(table: SourceTable, { tables }: Manifest): boolean {
    const { settings, follows } = this.#job;
    const problem = tableProblem(table, settings.timestampColumn, follows);
    if (problem === undefined) return true;
    if (tables.some(({ oid }) => oid === table.oid))
      throw new LongshoreError('CHECK_FAILED', problem.what, { hint: problem.fix });
    this.#leaveOut(table, problem);
    return false;
  }

  /** Told once. */
  #leaveOut({ oid }: SourceTable, { what, fix }: Problem): void {
    if (!this.#unfit.has(oid)) this.#job.notice(`left out: ${what} → ${fix}`);
    this.#unfit.add(oid);
  }
}
