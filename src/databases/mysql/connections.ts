/** A pool of connections to one MySQL or MariaDB database, set up so that values come out the same on every one. */

import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import type { Connection as CoreConnection } from 'mysql2';
import {
  type ConnectionOptions,
  createConnection,
  createPool,
  type Pool,
  type PoolConnection,
  type ResultSetHeader,
  type RowDataPacket,
  type SslOptions,
} from 'mysql2/promise';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { withFileCredentials } from '../../config/password-file.ts';
import { ConnectionWaits } from '../connection-waits.ts';
import { type Doing, isFatal, mysqlError } from './errors.ts';

/**
 * Strict, so that nothing is cut in silence; lock time-outs short, so that the application does not queue behind
 * us. `net_write_timeout` is the patience of the server while a batch of a scan is worked on.
 */
const SESSION = [
  'SET NAMES utf8mb4',
  `SET SESSION sql_mode = 'STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1,
     time_zone = '+00:00', innodb_lock_wait_timeout = 1, lock_wait_timeout = 5, net_write_timeout = 3600,
     sql_safe_updates = 0, sql_big_selects = 1, sql_auto_is_null = 0`,
  'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
];

/** One connection, lent for the time of a piece of work. */
export interface Client {
  /** Rows as arrays of columns, every one of them text. */
  rows(sql: string): Promise<string[][]>;
  /** Runs a statement that changes rows. @returns how many rows its condition held for */
  change(sql: string): Promise<number>;
  /** Rows one by one, without holding more than a few. Where it is not read to its end, the connection is dropped. */
  stream(sql: string): AsyncIterable<string[]>;
}

export class MysqlConnections implements AsyncDisposable {
  readonly #connection: DatabaseConnection;
  readonly #max: number;
  readonly #ready = new WeakSet<object>();
  readonly #waits = new ConnectionWaits<PoolConnection>((connection) => connection.destroy());
  #pool: Promise<Pool> | undefined;
  #options: ConnectionOptions | undefined;

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
    let connection: PoolConnection;
    try {
      connection = await this.#waits.wait(async () => (await this.#open()).getConnection(), doing, signal);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw mysqlError(error, doing);
    }
    const cancel = () => void this.#kill(connection);
    signal?.addEventListener('abort', cancel, { once: true });
    let drop = true;
    try {
      signal?.throwIfAborted();
      if (!this.#ready.has(connection.connection)) {
        for (const sql of SESSION) await connection.query(sql);
        this.#ready.add(connection.connection);
      }
      const lent = lend(connection);
      const result = await work(lent.client);
      drop = lent.unread();
      return result;
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (!isFatal(error)) drop = !(await rolledBack(connection));
      throw mysqlError(error, doing);
    } finally {
      signal?.removeEventListener('abort', cancel);
      if (drop || signal?.aborted) connection.destroy();
      else connection.release();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#waits.close();
    const pool = await this.#pool?.catch(() => undefined);
    this.#pool = undefined;
    await pool?.end();
  }

  #open(): Promise<Pool> {
    this.#pool ??= this.#openPool().catch((error: unknown) => {
      this.#pool = undefined;
      throw error;
    });
    return this.#pool;
  }

  async #openPool(): Promise<Pool> {
    const connection = await withFileCredentials(this.#connection, 'mysql');
    const options: ConnectionOptions = {
      ...(connection.host.startsWith('/')
        ? { socketPath: connection.host }
        : { host: connection.host, port: connection.port }),
      user: connection.user ?? userInfo().username,
      ...(connection.password === undefined ? {} : { password: connection.password.reveal() }),
      database: connection.database,
      charset: 'utf8mb4',
      connectTimeout: connection.connectTimeoutMs,
      multipleStatements: false,
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      enableKeepAlive: true,
      connectAttributes: { program_name: connection.applicationName },
      ...(connection.tls === 'disable' ? {} : { ssl: await tlsOptions(connection) }),
    };
    if (connection.tls === 'prefer' && !(await serverEncrypts(options))) delete options.ssl;
    this.#options = options;
    return createPool({ ...options, connectionLimit: this.#max, maxIdle: this.#max, idleTimeout: 30_000 });
  }

  /** Asks the server, over a connection of its own, to end this one; a statement alone may not be running now. */
  async #kill(connection: PoolConnection): Promise<void> {
    try {
      const other = await createConnection(this.#options!);
      await other.query(`KILL ${Math.trunc(connection.threadId)}`).finally(() => other.end());
    } catch {
      // Gone already, or unreachable: then closing our side is what is left.
      connection.destroy();
    }
  }
}

function lend(connection: PoolConnection): { client: Client; unread: () => boolean } {
  let unread = false;
  const client: Client = {
    async rows(sql) {
      const [rows] = await connection.query<RowDataPacket[][]>({ sql, rowsAsArray: true });
      return rows as unknown as string[][];
    },
    async change(sql) {
      const [result] = await connection.query<ResultSetHeader>(sql);
      return result.affectedRows;
    },
    async *stream(sql) {
      unread = true;
      yield* core(connection)
        .query({ sql, rowsAsArray: true })
        .stream({ highWaterMark: 16 }) as AsyncIterable<string[]>;
      unread = false;
    },
  };
  return { client, unread: () => unread };
}

/** The connection under the one with promises, which alone can stream. */
function core(connection: PoolConnection): CoreConnection {
  return connection.connection as unknown as CoreConnection;
}

async function rolledBack(connection: PoolConnection): Promise<boolean> {
  try {
    await connection.query('ROLLBACK');
    return true;
  } catch {
    return false;
  }
}

async function tlsOptions(connection: DatabaseConnection): Promise<SslOptions> {
  const { tls, tlsCaFile, tlsCertificateFile, tlsKeyFile } = connection;
  return {
    ...(tlsCaFile === undefined ? {} : { ca: await readFile(tlsCaFile, 'utf8') }),
    ...(tlsCertificateFile === undefined ? {} : { cert: await readFile(tlsCertificateFile, 'utf8') }),
    ...(tlsKeyFile === undefined ? {} : { key: await readFile(tlsKeyFile, 'utf8') }),
    rejectUnauthorized: tls === 'verify-ca' || tls === 'verify-full',
    verifyIdentity: tls === 'verify-full',
  };
}

async function serverEncrypts(options: ConnectionOptions): Promise<boolean> {
  try {
    await (await createConnection(options)).end();
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'HANDSHAKE_NO_SSL_SUPPORT') return false;
    throw error;
  }
}
