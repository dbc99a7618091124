/**
 * Verifies a replica: at one place of the server's log the rows of each table, read from the files, are held against the
 * rows of the table. Both are compared value by value, as they are stored; a difference names its row.
 */

import { tableFromIPC } from 'apache-arrow';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { parseReplicaUrl } from '../../config/replica-url.ts';
import { folderPrefix } from '../../config/store-url.ts';
import { copyRowDecoder } from '../../databases/postgres/copy-rows.ts';
import { CopyStream } from '../../databases/postgres/copy-stream.ts';
import { type Doing, postgresError } from '../../databases/postgres/errors.ts';
import { fieldDecoder } from '../../databases/postgres/field-decoder.ts';
import { mapField, selectText } from '../../databases/postgres/field-mapping.ts';
import { formatLsn } from '../../databases/postgres/lsn.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import { beginUnderSnapshot, createSlot } from '../../databases/postgres/replication-setup.ts';
import { quotedTable, readTables } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { noFailpoint } from '../../flow/failpoint.ts';
import { BatchBuilder } from '../../formats/columns/batch-builder.ts';
import { rowTexts } from '../../formats/columns/row-texts.ts';
import { openStore } from '../../stores/open-store.ts';
import { noteVerification } from './job-notes.ts';
import { lakeRows } from './lake-rows.ts';
import { landedLayout } from './landed-layout.ts';
import { allManifests, type Manifest, type ManifestPlace, newestManifest } from './manifest.ts';
import { type RowDifference, RowsByKey } from './rows-by-key.ts';
import { replicate } from './run.ts';
import { type ReplicateOptions, resolveReplicateOptions } from './settings.ts';
import { strayFiles } from './stray-files.ts';
import { type ReplicateEnvironment, temporarySlotOf } from './surroundings.ts';
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
  /** Of files: some of those in its folder that no manifest names. */
  readonly strayFiles?: readonly string[];
  readonly strayFilesCount?: number;
}

export interface VerifiedReplica {
  /** Files where it is left out. */
  readonly into?: 'files' | 'database';
  /** Where both were read. */
  readonly lsn: string;
  readonly tables: readonly VerifiedTable[];
  /** Rows and stray files. */
  readonly differences: number;
}

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
  const given = resolveReplicateOptions(options);
  const env = environment.env ?? process.env;
  const signal = environment.signal ?? new AbortController().signal;
  const url = parseDatabaseUrl(given.from, env);
  const doing: Doing = {
    action: `verify the replica of ${url.name}`,
    database: url.name,
    user: url.connection.user,
  };
  const { store: to, duckdb } = parseReplicaUrl(given.to);
  await using stack = new AsyncDisposableStack();
  const { store } = stack.use(await openStore(to, { env, clock: environment.clock ?? systemClock }));
  const prefix = folderPrefix(to.prefix);
  const place: ManifestPlace = { store, prefix, job: given.name };
  const newest = await newestManifest(place, signal);
  if (newest === undefined) {
    throw new LongshoreError('CHECK_FAILED', `${given.name} has landed nothing at ${given.to}`, {
      hint: 'run it first',
    });
  }
  // What is landed here is to lie beside the rest, whatever is known of it.
  const laidOut = { ...options, ...(await landedLayout(place, newest, signal)) };
  const settings = resolveReplicateOptions(laidOut);
  const follows = settings.mode !== 'full-load';
  const untilCaughtUp = { ...laidOut, untilCaughtUp: true };
  try {
    if (duckdb !== undefined && follows)
      await replicate(untilCaughtUp, { ...environment, membersOnly: true });
    const replication = stack.use(await openSession(url.connection, { doing, replication: true }));
    const { consistentLsn, snapshot } = await createSlot(
      replication.client,
      temporarySlotOf(settings, 'verify'),
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
    if (duckdb === undefined) {
      const stray = await strayFiles(place, chosen, manifests, signal);
      const isLoaded = settings.mode !== 'cdc';
      for (const [i, table] of chosen.entries()) {
        using rows = await lakeRows(table, place, manifests, consistentLsn, isLoaded, signal);
        const { listed, count } = stray[i]!;
        tables.push({ ...(await compare(rows, reader)), strayFiles: listed, strayFilesCount: count });
      }
    } else {
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
      await withRowsAt(warehouse, manifests, consistentLsn, async (addTo) => {
        for (const table of chosen) {
          using rows = new RowsByKey(table);
          await addTo(rows);
          tables.push(inTarget(await compare(rows, reader)));
        }
      });
      await warehouse.catchUp(manifests.at(-1));
    }
    const differences = tables.reduce((sum, table) => sum + differencesOf(table), 0);
    await noteVerification(
      place,
      {
        lsn: formatLsn(consistentLsn),
        atMs: (environment.clock ?? systemClock).now(),
        tables: tables.map((verified) => ({
          schema: verified.schema,
          table: verified.table,
          rows: verified.rows,
          differences: differencesOf(verified),
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

function differencesOf({ differencesCount, strayFilesCount = 0 }: VerifiedTable): number {
  return differencesCount + strayFilesCount;
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
  let count = 0;
  const flush = (): void => {
    for (const row of rowTexts(tableFromIPC(batch.takeIpc()), rows.names)) rows.match(row);
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
  rows.tellLeft();
  const { listed, count: differencesCount } = rows.differences;
  return { schema: table.schema, table: table.name, rows: count, differences: listed, differencesCount };
}
