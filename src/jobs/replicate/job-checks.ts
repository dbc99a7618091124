/** What must be true before a replication changes anything. Pure. */

import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import type { Publication, ServerFacts, SlotState } from '../../databases/postgres/replication-setup.ts';
import type { SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../errors.ts';
import type { Manifest, ManifestTable } from './manifest.ts';
import type { ReplicateSettings } from './settings.ts';
import { caseProblem, tableProblem } from './table-problems.ts';

/** @throws CHECK_FAILED for tables that cannot be replicated, or none */
export function checkTables(tables: readonly SourceTable[], settings: ReplicateSettings, url: string): void {
  if (tables.length === 0)
    fail(`no table of ${url} is chosen by ${settings.tables.join(', ')}`, 'choose some with --tables');
  const follows = settings.mode !== 'full-load';
  for (const table of tables) {
    const problem = tableProblem(table, settings.timestampColumn, follows);
    if (problem !== undefined) fail(problem.what, problem.fix);
  }
  const alike = caseProblem(tables);
  if (alike !== undefined) fail(alike.what, alike.fix);
}

/** @throws CHECK_FAILED where the slot and the files do not belong together any more */
export function checkCheckpoint(
  { systemId, databaseOid, toLsn, epoch }: Manifest,
  about: {
    readonly settings: ReplicateSettings;
    readonly url: string;
    readonly slotName: string;
    readonly facts: ServerFacts;
    readonly slot: SlotState | undefined;
  },
): void {
  const { settings, url, slotName, facts, slot } = about;
  const elsewhere = 'begin a job of another name or under another prefix, which loads everything again';
  if (systemId !== facts.systemId) fail(`the files are of another server than ${url}`, elsewhere);
  if (settings.mode === 'full-load') {
    fail(
      `the job ${settings.name} has loaded already (epoch ${epoch})`,
      'give another --name or another prefix',
    );
  }
  if (slot?.elsewhere !== undefined) {
    fail(
      `the slot ${slotName} is of the database ${slot.elsewhere}, not of ${url}`,
      'name that database with --from, or give another --name or prefix',
    );
  }
  if (databaseOid !== undefined && databaseOid !== facts.databaseOid)
    fail(
      `the files are of another database of the server than ${url}`,
      `name that database with --from, or ${elsewhere}`,
    );
  if (settings.resync?.includes('*.*') === true) return;
  const again = EVERYTHING_AGAIN;
  if (slot === undefined)
    fail(`the replication slot ${slotName} is gone: changes since ${toLsn} are lost`, again);
  if (slot!.lost) fail(`the server has given up the log that the slot ${slotName} needs`, again);
  if (slot!.walLsn < parseLsn(toLsn)) {
    fail(
      `the log of the server ends at ${formatLsn(slot!.walLsn)}, before the files at ${toLsn}: it was set back`,
      again,
    );
  }
  const confirmed = slot!.confirmedLsn;
  if (confirmed !== undefined && confirmed > parseLsn(toLsn)) {
    fail(
      `the slot ${slotName} is at ${formatLsn(confirmed)}, ahead of the files at ${toLsn}: changes between are lost`,
      again,
    );
  }
}

/** A checkpoint that knows of its database and publication, also where it was written before manifests said so. */
export function withSource(checkpoint: Manifest, databaseOid: number, publication: Publication): Manifest {
  return {
    ...checkpoint,
    databaseOid: checkpoint.databaseOid ?? databaseOid,
    publicationOid: checkpoint.publicationOid ?? publication.oid,
    tables: checkpoint.tables.map((table) => {
      const publishedAs = table.publishedAs ?? publication.entries.get(table.oid);
      return publishedAs === undefined ? table : { ...table, publishedAs };
    }),
  };
}

/**
 * Whoever takes a table out of the publication takes its changes out of the stream, also where it is put in again.
 * @param published undefined where the publication is gone
 * @param present oids of the tables of the job that the database still has
 */
export function checkPublication(
  publication: string,
  { tables, publicationOid }: Pick<Manifest, 'tables' | 'publicationOid'>,
  published: Publication | undefined,
  present: ReadonlySet<number>,
): void {
  if (published === undefined)
    fail(`the publication ${publication} is gone: changes may be lost`, EVERYTHING_AGAIN);
  if (publicationOid !== undefined && published!.oid !== publicationOid)
    fail(`the publication ${publication} was dropped and made again: changes may be lost`, EVERYTHING_AGAIN);
  for (const { oid, untilLsn, publishedAs, schema, name } of tables) {
    if (untilLsn !== undefined || !present.has(oid)) continue;
    const entry = published!.entries.get(oid);
    const again = `--resync '${schema}.${name}' loads it again`;
    if (entry === undefined)
      fail(
        `the publication ${publication} has no ${schema}.${name} any more, or not all of its changes: some may be lost`,
        again,
      );
    if (publishedAs !== undefined && publishedAs !== entry)
      fail(
        `${schema}.${name} was taken out of the publication ${publication} and put in again: changes between may be lost`,
        again,
      );
  }
}

/**
 * Rows that a table of the job had when it became a partition of another one come with no change of that one.
 * @param roots of the tables that left, by their oids
 * @param stay tables of the job that are not loaded now
 */
export function checkAttached(
  left: readonly ManifestTable[],
  roots: ReadonlyMap<number, number>,
  stay: readonly SourceTable[],
): void {
  for (const { oid, schema, name } of left) {
    const root = stay.find((table) => table.oid === roots.get(oid));
    if (root === undefined) continue;
    fail(
      `${schema}.${name} is a partition of ${root.schema}.${root.name} now, whose files have not the rows that it had`,
      `--resync '${root.schema}.${root.name}' loads that again, with them; the files of ${schema}.${name} stay`,
    );
  }
}

export function otherLog(url: string, confirmed: Lsn): LongshoreError {
  return new LongshoreError(
    'CHECK_FAILED',
    `the log of ${url} behind ${formatLsn(confirmed)} is not the one of the files: the server was set back to a state of before`,
    { hint: EVERYTHING_AGAIN },
  );
}

const EVERYTHING_AGAIN = "`--resync '*.*'` loads every table again, and goes on from there";

function fail(what: string, hint: string): never {
  throw new LongshoreError('CHECK_FAILED', what, { hint });
}
