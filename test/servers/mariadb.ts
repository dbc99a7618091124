/** A MariaDB or MySQL server for the tests of one file, and fresh databases on it. */

import { createConnection, createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { startMariadb } from '../../src/embedded/mariadb.ts';
import { mariadbInstalled } from '../../src/embedded/mariadb-binaries.ts';

export interface MariadbServer extends AsyncDisposable {
  /** Of a user with every privilege. */
  readonly url: string;
  restart: (() => Promise<void>) | undefined;
  /** Makes an empty database with a unique name. */
  createDatabase(): Promise<MariadbTestDatabase>;
}

export interface MariadbTestDatabase {
  readonly url: string;
  readonly name: string;
  /** Runs one statement, or several separated by `;`, as the user with every privilege. */
  sql(text: string): Promise<Record<string, unknown>[]>;
  /** A connection of its own, for a transaction that stays open. */
  session(): Promise<TestSession>;
}

export interface TestSession extends AsyncDisposable {
  sql(text: string): Promise<unknown>;
}

/**
 * Whether a server can be had; when not, prints what to install.
 * For `describe.skipIf(!mariadbAvailable())`.
 */
export function mariadbAvailable(): boolean {
  if (process.env['TEST_MYSQL'] || mariadbInstalled() !== undefined) return true;
  console.warn('skipped: no MariaDB or MySQL; apt-get install mariadb-server, or set TEST_MYSQL=mysql://…');
  return false;
}

/** The server of `TEST_MYSQL` (a `mysql://` URL), else an installed MariaDB, run in a temporary folder. */
export async function mariadbServer(): Promise<MariadbServer> {
  const given = process.env['TEST_MYSQL'];
  const started = given ? undefined : await startMariadb();
  const url = given || started!.url;
  const databases: { name: string; pool: Pool }[] = [];
  return {
    url,
    restart: started && (() => started.restart()),
    async createDatabase() {
      const name = `longshore_test_${process.pid}_${Date.now().toString(36)}_${databases.length}`;
      await once(url, `CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
      const own = new URL(url);
      own.pathname = `/${name}`;
      const pool = createPool({
        uri: own.href,
        connectionLimit: 4,
        multipleStatements: true,
        charset: 'utf8mb4',
      });
      databases.push({ name, pool });
      return {
        url: own.href,
        name,
        async sql(text) {
          const [rows] = await pool.query<RowDataPacket[]>(text);
          return rows;
        },
        async session() {
          const connection = await createConnection({ uri: own.href, charset: 'utf8mb4' });
          return { sql: (text) => connection.query(text), [Symbol.asyncDispose]: () => connection.end() };
        },
      };
    },
    async [Symbol.asyncDispose]() {
      for (const { name, pool } of databases) {
        await pool.end();
        if (started === undefined) await once(url, `DROP DATABASE IF EXISTS ${name}`);
      }
      await started?.[Symbol.asyncDispose]();
    },
  };
}

async function once(url: string, text: string): Promise<void> {
  const connection = await createConnection({ uri: url, multipleStatements: true });
  try {
    await connection.query(text);
  } finally {
    await connection.end();
  }
}
