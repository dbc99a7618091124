/** What takes the rows that manifests name further, out of the files. */

import type { SourceTable } from '../../databases/postgres/table-catalogue.ts';
import type { Manifest } from './manifest.ts';
import type { TableName } from './table-filter.ts';

/** Calls come one after another. */
export interface ManifestSink {
  /**
   * Before the first load of a job: whether it can take these tables.
   * @throws CHECK_FAILED
   */
  check(tables: readonly SourceTable[]): Promise<void>;
  /**
   * Takes every manifest that a process before this one wrote and did not take. Called before anything else is done.
   * @param newest of the job, where it has one
   * @returns how many it took
   * @throws CHECK_FAILED where it has taken what the job has not written
   */
  catchUp(newest: Manifest | undefined): Promise<number>;
  /**
   * Takes a manifest that was just written; durable when it resolves. A manifest that was taken is not taken again. The
   * files that it names may be gone afterwards.
   */
  take(manifest: Manifest): Promise<void>;
  /** Whether the table has to be loaded again, since its changes do not tell what became of its rows. */
  needsAgain(table: TableName): boolean;
  /** Whether there is such a table. */
  readonly needsSome: boolean;
}
