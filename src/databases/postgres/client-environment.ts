/**
 * What PostgreSQL's own programs are called with: a connection as environment variables, and its password in a file that
 * nobody else may read, so that neither the process list nor the environment has it.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { withFileCredentials } from '../../config/password-file.ts';
import { LongshoreError } from '../../errors.ts';
import { clientEnvironment } from '../client-programs.ts';

/**
 * @param folder private to this process
 * @throws CONFIG_INVALID for a password that such a file cannot hold
 */
export async function connectionEnvironment(
  given: DatabaseConnection,
  folder: string,
): Promise<Record<string, string | undefined>> {
  const connection = await withFileCredentials(given, 'postgres');
  const passwordFile = join(folder, 'pgpass');
  await writeFile(passwordFile, passwordLine(connection.password?.reveal()), { mode: 0o600 });
  return {
    ...clientEnvironment(),
    LC_ALL: 'C',
    PGHOST: connection.host,
    PGPORT: String(connection.port),
    PGUSER: connection.user,
    PGDATABASE: connection.database,
    PGPASSFILE: passwordFile,
    PGSSLMODE: connection.tls,
    PGSSLROOTCERT: connection.tlsCaFile,
    PGSSLCERT: connection.tlsCertificateFile,
    PGSSLKEY: connection.tlsKeyFile,
    PGAPPNAME: connection.applicationName,
    PGCONNECT_TIMEOUT: String(Math.ceil(connection.connectTimeoutMs / 1000)),
    // As our own sessions have it: what is dumped is compared with what is read later.
    PGOPTIONS: '-c TimeZone=UTC -c bytea_output=hex -c lc_monetary=C -c extra_float_digits=3',
  };
}

/** @see https://www.postgresql.org/docs/current/libpq-pgpass.html */
function passwordLine(password: string | undefined): string {
  if (password === undefined) return '';
  if (/[\r\n]/.test(password))
    throw new LongshoreError(
      'CONFIG_INVALID',
      'the password of the database holds a line break, which pg_dump cannot take',
      {
        hint: 'give the role another password',
      },
    );
  return `*:*:*:*:${password.replace(/[\\:]/g, '\\$&')}\n`;
}
