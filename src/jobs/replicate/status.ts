/** Statistics of the tables of a replication, from its manifests, and how far it is behind, from the server. */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { folderPrefix, parseStoreUrl } from '../../config/store-url.ts';
import { postgresError } from '../../databases/postgres/errors.ts';
import { parseLsn } from '../../databases/postgres/lsn.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import { serverFacts, slotState } from '../../databases/postgres/replication-setup.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { allManifests, type Manifest } from './manifest.ts';
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
  /** Absent where the database was not asked. */
  readonly server?: {
    /** Bytes of the log that are not landed. */
    readonly lagBytes: number;
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
  const counted = new Statistics();
  let newest: Manifest | undefined;
  for await (const manifest of allManifests({ store: opened.store, prefix, job: options.name }, signal)) {
    counted.add(manifest);
    newest = manifest;
  }
  const server =
    options.from === undefined ? undefined : await serverOf(options.from, options.name, newest, env);
  return {
    job: options.name,
    epoch: newest?.epoch ?? 0,
    lsn: newest?.toLsn,
    lastCommitMs: counted.lastCommitMs,
    tables: counted.tables(),
    ...(server === undefined ? {} : { server }),
  };
}

type Counted = { -readonly [K in keyof TableStatistics]: TableStatistics[K] };

class Statistics {
  readonly #tables = new Map<string, Counted>();
  lastCommitMs: number | undefined;

  add({ kind, files, events, lastCommitMicros }: Manifest): void {
    for (const file of files) {
      const table = this.#of(file.schema, file.table);
      table.files++;
      table.bytes += file.bytes;
      if (kind === 'full-load') table.fullLoadRows += file.rows;
      table.inserts += file.inserts ?? 0;
      table.updates += file.updates ?? 0;
      table.deletes += file.deletes ?? 0;
      if (file.lastLsn !== undefined) table.lastLsn = file.lastLsn;
    }
    for (const event of events) {
      const table = this.#of(event.schema, event.table);
      if (event.kind === 'truncate') table.truncations++;
      else table.ddls++;
    }
    if (lastCommitMicros !== undefined) this.lastCommitMs = Number(BigInt(lastCommitMicros) / 1000n);
  }

  tables(): TableStatistics[] {
    return [...this.#tables.values()].sort((a, b) =>
      `${a.schema}\0${a.table}` < `${b.schema}\0${b.table}` ? -1 : 1,
    );
  }

  #of(schema: string, table: string): Counted {
    const key = `${schema}\0${table}`;
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
        files: 0,
        bytes: 0,
      };
      this.#tables.set(key, counted);
    }
    return counted;
  }
}

async function serverOf(
  from: string,
  name: string,
  newest: Manifest | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<NonNullable<ReplicateStatus['server']>> {
  const url = parseDatabaseUrl(from, env);
  const doing = { action: `ask ${url.name} how far it is`, database: url.name, user: url.connection.user };
  await using session = await openSession(url.connection, { doing });
  try {
    const { walLsn } = await serverFacts(session.client);
    const slot = await slotState(session.client, slotOf({ name }));
    return {
      lagBytes: newest === undefined ? 0 : Math.max(0, Number(walLsn - parseLsn(newest.toLsn))),
      slot: slot === undefined ? 'absent' : slot.lost ? 'lost' : slot.active ? 'active' : 'idle',
      retainedBytes: slot?.retainedBytes ?? 0,
    };
  } catch (error) {
    throw postgresError(error, doing);
  }
}
