/** What every connection to PostgreSQL is opened with. */

import { readFile } from 'node:fs/promises';
import pg from 'pg';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { withFileCredentials } from '../../config/password-file.ts';

/**
 * Settings that change how a value is written as text, or whether a commit is durable, are the session's own: a
 * row must not go back to its old value after a crash when its object is already deleted. Without `row_security`
 * a query that a policy would hide rows from fails: an object that only hidden rows name must not be deleted.
 */
export const SESSION = `
  SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
  SET extra_float_digits = 3; SET bytea_output = 'hex'; SET row_security = off;
  SELECT set_config('jit', 'off', false) FROM pg_settings WHERE name = 'jit';
  SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`;

/** With passwords and encryption settled as libpq does. */
export async function clientConfig(given: DatabaseConnection): Promise<pg.ClientConfig> {
  const connection = await withFileCredentials(given, 'postgres');
  const config: pg.ClientConfig = {
    host: connection.host,
    port: connection.port,
    user: connection.user,
    database: connection.database,
    // A function, even when there is none, keeps the driver from reading files by itself.
    password: () => connection.password?.reveal() as string,
    application_name: connection.applicationName,
    keepAlive: true,
    ssl: await tlsOptions(connection),
  };
  if (connection.tls === 'prefer' && !(await serverEncrypts(config, connection.connectTimeoutMs)))
    config.ssl = false;
  return config;
}

async function tlsOptions(connection: DatabaseConnection): Promise<pg.ClientConfig['ssl']> {
  const { tls, tlsCaFile, tlsCertificateFile, tlsKeyFile } = connection;
  if (tls === 'disable') return false;
  const files = {
    ...(tlsCaFile === undefined ? {} : { ca: await readFile(tlsCaFile, 'utf8') }),
    ...(tlsCertificateFile === undefined ? {} : { cert: await readFile(tlsCertificateFile, 'utf8') }),
    ...(tlsKeyFile === undefined ? {} : { key: await readFile(tlsKeyFile, 'utf8') }),
  };
  if (tls === 'verify-full') return { ...files, rejectUnauthorized: true };
  // As in libpq, `require` with a root certificate checks the chain, without one it checks nothing.
  const checked = tls === 'verify-ca' || (tls === 'require' && tlsCaFile !== undefined);
  return { ...files, rejectUnauthorized: checked, checkServerIdentity: () => undefined };
}

async function serverEncrypts(config: pg.ClientConfig, connectTimeoutMs: number): Promise<boolean> {
  const client = new pg.Client({ ...config, connectionTimeoutMillis: connectTimeoutMs });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } catch (error) {
    if (error instanceof Error && /does not support SSL/i.test(error.message)) return false;
    throw error;
  } finally {
    await client.end().catch(() => {});
  }
}
