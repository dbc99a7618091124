/** Statistics of the tables of a replication, from its newest manifest, and how far it is behind, from the server. */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { parseReplicaUrl } from '../../config/replica-url.ts';
import { folderPrefix } from '../../config/store-url.ts';
import { postgresError } from '../../databases/postgres/errors.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { type ErrorNote, lastError, lastVerification } from './job-notes.ts';
import { LoadLedger } from './load-ledger.ts';
import { type Manifest, type ManifestPlace, type ManifestTable, newestManifest } from './manifest.ts';
import { type SourceProgress, sourceProgress } from './source-progress.ts';
import { NO_STATISTICS } from './statistics.ts';
import type { ReplicateEnvironment } from './surroundings.ts';
import { isDatabase } from './to-postgres/sides.ts';

/** What AWS DMS calls table statistics. */
export interface TableStatistics {
  readonly schema: string;
  readonly table: string;
  readonly fullLoadRows: number;
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  /** Changes of columns. */
  readonly ddls: number;
  readonly truncations: number;
  /** Of the last change that is landed. */
  readonly lastLsn: string | undefined;
  /** When it was landed in the log of the server: milliseconds since 1970, of the last commit of its epoch. */
  readonly lastCommitMs: number | undefined;
  readonly state: 'loading' | 'loaded' | 'following' | 'left';
  /** Chunks of its full load, while it is loaded. */
  readonly chunks?: { readonly done: number; readonly all: number } | undefined;
  /** As of the last verification: rows that differed, or undefined where it was not part of one. */
  readonly differences: number | undefined;
  readonly files: number;
  readonly bytes: number;
}

export interface ReplicateStatus {
  readonly job: string;
  readonly epoch: number;
  /** Everything that committed up to this is in the files. */
  readonly lsn: string | undefined;
  /** Milliseconds since 1970. */
  readonly lastCommitMs: number | undefined;
  readonly tables: readonly TableStatistics[];
  /** When files and tables were compared last, and where in the log. */
  readonly verified?: { readonly atMs: number; readonly lsn: string } | undefined;
  /** What ended a run, if nothing was landed since. */
  readonly lastError?: ErrorNote | undefined;
  /** Absent where the database was not asked. */
  readonly server?: SourceProgress;
}

/**
 * @param options `from` is asked where it is given
 * @throws the errors of the store and the database
 */
export async function replicateStatus(
  options: { readonly to: string; readonly name: string; readonly from?: string | undefined },
  environment: ReplicateEnvironment = {},
): Promise<ReplicateStatus> {
  if (isDatabase(options.to)) {
    const { postgresStatus } = await import('./to-postgres/status.ts');
    return await postgresStatus(options, environment);
  }
  const env = environment.env ?? process.env;
  const signal = environment.signal ?? new AbortController().signal;
  const { store: to } = parseReplicaUrl(options.to);
  await using opened = await openStore(to, { env, clock: environment.clock ?? systemClock });
  const prefix = folderPrefix(to.prefix);
  const place: ManifestPlace = { store: opened.store, prefix, job: options.name };
  const newest = await newestManifest(place, signal);
  const lastCommitMs = newest?.lastCommitMicros === undefined ? undefined : millisOf(newest.lastCommitMicros);
  const verified = await lastVerification(place, signal);
  const tables = new Map(
    (newest?.tables ?? []).map((table) => [nameOf(table), statisticsOf(newest!, table)]),
  );
  for (const loading of await loadingTables(new LoadLedger(place, (newest?.epoch ?? -1) + 1), signal))
    tables.set(nameOf({ schema: loading.schema, name: loading.table }), loading);
  for (const { schema, table: name, differences } of verified?.tables ?? []) {
    const table = tables.get(nameOf({ schema, name }));
    if (table !== undefined) tables.set(nameOf({ schema, name }), { ...table, differences });
  }
  const error = await lastError(place, signal);
  const nowMs = (environment.clock ?? systemClock).now();
  const server =
    options.from === undefined
      ? undefined
      : await serverOf(options.from, options.name, newest, lastCommitMs, nowMs, env);
  return {
    job: options.name,
    epoch: newest?.epoch ?? 0,
    lsn: newest?.toLsn,
    lastCommitMs,
    tables: [...tables.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, table]) => table),
    ...(verified === undefined ? {} : { verified: { atMs: verified.atMs, lsn: verified.lsn } }),
    ...(error === undefined || error.atMs < (lastCommitMs ?? 0) ? {} : { lastError: error }),
    ...(server === undefined ? {} : { server }),
  };
}

function statisticsOf(
  { kind }: Manifest,
  { schema, name, statistics, untilLsn }: ManifestTable,
): TableStatistics {
  const { loaded, lastLsn, lastCommitMicros, ...counts } = statistics;
  return {
    schema,
    table: name,
    state: untilLsn !== undefined ? 'left' : kind === 'full-load' ? 'loaded' : 'following',
    fullLoadRows: loaded,
    ...counts,
    lastLsn,
    lastCommitMs: lastCommitMicros === undefined ? undefined : millisOf(lastCommitMicros),
    differences: undefined,
  };
}

/** Of a load that is under way, or that died. */
async function loadingTables(ledger: LoadLedger, signal: AbortSignal): Promise<TableStatistics[]> {
  const plan = await ledger.plan(signal);
  if (plan === undefined) return [];
  const done = await ledger.done(signal);
  return plan.tables.map(({ table, chunks }) => {
    const files = done.flatMap(({ oid, file }) => (oid === table.oid && file !== undefined ? [file] : []));
    const { loaded: _, ...counts } = NO_STATISTICS;
    return {
      schema: table.schema,
      table: table.name,
      state: 'loading',
      fullLoadRows: files.reduce((sum, { rows }) => sum + rows, 0),
      ...counts,
      files: files.length,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      lastLsn: undefined,
      lastCommitMs: undefined,
      chunks: { done: done.filter(({ oid }) => oid === table.oid).length, all: chunks.length },
      differences: undefined,
    };
  });
}

function millisOf(micros: string): number {
  return Number(BigInt(micros) / 1000n);
}

function nameOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${schema}\0${name}`;
}

async function serverOf(
  from: string,
  name: string,
  newest: Manifest | undefined,
  lastCommitMs: number | undefined,
  nowMs: number,
  env: Readonly<Record<string, string | undefined>>,
): Promise<SourceProgress> {
  const url = parseDatabaseUrl(from, env);
  const doing = { action: `ask ${url.name} how far it is`, database: url.name, user: url.connection.user };
  await using session = await openSession(url.connection, { doing });
  try {
    return await sourceProgress(session.client, name, newest?.toLsn, lastCommitMs, nowMs);
  } catch (error) {
    throw postgresError(error, doing);
  }
}
