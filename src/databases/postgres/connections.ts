/** A pool of connections to one PostgreSQL database, set up so that texts come out the same on every one. */

import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import pg from 'pg';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { ConnectionWaits } from '../connection-waits.ts';
import { clientConfig, SESSION } from './client-config.ts';
import { type Doing, postgresError } from './errors.ts';

/** The subset of a client that statements are sent through. */
export type Client = Pick<pg.ClientBase, 'query'>;

export class PostgresConnections implements AsyncDisposable {
  readonly #connection: DatabaseConnection;
  readonly #max: number;
  readonly #waits = new ConnectionWaits<pg.PoolClient>((client) => client.release(true));
  #pool: Promise<pg.Pool> | undefined;
  #config: pg.ClientConfig | undefined;

  constructor(connection: DatabaseConnection, max: number) {
    this.#connection = connection;
    this.#max = max;
  }

  /**
   * Runs `work` with a connection of the pool. A connection that broke, or on which a statement was cancelled,
   * is closed and not used again, so that whatever it had open is rolled back.
   */
  async use<T>(
    doing: Doing,
    signal: AbortSignal | undefined,
    work: (client: Client) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    let client: pg.PoolClient;
    try {
      client = await this.#waits.wait(async () => (await this.#open()).connect(), doing, signal);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw postgresError(error, doing);
    }
    const cancel = () => void this.#cancel(client);
    signal?.addEventListener('abort', cancel, { once: true });
    let drop = true;
    try {
      signal?.throwIfAborted();
      const result = await work(client);
      drop = false;
      return result;
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const failure = postgresError(error, doing);
      if (failure.code !== 'DATABASE_UNREACHABLE' && error instanceof pg.DatabaseError) {
        drop = !(await rolledBack(client));
      }
      throw failure;
    } finally {
      signal?.removeEventListener('abort', cancel);
      client.release(drop || (signal?.aborted ?? false));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#waits.close();
    const pool = await this.#pool?.catch(() => undefined);
    this.#pool = undefined;
    if (pool !== undefined && !pool.ending) await pool.end();
  }

  #open(): Promise<pg.Pool> {
    this.#pool ??= this.#openPool().catch((error: unknown) => {
      this.#pool = undefined;
      throw error;
    });
    return this.#pool;
  }

  async #openPool(): Promise<pg.Pool> {
    const { connectTimeoutMs } = this.#connection;
    const config = await clientConfig(this.#connection);
    this.#config = config;
    const pool = new pg.Pool({
      ...config,
      max: this.#max,
      idleTimeoutMillis: 30_000,
      // The pool's own time-out would also count the wait for a free connection; the client's does not.
      Client: class extends pg.Client {
        constructor(options?: pg.ClientConfig) {
          // The pool hides the password from being copied.
          super({ ...options, password: config.password, connectionTimeoutMillis: connectTimeoutMs });
          // The driver leaves a socket open when it gives up on a connection while that is made.
          const { connection } = this as unknown as { connection: EventEmitter & { stream: Socket } };
          connection.once('error', () => connection.stream.destroy());
        }
      },
      onConnect: async (client) => {
        // A connection that breaks while it is used also fails its statement, which is where it is seen.
        client.on('error', () => {});
        await client.query(SESSION);
      },
    });
    pool.on('error', () => {});
    return pool;
  }

  /** Asks the server, over a connection of its own, to end this one; a statement alone may not be running now. */
  async #cancel(client: pg.PoolClient): Promise<void> {
    const { processID } = client as unknown as { readonly processID: number | null };
    if (this.#config === undefined || processID === null) return;
    const other = new pg.Client({
      ...this.#config,
      connectionTimeoutMillis: this.#connection.connectTimeoutMs,
    });
    other.on('error', () => {});
    try {
      await other.connect();
      await other.query('SELECT pg_terminate_backend($1)', [processID]);
    } catch {
      // Unreachable: then the statement fails by itself, and its connection is dropped either way.
    } finally {
      await other.end().catch(() => {});
    }
  }
}

async function rolledBack(client: Client): Promise<boolean> {
  try {
    await client.query('ROLLBACK');
    return true;
  } catch {
    return false;
  }
}
