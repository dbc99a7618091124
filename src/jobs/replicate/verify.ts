/**
 * Verifies a replica: at one place of the server's log the rows of each table, read from the files, are held against the
 * rows of the table. Both are compared value by value, as they are stored; a difference names its row.
 *
 * The rows of the files are kept by key in a temporary SQLite file, so that memory stays flat.
 */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { tableFromIPC } from 'apache-arrow';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { parseReplicaUrl } from '../../config/replica-url.ts';
import { folderPrefix } from '../../config/store-url.ts';
import { copyRowDecoder } from '../../databases/postgres/copy-rows.ts';
import { CopyStream } from '../../databases/postgres/copy-stream.ts';
import { type Doing, postgresError } from '../../databases/postgres/errors.ts';
import { fieldDecoder } from '../../databases/postgres/field-decoder.ts';
import { mapField, selectText, UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import { beginUnderSnapshot, createSlot } from '../../databases/postgres/replication-setup.ts';
import { quotedTable, readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { noFailpoint } from '../../flow/failpoint.ts';
import { BatchBuilder } from '../../formats/columns/batch-builder.ts';
import { type RowText, rowTexts } from '../../formats/columns/row-texts.ts';
import { openStore } from '../../stores/open-store.ts';
import { CHANGE_COLUMNS } from './change-table.ts';
import { fetchFile } from './fetch-file.ts';
import { noteVerification } from './job-notes.ts';
import { parquetRows } from './lake-lookup.ts';
import { allManifests, type Manifest, type ManifestPlace, newestManifest } from './manifest.ts';
import { keyText } from './row-key.ts';
import { replicate } from './run.ts';
import { type ReplicateOptions, resolveReplicateOptions } from './settings.ts';
import { type ReplicateEnvironment, slotOf } from './surroundings.ts';
import { tableFilter } from './table-filter.ts';
import { sourceCatalogue } from './to-duckdb/source-catalogue.ts';
import { Warehouse } from './to-duckdb/warehouse.ts';
import { withRowsAt } from './to-duckdb/warehouse-rows.ts';
import { isDatabase } from './to-postgres/sides.ts';
import { UnfitColumn } from './unfit-column.ts';

export interface VerifiedTable {
  readonly schema: string;
  readonly table: string;
  readonly rows: number;
  /** Some of the rows that differ, by their keys. */
  readonly differences: readonly RowDifference[];
  readonly differencesCount: number;
}

export interface RowDifference {
  /** Values of the primary key; of the whole row where there is none. */
  readonly key: string;
  readonly what: 'only in the table' | 'only in the files' | 'only in the target' | 'different';
}

export interface VerifiedReplica {
  /** Files where it is left out. */
  readonly into?: 'files' | 'database';
  /** Where both were read. */
  readonly lsn: string;
  readonly tables: readonly VerifiedTable[];
  readonly differences: number;
}

const LISTED = 20;
const BATCH_ROWS = 4096;

/**
 * Lands what is not landed yet, then compares: every column that changes have, generated ones are left out. The job must
 * not run meanwhile. Of a full load alone, what was written since is a difference.
 * @throws CHECK_FAILED for a job that has landed nothing; the errors of the store and the database
 */
export async function verifyReplica(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<VerifiedReplica> {
  if (isDatabase(options.to)) {
    const { verifyPostgres } = await import('./to-postgres/verify.ts');
    return await verifyPostgres(options, environment);
  }
  const settings = resolveReplicateOptions(options);
  const env = environment.env ?? process.env;
  const signal = environment.signal ?? new AbortController().signal;
  const url = parseDatabaseUrl(settings.from, env);
  const doing: Doing = {
    action: `verify the replica of ${url.name}`,
    database: url.name,
    user: url.connection.user,
  };
  const { store: to, duckdb } = parseReplicaUrl(settings.to);
  await using stack = new AsyncDisposableStack();
  const { store } = stack.use(await openStore(to, { env, clock: environment.clock ?? systemClock }));
  const prefix = folderPrefix(to.prefix);
  const place: ManifestPlace = { store, prefix, job: settings.name };
  if ((await newestManifest(place, signal)) === undefined) {
    throw new LongshoreError('CHECK_FAILED', `${settings.name} has landed nothing at ${settings.to}`, {
      hint: 'run it first',
    });
  }
  const follows = settings.mode !== 'full-load';
  const untilCaughtUp = { ...options, untilCaughtUp: true };
  try {
    if (duckdb !== undefined && follows)
      await replicate(untilCaughtUp, { ...environment, membersOnly: true });
    const replication = stack.use(await openSession(url.connection, { doing, replication: true }));
    const { consistentLsn, snapshot } = await createSlot(
      replication.client,
      `${slotOf(settings)}_verify`,
      true,
    );
    const reader = stack.use(await openSession(url.connection, { doing }));
    await beginUnderSnapshot(reader.client, snapshot);
    // What a DuckDB database has applied cannot be taken back: the rest waits, and is applied up to the snapshot.
    if (follows)
      await replicate(untilCaughtUp, { ...environment, applies: duckdb === undefined, membersOnly: true });
    const manifests: Manifest[] = [];
    for await (const manifest of allManifests(place, signal)) manifests.push(manifest);
    const members = new Set(
      manifests.at(-1)!.tables.flatMap(({ oid, untilLsn }) => (untilLsn === undefined ? [oid] : [])),
    );
    const chosen = (await readTables(reader.client))
      .filter(tableFilter(settings.tables))
      .filter(({ oid }) => members.has(oid));
    const tables: VerifiedTable[] = [];
    const verify = async (addTo: (rows: RowsByKey) => Promise<void>): Promise<void> => {
      for (const table of chosen) {
        using rows = new RowsByKey(table);
        await addTo(rows);
        const verified = await compare(rows, reader);
        tables.push(duckdb === undefined ? verified : inTarget(verified));
      }
    };
    if (duckdb === undefined) await verify((rows) => addFiles(rows, place, manifests, consistentLsn, signal));
    else {
      const warehouse = await Warehouse.make({
        path: duckdb,
        settings,
        place,
        source: sourceCatalogue(reader.client),
        notice: () => undefined,
        clock: environment.clock ?? systemClock,
        signal,
        failpoint: noFailpoint,
      });
      await withRowsAt(warehouse, manifests, consistentLsn, verify);
      await warehouse.catchUp(manifests.at(-1));
    }
    const differences = tables.reduce((sum, { differencesCount }) => sum + differencesCount, 0);
    await noteVerification(
      place,
      {
        lsn: formatLsn(consistentLsn),
        atMs: (environment.clock ?? systemClock).now(),
        tables: tables.map(({ schema, table, rows, differencesCount }) => ({
          schema,
          table,
          rows,
          differences: differencesCount,
        })),
      },
      signal,
    );
    const into = duckdb === undefined ? 'files' : 'database';
    return { lsn: formatLsn(consistentLsn), into, tables, differences };
  } catch (error) {
    signal.throwIfAborted();
    throw postgresError(error, doing);
  }
}

/** Of a replica that is not made of files. */
function inTarget(verified: VerifiedTable): VerifiedTable {
  const differences = verified.differences.map(
    ({ key, what }): RowDifference => ({
      key,
      what: what === 'only in the files' ? 'only in the target' : what,
    }),
  );
  return { ...verified, differences };
}

/** Rows of a table as the files have them, by key. */
class RowsByKey implements Disposable {
  readonly table: SourceTable;
  /** Those that changes have, too. */
  readonly columns: SourceTable['columns'];
  readonly names: readonly string[];
  readonly folder = mkdtempSync(join(tmpdir(), 'longshore-verify-'));
  readonly #db: DatabaseSync;
  readonly #load: StatementSync;
  readonly #put: StatementSync;
  readonly #take: StatementSync;
  readonly #drop: StatementSync;
  readonly #get: StatementSync;

  constructor(table: SourceTable) {
    this.table = table;
    this.columns = table.columns.filter(({ generated }) => !generated);
    this.names = [...this.columns.map(({ name }) => name), UNFIT_COLUMN];
    this.#db = new DatabaseSync(join(this.folder, 'rows.sqlite'));
    this.#db.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
      CREATE TABLE rows (key TEXT PRIMARY KEY, hash TEXT NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID, STRICT; BEGIN`);
    // With a primary key a row replaces the one before; without one, equal rows are counted.
    const again = this.#keyed ? 'hash = excluded.hash' : 'count = count + 1';
    this.#put = this.#db.prepare(
      `INSERT INTO rows VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE SET ${again}`,
    );
    this.#load = this.#db.prepare(
      'INSERT INTO rows VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE SET count = count + 1',
    );
    this.#take = this.#db.prepare('UPDATE rows SET count = count - 1 WHERE key = ?');
    this.#drop = this.#db.prepare('DELETE FROM rows WHERE key = ? AND count <= 0');
    this.#get = this.#db.prepare('SELECT hash, count FROM rows WHERE key = ?');
  }

  get #keyed(): boolean {
    return this.table.primaryKey.length > 0;
  }

  /** A row of a full load, which has each key once: one that comes twice is left over in the end. */
  load(row: RowText): void {
    this.#load.run(this.keyOf(row), hashOf(row));
  }

  put(row: RowText): void {
    this.#put.run(this.keyOf(row), hashOf(row));
  }

  remove(row: RowText): void {
    const key = this.keyOf(row);
    this.#take.run(key);
    this.#drop.run(key);
  }

  clear(): void {
    this.#db.exec('DELETE FROM rows');
  }

  /** Takes a row of the table out, and tells how it compares. */
  match(row: RowText): RowDifference | undefined {
    const key = this.keyOf(row);
    const found = this.#get.get(key);
    if (found === undefined || Number(found['count']) <= 0) return { key, what: 'only in the table' };
    this.#take.run(key);
    return found['hash'] === hashOf(row) ? undefined : { key, what: 'different' };
  }

  *left(): Generator<RowDifference> {
    for (const { key, count } of this.#db.prepare('SELECT key, count FROM rows WHERE count > 0').iterate()) {
      for (let i = 0; i < Number(count); i++) yield { key: String(key), what: 'only in the files' };
    }
  }

  keyOf(row: RowText): string {
    const { primaryKey } = this.table;
    return keyText(row, primaryKey.length > 0 ? primaryKey : this.names);
  }

  [Symbol.dispose](): void {
    this.#db.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function hashOf(row: RowText): string {
  return createHash('sha256').update(JSON.stringify(row)).digest('base64');
}

/** Applies the files in order, up to the place where the table is read. */
async function addFiles(
  rows: RowsByKey,
  place: ManifestPlace,
  manifests: readonly Manifest[],
  before: Lsn,
  signal: AbortSignal,
): Promise<void> {
  const { schema, name } = rows.table;
  const isOwn = (one: { readonly schema: string; readonly table: string }): boolean =>
    one.schema === schema && one.table === name;
  const first = manifests.findLastIndex(({ events }) =>
    events.some((event) => event.kind === 'table-added' && isOwn(event)),
  );
  for (const { kind, files, events } of manifests.slice(Math.max(0, first))) {
    const truncations = events
      .filter((event) => event.kind === 'truncate' && isOwn(event))
      .map(({ lsn, ordinal }) => ({ lsn: parseLsn(lsn), ordinal }))
      .filter(({ lsn }) => lsn < before);
    for (const file of files.filter(isOwn)) {
      const path = join(rows.folder, 'file.parquet');
      await fetchFile(place, file, path, signal);
      if (kind === 'changes')
        await applyChanges(rows, parquetRows(path, [...rows.names, ...META]), truncations, before);
      else for await (const row of parquetRows(path, rows.names)) rows.load(row);
      await rm(path);
    }
    for (const _ of truncations.splice(0)) rows.clear();
  }
}

const META = [CHANGE_COLUMNS.op, CHANGE_COLUMNS.commitLsn, CHANGE_COLUMNS.ordinal];

async function applyChanges(
  rows: RowsByKey,
  changes: AsyncIterable<RowText>,
  truncations: { readonly lsn: Lsn; readonly ordinal: number }[],
  before: Lsn,
): Promise<void> {
  for await (const change of changes) {
    const {
      [CHANGE_COLUMNS.op]: op,
      [CHANGE_COLUMNS.commitLsn]: lsn,
      [CHANGE_COLUMNS.ordinal]: ordinal,
      ...row
    } = change;
    const at = BigInt(lsn!);
    if (at >= before) return;
    while (truncations[0] !== undefined && comesBefore(truncations[0], at, Number(ordinal))) {
      rows.clear();
      truncations.shift();
    }
    if (op === 'D') rows.remove(row);
    else rows.put(row);
  }
}

function comesBefore(
  event: { readonly lsn: Lsn; readonly ordinal: number },
  lsn: Lsn,
  ordinal: number,
): boolean {
  return event.lsn < lsn || (event.lsn === lsn && event.ordinal < ordinal);
}

/** Reads the table under the snapshot and holds each row against the files. */
async function compare(rows: RowsByKey, reader: Session): Promise<VerifiedTable> {
  const { table } = rows;
  const mappings = rows.columns.map(mapField);
  const decoders = mappings.map(fieldDecoder);
  const side = new UnfitColumn(mappings);
  const batch = new BatchBuilder(
    [...mappings.map(({ column }) => column), side.column],
    [...decoders.map(({ builder }) => builder), side.builder],
  );
  const differences: RowDifference[] = [];
  let differencesCount = 0;
  let count = 0;
  const tell = (difference: RowDifference | undefined): void => {
    if (difference === undefined) return;
    differencesCount++;
    if (differences.length < LISTED) differences.push(difference);
  };
  const flush = (): void => {
    for (const row of rowTexts(tableFromIPC(batch.takeIpc()), rows.names)) tell(rows.match(row));
  };
  const decoder = copyRowDecoder(
    decoders,
    (field, text) => side.note(field, text),
    () => {
      count++;
      side.endRow();
    },
  );
  const query = `COPY (SELECT ${mappings.map(selectText).join(', ')} FROM ${table.partitioned ? '' : 'ONLY '}${quotedTable(table)}) TO STDOUT (FORMAT binary)`;
  await CopyStream.start(reader.client, query, (bytes, at, end) => {
    decoder.decode(bytes, at, end);
    if (batch.rows >= BATCH_ROWS) flush();
  }).done;
  if (batch.rows > 0) flush();
  for (const difference of rows.left()) tell(difference);
  return { schema: table.schema, table: table.name, rows: count, differences, differencesCount };
}
