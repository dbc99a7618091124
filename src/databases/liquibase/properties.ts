/** The properties file of Liquibase: what it connects to, and with which password. */

import type { DatabaseConnection, TlsMode } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';

/** With keys and values escaped as Java reads them. */
export function propertiesText(properties: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(properties)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${escaped(value)}\n`]))
    .join('');
}

/** Anything that Java or Liquibase may read as more than itself. */
function escaped(value: string): string {
  return value.replace(
    /[^A-Za-z0-9_./:-]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export interface JdbcTarget {
  readonly driver: string;
  readonly url: string;
}

/**
 * @param tls whether `prefer` came out encrypted is known by now
 * @param name of the session
 * @param derKeyFile of PostgreSQL: the client's key as Java reads it
 * @throws CHECK_FAILED for what the drivers cannot do
 */
export function jdbcTarget(
  dialect: 'postgres' | 'mysql',
  connection: DatabaseConnection,
  tls: Exclude<TlsMode, 'prefer'>,
  name: string,
  derKeyFile: string | undefined,
): JdbcTarget {
  if (connection.host.startsWith('/')) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `Cannot apply the changelog over the socket ${connection.host}: JDBC drivers connect by TCP`,
      { hint: 'give the host and the port in the URL' },
    );
  }
  const host = connection.host.includes(':') ? `[${connection.host}]` : connection.host;
  const place = `//${host}:${connection.port}/${encodeURIComponent(connection.database)}`;
  if (dialect === 'postgres') {
    const query = queryText(postgresSettings(connection, tls, name, derKeyFile));
    return { driver: 'org.postgresql.Driver', url: `jdbc:postgresql:${place}?${query}` };
  }
  if (connection.tlsCertificateFile !== undefined) {
    throw new LongshoreError(
      'CHECK_FAILED',
      'Cannot apply the changelog with a client certificate: the MariaDB driver reads none in PEM form',
      { hint: 'connect as a user that logs in with a password' },
    );
  }
  const database = connection.database;
  // The driver takes the name as it stands there.
  if (/[?&/#]/.test(database)) {
    throw new LongshoreError('CHECK_FAILED', `Cannot apply the changelog to a database named ${database}`, {
      hint: 'a name without ? & / and # is one that the MariaDB driver can be given',
    });
  }
  const query = queryText(mariadbSettings(connection, tls));
  return {
    driver: 'org.mariadb.jdbc.Driver',
    url: `jdbc:mariadb://${host}:${connection.port}/${database}?${query}`,
  };
}

type Settings = Readonly<Record<string, string | undefined>>;

function postgresSettings(
  connection: DatabaseConnection,
  tls: Exclude<TlsMode, 'prefer'>,
  name: string,
  derKeyFile: string | undefined,
): Settings {
  const checked = tls === 'verify-ca' || tls === 'verify-full';
  return {
    ApplicationName: name,
    connectTimeout: String(Math.ceil(connection.connectTimeoutMs / 1000)),
    // As in libpq, a root certificate is checked.
    sslmode: connection.tls === 'require' && connection.tlsCaFile !== undefined ? 'verify-ca' : tls,
    sslrootcert: tls === 'disable' ? undefined : connection.tlsCaFile,
    // Without a root certificate, the authorities that Java knows.
    sslfactory:
      checked && connection.tlsCaFile === undefined ? 'org.postgresql.ssl.DefaultJavaSSLFactory' : undefined,
    sslcert: derKeyFile === undefined ? undefined : connection.tlsCertificateFile,
    sslkey: derKeyFile,
  };
}

/** Of version 2 of the driver; version 3 knows them as well. */
function mariadbSettings(connection: DatabaseConnection, tls: Exclude<TlsMode, 'prefer'>): Settings {
  const checked = tls === 'verify-ca' || tls === 'verify-full';
  return {
    connectTimeout: String(connection.connectTimeoutMs),
    useSsl: tls === 'disable' ? undefined : 'true',
    trustServerCertificate: tls === 'require' ? 'true' : undefined,
    serverSslCert: checked ? connection.tlsCaFile : undefined,
    disableSslHostnameVerification: tls === 'verify-ca' ? 'true' : undefined,
    allowPublicKeyRetrieval: 'true',
    // As the server has it; the driver would take the encoding of the locale.
    passwordCharacterEncoding: 'UTF-8',
  };
}

function queryText(settings: Settings): string {
  return Object.entries(settings)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`]))
    .join('&')
    .replaceAll('%2F', '/');
}
