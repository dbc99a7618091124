/**
 * A dump of a PostgreSQL database in parts, read by several connections under one snapshot: large tables by ranges of
 * their pages, what is made before and after the rows by pg_dump.
 */

import type { Readable } from 'node:stream';
import type pg from 'pg';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import { openTemporaryFolder } from '../../flow/temporary-folder.ts';
import { clientOutput } from '../client-process.ts';
import { type DumpFacts, type DumpOptions, JOBS, type PreparedDump } from '../dump.ts';
import { RowDigest } from '../row-digest.ts';
import { chooseClient, majorOf } from './client-choice.ts';
import { connectionEnvironment } from './client-environment.ts';
import { postgresPrograms } from './client-programs.ts';
import { type PipedCopy, pipeCopy } from './copy-pipe.ts';
import { readExtensionRows, readHeapSizes, type SequencePosition } from './dump-catalogue.ts';
import { DumpContent, damaged } from './dump-content.ts';
import { DumpCall, dumpGlobals } from './dump-globals.ts';
import { DumpScript } from './dump-script.ts';
import { type DumpSnapshot, LOCK_WAIT_MS, takeDumpSnapshot } from './dump-snapshot.ts';
import { type Doing, postgresError } from './errors.ts';
import { lockTables } from './lock-tables.ts';
import { openSession } from './open-session.ts';
import { RANGES_FROM_MAJOR } from './page-ranges.ts';
import { beginUnderSnapshot } from './replication-setup.ts';
import { type PartSizes, partQuery, planParts, type SplitPart } from './split-parts.ts';
import { quotedTable } from './table-catalogue.ts';
import { readTableFacts } from './table-digests.ts';
import { TableRows } from './table-rows.ts';

export interface SplitDumpOptions extends DumpOptions {
  /** Connections that read tables. */
  readonly jobs?: number | undefined;
  readonly partBytesMin?: PartSizes['bytesMin'];
  readonly partBytesMax?: PartSizes['bytesMax'];
}

/** What pg_dump makes of it: what comes before the rows and behind them, and the large objects. */
export type SplitScript = 'pre-data' | 'post-data' | 'large-objects';

/** A dump in parts that can begin. Each script and each part is read once. */
export interface PreparedSplitDump
  extends Omit<PreparedDump, 'format' | 'extension' | 'stream'>,
    AsyncDisposable {
  /** Its name, for others that read what the dump does, as long as it is there. */
  readonly snapshot: string;
  /** The largest first. */
  readonly parts: readonly SplitPart[];
  readonly scripts: readonly SplitScript[];
  readonly sequences: readonly SequencePosition[];
  /** @throws as the stream of a {@link PreparedDump} does */
  script(script: SplitScript, signal: AbortSignal): Readable;
  /** As many at the same time as there are jobs. The digest is that of the part when the rows are over. */
  rows(part: SplitPart, signal: AbortSignal): TableRows;
  /** Instead of `rows`: straight into a `COPY … FROM STDIN` of another server, as they are, without a digest. */
  pipe(part: SplitPart, target: Parameters<typeof pipeCopy>[1], signal: AbortSignal): Promise<PipedCopy>;
  /** What the snapshot holds, read again: before or after the parts, and not meanwhile. */
  snapshotFacts(signal: AbortSignal): Promise<DumpFacts>;
  /** When every part was read. */
  facts(): DumpFacts;
}

/** @throws CHECK_FAILED where no client serves the server, and for rows that the parts would not have */
export async function prepareSplitDump(
  connection: DatabaseConnection,
  options: SplitDumpOptions = {},
): Promise<PreparedSplitDump> {
  const { clientFolder, lockWaitMs = LOCK_WAIT_MS, jobs = JOBS } = options;
  const { database, user } = connection;
  const doing: Doing = { action: `back up ${database}`, database, user };
  const stack = new AsyncDisposableStack();
  try {
    const folder = stack.use(openTemporaryFolder('backup')).path;
    const snapshot = stack.use(await takeDumpSnapshot(connection, doing, lockWaitMs));
    const clients = await Promise.all(
      Array.from({ length: jobs }, () => reader(connection, snapshot, doing, lockWaitMs, stack)),
    );
    const programs = await postgresPrograms(clientFolder);
    const client = chooseClient('pg_dump', snapshot.version, programs);
    const call = new DumpCall(client, await connectionEnvironment(connection, folder), doing.action);
    const common = [
      '--format=plain',
      `--snapshot=${snapshot.name}`,
      `--lock-wait-timeout=${lockWaitMs}`,
      '--encoding=UTF8',
      '--no-password',
      ...(options.asCopy === true ? ['--no-subscriptions'] : []),
      ...(options.noTablespaces === true ? ['--no-tablespaces'] : []),
    ];
    const parts = await plan(snapshot, doing, { ...options, jobs });
    const digests = new Map<SplitPart, RowDigest>();
    return {
      server: { product: 'PostgreSQL', version: snapshot.version },
      client,
      database,
      accounts: snapshot.roles,
      extensions: snapshot.extensions,
      notices: [],
      bytesEstimate: snapshot.tables.reduce((sum, { bytes }) => sum + bytes, 0),
      snapshot: snapshot.name,
      parts,
      scripts: ['pre-data', 'post-data', ...(snapshot.largeObjects > 0 ? (['large-objects'] as const) : [])],
      sequences: snapshot.sequences,
      script: (script, signal) =>
        clientOutput(call.of([...common, ...SECTIONS[script]]), new DumpScript(new DumpContent()), signal),
      rows(part, signal) {
        const free = clients.pop();
        if (free === undefined) throw new Error('every connection of the dump is busy');
        const text = partQuery(part);
        const action = `read ${quotedTable(part.table)}`;
        const rows: TableRows = new TableRows(
          {
            client: free,
            text,
            doing: { ...doing, action },
            onEnd() {
              clients.push(free);
              digests.set(part, rows.digest);
            },
          },
          signal,
        );
        return rows;
      },
      async pipe(part, target, signal) {
        const free = clients.pop();
        if (free === undefined) throw new Error('every connection of the copy is busy');
        const action = `copy ${quotedTable(part.table)}`;
        try {
          const piped = await pipeCopy({ client: free, text: partQuery(part) }, target, signal);
          clients.push(free);
          return piped;
        } catch (error) {
          signal.throwIfAborted();
          throw postgresError(error, { ...doing, action });
        }
      },
      snapshotFacts: async (signal) => ({
        ...standing(snapshot),
        tables: await readTableFacts(clients, snapshot.tables, signal),
      }),
      facts: () => factsOf(parts, digests, snapshot),
      globals: (signal) => dumpGlobals(call, programs, snapshot.version, options, signal),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Large objects are among the data of pg_dump, and all that is left of it without tables and sequences. */
const SECTIONS: Readonly<Record<SplitScript, readonly string[]>> = {
  'pre-data': ['--section=pre-data'],
  'post-data': ['--section=post-data'],
  'large-objects': ['--section=data', '--blobs', '--exclude-table-data=*.*'],
};

/** A connection that sees what the snapshot sees, with locks of its own: who waits for ours would be in its way later. */
async function reader(
  connection: DatabaseConnection,
  snapshot: DumpSnapshot,
  doing: Doing,
  lockWaitMs: number,
  stack: AsyncDisposableStack,
): Promise<pg.Client> {
  const { client } = stack.use(await openSession(connection, { doing }));
  try {
    await client.query(`SET search_path = ''; SET enable_tidscan = on`);
    await beginUnderSnapshot(client, snapshot.name);
    await lockTables(client, snapshot.tables, lockWaitMs);
  } catch (error) {
    throw postgresError(error, doing);
  }
  return client;
}

async function plan(
  { session, tables, version }: DumpSnapshot,
  doing: Doing,
  { jobs, partBytesMin: bytesMin, partBytesMax: bytesMax }: SplitDumpOptions & { readonly jobs: number },
): Promise<SplitPart[]> {
  try {
    const others = await readExtensionRows(session.client);
    if (others.length > 0) {
      throw new LongshoreError(
        'CHECK_FAILED',
        `a table of an extension has rows of its users, which the split form does not hold: ${others.join(', ')}`,
        { hint: 'back this database up with --format custom' },
      );
    }
    const sizes = await readHeapSizes(session.client, tables);
    // Before that each part would be a scan of the whole table.
    const cut = majorOf(version) >= RANGES_FROM_MAJOR ? {} : { bytesMin: Infinity, bytesMax: Infinity };
    const byOid = new Map(sizes.map((size) => [size.oid, size]));
    return planParts(tables, byOid, { jobs, bytesMin, bytesMax, ...cut });
  } catch (error) {
    throw postgresError(error, doing);
  }
}

function factsOf(
  parts: readonly SplitPart[],
  digests: ReadonlyMap<SplitPart, RowDigest>,
  snapshot: DumpSnapshot,
): DumpFacts {
  const partsOf = Map.groupBy(parts, ({ table }) => table);
  return {
    tables: snapshot.tables.map((table) => {
      const digest = new RowDigest();
      for (const part of partsOf.get(table) ?? []) {
        const read = digests.get(part);
        if (read === undefined) throw damaged(`a part of ${quotedTable(table)} is not in it`);
        digest.merge(read);
      }
      return { schema: table.schema, name: table.name, rows: digest.rows, digest: String(digest) };
    }),
    ...standing(snapshot),
  };
}

/** What needs no row to be read. */
function standing(snapshot: DumpSnapshot): Omit<DumpFacts, 'tables'> {
  return {
    sequences: Object.fromEntries(
      snapshot.sequences.map(({ schema, name, value }) => [`${schema}.${name}`, value] as const).sort(),
    ),
    objects: snapshot.objects,
    largeObjects: snapshot.largeObjects,
  };
}
