/**
 * An epoch under construction, and how it becomes durable.
 *
 * Steps of landing, and what a crash after each leaves: files complete in the temporary folder (nothing) → `pending`
 * written, with the range and the names (the next start makes exactly this epoch again) → files uploaded (a reader that
 * lists files sees changes early, each once) → manifest written, if it is absent (the epoch is part of the replica) →
 * confirmed to the server by the caller.
 */

import { rm } from 'node:fs/promises';
import { formatLsn, type Lsn } from '../../databases/postgres/lsn.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import { deleteKeys } from '../../stores/list-keys.ts';
import type { ChangeTable, ChangeTableFile } from './change-table.ts';
import { type LoadTarget, upload } from './full-load.ts';
import type { Transaction } from './landing.ts';
import { changeFileName, datePartition, pendingKey, tableFolder } from './layout.ts';
import {
  type Manifest,
  type ManifestEvent,
  type ManifestFile,
  type ManifestPlace,
  type ManifestTable,
  putJson,
  readObject,
  writeManifest,
} from './manifest.ts';
import { manifestColumns, schemaIdOf } from './schema-id.ts';
import { counted } from './statistics.ts';

/** What is about to be landed. */
export interface Pending {
  readonly epoch: number;
  readonly toLsn: string;
  /** Keys below the prefix of the job; also those of attempts before that this one does not make. */
  readonly files: readonly string[];
}

export interface EpochFacts {
  /** The newest manifest, which this one follows. */
  readonly before: Manifest;
  readonly toLsn: Lsn;
  readonly lastCommitMicros: bigint | undefined;
  /** The transaction of the last change of the epoch. */
  readonly lastChange: Pick<Transaction, 'commitLsn' | 'commitMicros'> | undefined;
  readonly events: readonly ManifestEvent[];
  /** Of the job. */
  readonly tables: readonly ManifestTable[];
}

const UPLOADS_AT_ONCE = 4;

/** Lands the changes of all tables. @returns the manifest that was written */
export async function landEpoch(
  place: ManifestPlace,
  target: LoadTarget,
  facts: EpochFacts,
  tables: readonly ChangeTable[],
  options: {
    readonly datePartition: boolean;
    readonly typesOf: (table: ChangeTable) => TypedTable;
    /** Throws where another process has the job. */
    readonly checkOurs: () => Promise<void>;
    readonly failpoint: Failpoint;
  },
  signal: AbortSignal,
): Promise<Manifest> {
  const epoch = facts.before.epoch + 1;
  const landed: { file: ManifestFile; path: string }[] = [];
  const schemas: Manifest['schemas'] = {};
  const parts = new Map<string, number>();
  for (const table of tables) {
    for (const file of await table.finish()) {
      const { schema, table: name } = table.relation;
      const number = (parts.get(`${schema}.${name}`) ?? 0) + 1;
      parts.set(`${schema}.${name}`, number);
      const columns = manifestColumns(options.typesOf(table), file.columns);
      const schemaId = schemaIdOf(columns);
      schemas[schemaId] = columns;
      landed.push({
        path: file.path,
        file: manifestFile(table, file, number, schemaId, options.datePartition),
      });
    }
  }
  options.failpoint('files-complete');
  const pending = await readPending(place, epoch, signal);
  const keys = new Set(landed.map(({ file }) => file.key));
  const stale = (pending?.files ?? []).filter((key) => !keys.has(key));
  const names = [...keys, ...stale];
  await writePending(place, { epoch, toLsn: formatLsn(facts.toLsn), files: names }, signal);
  options.failpoint('pending-written');
  await forEachConcurrent(landed, UPLOADS_AT_ONCE, async ({ file, path }) => {
    await upload(target, { ...file, path }, options.checkOurs, signal);
    options.failpoint('file-uploaded');
  });
  if (stale.length > 0) {
    await options.checkOurs();
    await deleteKeys(
      target.store,
      stale.map((key) => target.prefix + key),
      signal,
    );
  }
  const lastCommitMicros = facts.lastCommitMicros?.toString() ?? facts.before.lastCommitMicros;
  const lastChange = facts.lastChange === undefined ? facts.before.lastChange : noteOf(facts.lastChange);
  const manifest = counted({
    version: 1,
    job: place.job,
    epoch,
    kind: 'changes',
    ...sourceOf(facts.before),
    fromLsn: facts.before.toLsn,
    toLsn: formatLsn(facts.toLsn),
    ...(lastCommitMicros === undefined ? {} : { lastCommitMicros }),
    ...(lastChange === undefined ? {} : { lastChange }),
    files: landed.map(({ file }) => file),
    schemas,
    events: [...facts.events],
    tables: [...facts.tables],
  });
  await writeManifest(place, manifest, signal);
  options.failpoint('manifest-written');
  await deleteKeys(place.store, [place.prefix + pendingKey(place.job, epoch)], signal);
  for (const { path } of landed) await rm(path, { force: true });
  return manifest;
}

function noteOf({ commitLsn, commitMicros }: Pick<Transaction, 'commitLsn' | 'commitMicros'>) {
  return { lsn: formatLsn(commitLsn), commitMicros: commitMicros.toString() };
}

/** Of what the job is. */
function sourceOf({ systemId, databaseOid, publicationOid }: Manifest) {
  return {
    systemId,
    ...(databaseOid === undefined ? {} : { databaseOid }),
    ...(publicationOid === undefined ? {} : { publicationOid }),
  };
}

/** The names of a table's types, for the manifest. */
export interface TypedTable {
  readonly columns: readonly { readonly name: string; readonly typeName: string }[];
}

function manifestFile(
  table: ChangeTable,
  file: ChangeTableFile,
  part: number,
  schemaId: string,
  partition: boolean,
): ManifestFile {
  const { schema, table: name } = table.relation;
  const { first, last, ops } = file;
  const folder = tableFolder({ schema, name }) + (partition ? datePartition(first.commitMicros) : '');
  return {
    key:
      folder +
      changeFileName({
        firstCommitMicros: first.commitMicros,
        firstLsn: first.commitLsn,
        lastLsn: last.commitLsn,
        part,
      }),
    schema,
    table: name,
    schemaId,
    rows: file.rows,
    bytes: file.bytes,
    sha256: file.sha256,
    inserts: ops.I,
    updates: ops.U,
    deletes: ops.D,
    firstLsn: formatLsn(first.commitLsn),
    lastLsn: formatLsn(last.commitLsn),
    ...(table.identity.length === 0 ? {} : { identity: [...table.identity] }),
  };
}

async function writePending(
  { store, prefix, job }: ManifestPlace,
  pending: Pending,
  signal: AbortSignal,
): Promise<void> {
  const body = Buffer.from(JSON.stringify(pending));
  await putJson(store, prefix + pendingKey(job, pending.epoch), body, false, signal);
}

/** Takes away what a process that died was landing, where it cannot be landed any more. */
export async function dropPending(
  { store, prefix, job }: ManifestPlace,
  { epoch, files }: Pending,
  signal: AbortSignal,
): Promise<void> {
  await deleteKeys(
    store,
    files.map((key) => prefix + key),
    signal,
  );
  await deleteKeys(store, [prefix + pendingKey(job, epoch)], signal);
}

/** What a process that died was landing as this epoch. */
export async function readPending(
  { store, prefix, job }: ManifestPlace,
  epoch: number,
  signal: AbortSignal,
): Promise<Pending | undefined> {
  const bytes = await readObject(store, prefix + pendingKey(job, epoch), signal);
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as Pending);
}
