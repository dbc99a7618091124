/** Statistics of the tables of a replication, from its manifests, and how far it is behind, from the server. */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { folderPrefix, parseStoreUrl } from '../../config/store-url.ts';
import { postgresError } from '../../databases/postgres/errors.ts';
import { parseLsn } from '../../databases/postgres/lsn.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import { serverFacts, slotState } from '../../databases/postgres/replication-setup.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { type ErrorNote, lastError, lastVerification } from './job-notes.ts';
import { LoadLedger } from './load-ledger.ts';
import { allManifests, type Manifest, type ManifestPlace } from './manifest.ts';
import { type ReplicateEnvironment, slotOf } from './run.ts';

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
  readonly server?: {
    /** Bytes of the log that are not landed. */
    readonly lagBytes: number;
    /** Since the last commit that is landed, where more was written since; 0 where nothing was. */
    readonly lagSeconds: number | undefined;
    readonly slot: 'active' | 'idle' | 'lost' | 'absent';
    /** Bytes of the log that the server keeps for the slot. */
    readonly retainedBytes: number;
  };
}

/**
 * @param options `from` is asked where it is given
 * @throws the errors of the store and the database
 */
export async function replicateStatus(
  options: { readonly to: string; readonly name: string; readonly from?: string | undefined },
  environment: ReplicateEnvironment = {},
): Promise<ReplicateStatus> {
  const env = environment.env ?? process.env;
  const signal = environment.signal ?? new AbortController().signal;
  const to = parseStoreUrl(options.to);
  await using opened = await openStore(to, { env, clock: environment.clock ?? systemClock });
  const prefix = folderPrefix(to.prefix);
  const place: ManifestPlace = { store: opened.store, prefix, job: options.name };
  const counted = new Statistics();
  let newest: Manifest | undefined;
  for await (const manifest of allManifests(place, signal)) {
    counted.add(manifest);
    newest = manifest;
  }
  await countChunks(counted, new LoadLedger(place, (newest?.epoch ?? -1) + 1), signal);
  const verified = await lastVerification(place, signal);
  for (const { schema, table, differences } of verified?.tables ?? [])
    counted.of(schema, table).differences = differences;
  const error = await lastError(place, signal);
  const nowMs = (environment.clock ?? systemClock).now();
  const server =
    options.from === undefined
      ? undefined
      : await serverOf(options.from, options.name, newest, counted.lastCommitMs, nowMs, env);
  return {
    job: options.name,
    epoch: newest?.epoch ?? 0,
    lsn: newest?.toLsn,
    lastCommitMs: counted.lastCommitMs,
    tables: counted.tables(),
    ...(verified === undefined ? {} : { verified: { atMs: verified.atMs, lsn: verified.lsn } }),
    ...(error === undefined || error.atMs < (counted.lastCommitMs ?? 0) ? {} : { lastError: error }),
    ...(server === undefined ? {} : { server }),
  };
}

/** Of a load that is under way. */
async function countChunks(counted: Statistics, ledger: LoadLedger, signal: AbortSignal): Promise<void> {
  const plan = await ledger.plan(signal);
  if (plan === undefined) return;
  const done = await ledger.done(signal);
  for (const { table, chunks } of plan.tables) {
    const loaded = done.filter(({ oid }) => oid === table.oid);
    const statistics = counted.of(table.schema, table.name);
    statistics.state = 'loading';
    statistics.chunks = { done: loaded.length, all: chunks.length };
    statistics.fullLoadRows = loaded.reduce((sum, { file }) => sum + (file?.rows ?? 0), 0);
  }
}

type Counted = { -readonly [K in keyof TableStatistics]: TableStatistics[K] };

class Statistics {
  readonly #tables = new Map<string, Counted>();
  lastCommitMs: number | undefined;

  add({ kind, files, events, tables, lastCommitMicros }: Manifest): void {
    const commitMs = lastCommitMicros === undefined ? undefined : Number(BigInt(lastCommitMicros) / 1000n);
    for (const event of events) if (event.kind === 'table-added') this.#tables.delete(nameOf(event));
    for (const file of files) {
      const table = this.of(file.schema, file.table);
      table.files++;
      table.bytes += file.bytes;
      if (kind !== 'changes') table.fullLoadRows += file.rows;
      table.inserts += file.inserts ?? 0;
      table.updates += file.updates ?? 0;
      table.deletes += file.deletes ?? 0;
      if (file.lastLsn !== undefined) {
        table.lastLsn = file.lastLsn;
        table.lastCommitMs = commitMs;
      }
    }
    for (const event of events) {
      const table = this.of(event.schema, event.table);
      if (event.kind === 'truncate') table.truncations++;
      else if (event.kind === 'schema') table.ddls++;
    }
    for (const table of this.#tables.values()) table.state = 'left';
    for (const { schema, name } of tables)
      this.of(schema, name).state = kind === 'full-load' ? 'loaded' : 'following';
    this.lastCommitMs = commitMs ?? this.lastCommitMs;
  }

  tables(): TableStatistics[] {
    return [...this.#tables.values()].sort((a, b) =>
      `${a.schema}\0${a.table}` < `${b.schema}\0${b.table}` ? -1 : 1,
    );
  }

  of(schema: string, table: string): Counted {
    const key = nameOf({ schema, table });
    let counted = this.#tables.get(key);
    if (counted === undefined) {
      counted = {
        schema,
        table,
        fullLoadRows: 0,
        inserts: 0,
        updates: 0,
        deletes: 0,
        ddls: 0,
        truncations: 0,
        lastLsn: undefined,
        lastCommitMs: undefined,
        state: 'loading',
        differences: undefined,
        files: 0,
        bytes: 0,
      };
      this.#tables.set(key, counted);
    }
    return counted;
  }
}

function nameOf({ schema, table }: { readonly schema: string; readonly table: string }): string {
  return `${schema}\0${table}`;
}

async function serverOf(
  from: string,
  name: string,
  newest: Manifest | undefined,
  lastCommitMs: number | undefined,
  nowMs: number,
  env: Readonly<Record<string, string | undefined>>,
): Promise<NonNullable<ReplicateStatus['server']>> {
  const url = parseDatabaseUrl(from, env);
  const doing = { action: `ask ${url.name} how far it is`, database: url.name, user: url.connection.user };
  await using session = await openSession(url.connection, { doing });
  try {
    const { walLsn } = await serverFacts(session.client);
    const slot = await slotState(session.client, slotOf({ name }));
    const lagBytes = newest === undefined ? 0 : Math.max(0, Number(walLsn - parseLsn(newest.toLsn)));
    const sinceSeconds = lastCommitMs === undefined ? undefined : Math.max(0, (nowMs - lastCommitMs) / 1000);
    return {
      lagBytes,
      lagSeconds: lagBytes === 0 ? 0 : sinceSeconds,
      slot: slot === undefined ? 'absent' : slot.lost ? 'lost' : slot.active ? 'active' : 'idle',
      retainedBytes: slot?.retainedBytes ?? 0,
    };
  } catch (error) {
    throw postgresError(error, doing);
  }
}
