/** A PostgreSQL server for the tests of one file, and fresh databases on it. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../src/embedded/postgres.ts';

export interface PostgresServer extends AsyncDisposable {
  /** Of a superuser, or of whoever `TEST_PG` names. */
  readonly url: string;
  /** `undefined` where the server is not ours to restart. */
  restart: (() => Promise<void>) | undefined;
  /** Makes an empty database with a unique name. */
  createDatabase(): Promise<PostgresTestDatabase>;
}

export interface PostgresTestDatabase {
  readonly url: string;
  readonly name: string;
  /** Runs statements as the server's superuser. */
  sql(text: string): Promise<Record<string, unknown>[]>;
  /** A connection of its own, for a transaction that stays open. */
  session(): Promise<TestSession>;
}

export interface TestSession extends AsyncDisposable {
  sql(text: string): Promise<unknown>;
}

/**
 * The server of `TEST_PG` (a `postgres://` URL), else Debian's newest installed one, else the embedded one.
 * Disposing drops the databases it made and stops what it started.
 */
export async function postgresServer(): Promise<PostgresServer> {
  const given = process.env['TEST_PG'];
  const binFolder = debianBinFolder();
  const started = given ? undefined : await startPostgres(binFolder === undefined ? {} : { binFolder });
  const url = given || started!.url;
  const databases: { name: string; pool: pg.Pool }[] = [];
  return {
    url,
    restart: started && (() => started.restart()),
    async createDatabase() {
      const name = `longshore_test_${process.pid}_${Date.now().toString(36)}_${databases.length}`;
      await once(url, `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`);
      const own = new URL(url);
      own.pathname = `/${name}`;
      const pool = new pg.Pool({ connectionString: own.href, max: 4 });
      pool.on('error', () => {});
      // `end` does not wait for the connections to close, so a server that stops right after may still end them.
      pool.on('connect', (client) => client.on('error', () => {}));
      databases.push({ name, pool });
      return {
        url: own.href,
        name,
        async sql(text) {
          const result: unknown = await pool.query(text);
          const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult;
          return last.rows as Record<string, unknown>[];
        },
        async session() {
          const client = new pg.Client({ connectionString: own.href });
          client.on('error', () => {});
          await client.connect();
          return { sql: (text) => client.query(text), [Symbol.asyncDispose]: () => client.end() };
        },
      };
    },
    async [Symbol.asyncDispose]() {
      for (const { name, pool } of databases) {
        await pool.end();
        if (started === undefined) await once(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }
      await started?.[Symbol.asyncDispose]();
    },
  };
}

async function once(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

/** Of the newest server that Debian has installed here. */
export function debianBinFolder(): string | undefined {
  const root = '/usr/lib/postgresql';
  let versions: string[];
  try {
    versions = readdirSync(root);
  } catch {
    return undefined;
  }
  versions.sort((left, right) => Number(right) - Number(left));
  return versions
    .map((version) => join(root, version, 'bin'))
    .find((folder) => {
      try {
        return readdirSync(folder).includes('initdb');
      } catch {
        return false;
      }
    });
}
