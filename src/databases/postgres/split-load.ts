/** Loads a dump in parts into an empty PostgreSQL database, over several connections. */

import type { Readable } from 'node:stream';
import type pg from 'pg';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { utf8Text } from '../../flow/utf8-text.ts';
import type { RestoreOptions } from '../dump.ts';
import { copyIn } from './copy-in.ts';
import type { SequencePosition } from './dump-catalogue.ts';
import type { DumpedTable } from './dump-content.ts';
import { type Doing, postgresError } from './errors.ts';
import { openSession } from './open-session.ts';
import { laterSteps, tableKey } from './post-data.ts';
import { runLater } from './run-later.ts';
import { checkCommand, runSqlScript } from './run-script.ts';
import { leftOut } from './script-left-out.ts';
import { readSqlScript, type ScriptPart } from './sql-script.ts';
import { quotedTable } from './table-catalogue.ts';
import { columnList } from './table-digests.ts';

export interface LoadedTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
}

/**
 * In this order: the script before the rows, rows and scripts of others, sequences, the script behind the rows. Grants wait for
 * the last, as those of pg_restore do: an owner may have been denied to write into a table of his own.
 */
export interface SplitLoad extends AsyncDisposable {
  /** On a connection of its own. */
  runScript(script: Readable): Promise<void>;
  /**
   * As many at the same time as there are jobs.
   * @param whole whether all rows of the table are these
   * @returns how many rows there were
   * @throws what `rows` throws, with none of them loaded
   */
  copy(
    table: LoadedTable,
    whole: boolean,
    rows: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<number>;
  /**
   * The same with rows from elsewhere: `work` runs the `COPY … FROM STDIN` on the connection.
   * @returns what `work` does
   */
  take<T>(
    table: LoadedTable,
    whole: boolean,
    work: (target: { readonly client: pg.Client; readonly text: string }) => Promise<T>,
  ): Promise<T>;
  setSequences(sequences: readonly SequencePosition[]): Promise<void>;
  /**
   * Durable when it resolves, as all before it.
   * @param bytes about so many each table has
   */
  finish(script: Readable, bytes: ReadonlyMap<DumpedTable, number>): Promise<void>;
}

/** Run behind the rows, as pg_restore does: an owner may have denied himself to write. With them goes in whose name they are. */
const GRANTS = /^(?:GRANT|REVOKE|SET SESSION AUTHORIZATION|RESET SESSION AUTHORIZATION)\b/;
/** What needs the grants, or would be called for each of them. */
const BEHIND_GRANTS = /^(?:REFRESH MATERIALIZED VIEW|CREATE EVENT TRIGGER) /;

/** Of all sessions together, where the server gives each less than its share. */
const INDEX_MEMORY_MB = 512;

/** @param signal closes the connections, whatever they do */
export async function openSplitLoad(
  connection: DatabaseConnection,
  options: RestoreOptions,
  jobs: number,
  signal: AbortSignal,
): Promise<SplitLoad> {
  const { database, user } = connection;
  const doing: Doing = { action: `restore into ${database}`, database, user };
  const skip = leftOut(options);
  const stack = new AsyncDisposableStack();
  const asked = async <T>(action: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      throw postgresError(error, { ...doing, action });
    }
  };
  let clients: pg.Client[];
  try {
    clients = await Promise.all(
      Array.from({ length: jobs }, async () => {
        const session = stack.use(await openSession(connection, { doing }));
        await asked(doing.action, () => session.client.query(settings(jobs)));
        return session.client;
      }),
    );
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
  const stop = (): void => void stack.disposeAsync();
  signal.addEventListener('abort', stop, { once: true });
  stack.defer(() => signal.removeEventListener('abort', stop));
  if (signal.aborted) stop();
  const free = [...clients];
  const grants: string[] = [];
  const take: SplitLoad['take'] = async (table, whole, work) => {
    const client = free.pop();
    if (client === undefined) throw new Error('every connection of the restore is busy');
    const name = quotedTable(table);
    const text = `COPY ${name} ${columnList(table)} FROM STDIN`;
    return asked(`load ${name}`, async () => {
      // A table that was emptied in the same transaction takes rows that need not be visited again.
      if (whole) await client.query(`BEGIN; TRUNCATE ONLY ${name}`);
      const result = await work({ client, text: whole ? `${text} WITH (FREEZE)` : text });
      if (whole) await client.query('COMMIT');
      free.push(client);
      return result;
    });
  };
  return {
    async runScript(script) {
      await using session = await openSession(connection, { doing });
      await asked(doing.action, () => session.client.query('SET synchronous_commit = off'));
      const held: string[] = [];
      const leave = (part: ScriptPart): boolean => {
        if (skip(part)) return true;
        if (part.kind !== 'statement' || !GRANTS.test(part.text)) return false;
        held.push(part.text);
        return true;
      };
      await runSqlScript(session, utf8Text(script), { doing, skip: leave, signal });
      grants.push(...held);
    },
    copy: (table, whole, rows) => take(table, whole, ({ client, text }) => copyIn(client, text, rows)),
    take,
    setSequences: (sequences) =>
      asked('set the sequences', async () => {
        const columns = [
          sequences.map(({ schema }) => schema),
          sequences.map(({ name }) => name),
          sequences.map(({ value }) => value.split(' ')[0]),
          sequences.map(({ value }) => value.split(' ')[1]),
        ];
        await clients[0]!.query(SET_SEQUENCES, columns);
      }),
    async finish(script, bytes) {
      const statements: string[] = [];
      for await (const part of readSqlScript(utf8Text(script))) {
        if (part.kind === 'command') checkCommand(part);
        else if (!skip(part)) statements.push(part.text);
      }
      const last = statements.findIndex((text) => BEHIND_GRANTS.test(text));
      statements.splice(last < 0 ? statements.length : last, 0, ...grants);
      const sizes = new Map([...bytes].map(([table, size]) => [tableKey(table), size]));
      await runLater(clients, laterSteps(statements, new Set(sizes.keys())), sizes, doing, signal);
      await asked('make the restore durable', () => clients[0]!.query(FLUSH));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Until the end no commit waits for the disk: what a crash leaves is restored again from the beginning. */
function settings(jobs: number): string {
  const memory = Math.floor(INDEX_MEMORY_MB / jobs);
  return `
    SET search_path = ''; SET xmloption = content; SET synchronous_commit = off;
    RESET max_parallel_workers_per_gather;
    SELECT set_config('maintenance_work_mem', '${memory}MB', false) FROM pg_settings
    WHERE name = 'maintenance_work_mem' AND setting::int8 < ${memory * 1024}`;
}

/** A commit that writes something is on the disk with everything before it. */
const FLUSH = `SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'longshore', 'restored')`;

const SET_SEQUENCES = `
SELECT pg_catalog.setval(format('%I.%I', s.schema, s.name)::regclass, s.value, s.called)
FROM unnest($1::text[], $2::text[], $3::int8[], $4::bool[]) s (schema, name, value, called)`;
