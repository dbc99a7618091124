/** Reads a database URL, with the columns it names, into a frozen plain object. */

import { userInfo } from 'node:os';
import { LongshoreError } from '../errors.ts';
import { type ColumnName, parseColumns } from './column-fragment.ts';
import { Secret } from './secret.ts';

/** How far the connection is encrypted; libpq's words. `prefer`: encrypted where the server can. */
export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** What a driver needs to connect. */
export interface DatabaseConnection {
  /** A host's name or address, or the folder (PostgreSQL) or file (MySQL) of a Unix socket, which starts with `/`. */
  readonly host: string;
  readonly port: number;
  /** Undefined: asked of `~/.my.cnf` (MySQL), else the operating system's user. */
  readonly user: string | undefined;
  /** From the URL or the environment; undefined: asked of `.pgpass` or `~/.my.cnf` when connecting. */
  readonly password: Secret | undefined;
  readonly database: string;
  readonly tls: TlsMode;
  /** Files in PEM form. */
  readonly tlsCaFile?: string | undefined;
  readonly tlsCertificateFile?: string | undefined;
  readonly tlsKeyFile?: string | undefined;
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
}

export interface DatabaseUrl {
  readonly dialect: 'postgres' | 'mysql';
  readonly connection: DatabaseConnection;
  readonly columns: readonly ColumnName[];
  /** As a person would write it, without the password: `postgres://user@host:5432/db`. */
  readonly name: string;
}

/** Parameters after `?`, and what each is for; the spellings of libpq, MySQL's tools and the common drivers. */
const PARAMETERS: Readonly<Record<string, keyof Settings | 'ignored'>> = {
  host: 'host',
  port: 'port',
  user: 'user',
  password: 'password',
  dbname: 'database',
  socket: 'host',
  socketpath: 'host',
  sslmode: 'tls',
  'ssl-mode': 'tls',
  sslrootcert: 'tlsCaFile',
  'ssl-ca': 'tlsCaFile',
  sslcert: 'tlsCertificateFile',
  'ssl-cert': 'tlsCertificateFile',
  sslkey: 'tlsKeyFile',
  'ssl-key': 'tlsKeyFile',
  application_name: 'applicationName',
  connect_timeout: 'connectTimeoutSeconds',
  channel_binding: 'ignored',
  charset: 'ignored',
  client_encoding: 'ignored',
  connection_limit: 'ignored',
  gssencmode: 'ignored',
  pgbouncer: 'ignored',
  pool_timeout: 'ignored',
  schema: 'ignored',
  target_session_attrs: 'ignored',
};

const TLS_MODES: Readonly<Record<string, TlsMode>> = {
  disable: 'disable',
  disabled: 'disable',
  allow: 'prefer',
  prefer: 'prefer',
  preferred: 'prefer',
  require: 'require',
  required: 'require',
  'verify-ca': 'verify-ca',
  verify_ca: 'verify-ca',
  'verify-full': 'verify-full',
  verify_identity: 'verify-full',
};

interface Settings {
  host?: string;
  port?: string;
  user?: string;
  password?: string;
  database?: string;
  tls?: string;
  tlsCaFile?: string;
  tlsCertificateFile?: string;
  tlsKeyFile?: string;
  applicationName?: string;
  connectTimeoutSeconds?: string;
}

/**
 * Parses `postgres://`, `postgresql://`, `mysql://` and `mariadb://` URLs.
 *
 * `postgres://user:pw@host:5432/db?sslmode=require#schema.table.column`; the fragment may name several columns
 * separated by commas, names with dots or capitals in double quotes or backquotes, and after a column `:text`,
 * `:json`, `:array` or `:value`. Every part may be percent-encoded. A socket is `?host=/var/run/postgresql`.
 * What the URL leaves out comes from the environment (`PGHOST`, `PGPASSWORD`, `MYSQL_PWD`, …).
 *
 * @throws URL_INVALID, whose message holds nothing that stands where a password may stand
 */
export function parseDatabaseUrl(
  text: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): DatabaseUrl {
  const parts = /^([a-z]+):\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?(?:#(.*))?$/is.exec(text.trim());
  const dialect = dialectOf(parts?.[1]);
  if (parts === null) throw invalid('it does not start with postgres:// or mysql://', dialect);
  if (dialect === undefined)
    throw invalid(`the scheme "${parts[1]}" is none of postgres, postgresql, mysql, mariadb`);
  if (/@/.test(`${parts[3] ?? ''}${parts[4] ?? ''}${parts[5] ?? ''}`)) {
    throw invalid(
      'an @ stands after the host; a / ? or # in the password, or an @ in a name, is percent-encoded',
      dialect,
    );
  }
  const settings: Settings = {
    ...fromEnvironment(environment, dialect),
    ...fromAuthority(parts[2]!, dialect),
    ...(parts[3] ? { database: decode(parts[3], dialect) } : {}),
    ...fromQuery(parts[4] ?? '', dialect),
  };
  const columns = parts[5] === undefined ? [] : parseColumns(decode(parts[5], dialect), dialect);
  if (typeof columns === 'string') throw invalid(columns, dialect);
  const connection = connectionOf(settings, dialect);
  return Object.freeze({
    dialect,
    connection: Object.freeze(connection),
    columns: Object.freeze(columns),
    name: nameOf(connection, dialect),
  });
}

/** The URL without its password, wherever it may stand; also of text that is no valid URL. */
export function withoutPassword(text: string): string {
  return text
    .replace(/^([a-z]+:\/\/)([^/?#]*)@/i, (_, scheme: string, credentials: string) => {
      const colon = credentials.indexOf(':');
      return `${scheme}${colon < 0 ? credentials : credentials.slice(0, colon)}@`;
    })
    .replace(/([?&]password=)[^&#]*/gi, '$1');
}

function connectionOf(settings: Settings, dialect: 'postgres' | 'mysql'): DatabaseConnection {
  const host = settings.host || 'localhost';
  const port = Number(settings.port ?? (dialect === 'postgres' ? 5432 : 3306));
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw invalid('the port is not a number from 1 to 65535', dialect);
  }
  if (host.includes(',')) throw invalid('it names several hosts, and one is supported', dialect);
  const user = settings.user ?? (dialect === 'postgres' ? userInfo().username : undefined);
  const database = settings.database ?? (dialect === 'postgres' ? user : undefined);
  if (!database) throw invalid('it names no database', dialect);
  const local = host.startsWith('/') || ['localhost', '127.0.0.1', '::1'].includes(host);
  const tls =
    settings.tls === undefined ? (local ? 'disable' : 'prefer') : TLS_MODES[settings.tls.toLowerCase()];
  if (tls === undefined)
    throw invalid('its sslmode is none of disable, prefer, require, verify-ca, verify-full', dialect);
  const connectTimeoutSeconds = Number(settings.connectTimeoutSeconds ?? 15);
  if (!(connectTimeoutSeconds > 0))
    throw invalid('its connect_timeout is not a number of seconds above 0', dialect);
  return {
    host,
    port,
    user,
    password: settings.password === undefined ? undefined : new Secret(settings.password),
    database,
    tls,
    tlsCaFile: settings.tlsCaFile,
    tlsCertificateFile: settings.tlsCertificateFile,
    tlsKeyFile: settings.tlsKeyFile,
    applicationName: settings.applicationName ?? 'longshore',
    connectTimeoutMs: connectTimeoutSeconds * 1000,
  };
}

function fromAuthority(authority: string, dialect: 'postgres' | 'mysql'): Settings {
  const at = authority.lastIndexOf('@');
  const settings: Settings = {};
  if (at >= 0) {
    const credentials = authority.slice(0, at);
    const colon = credentials.indexOf(':');
    const user = colon < 0 ? credentials : credentials.slice(0, colon);
    if (user !== '') settings.user = decode(user, dialect);
    if (colon >= 0) settings.password = decode(credentials.slice(colon + 1), dialect);
  }
  const place = /^(\[[0-9a-f:.%]*\]|[^:]*)(?::(\d*))?$/i.exec(authority.slice(at + 1));
  if (place === null) {
    throw invalid(
      'what follows the host is not a port; a password with / ? # or : is percent-encoded',
      dialect,
    );
  }
  if (place[1]) settings.host = decode(place[1].replace(/^\[|\]$/g, ''), dialect);
  if (place[2]) settings.port = place[2];
  return settings;
}

function fromQuery(query: string, dialect: 'postgres' | 'mysql'): Settings {
  const settings: Settings = {};
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals), dialect);
    const setting = PARAMETERS[name.toLowerCase()];
    if (setting === undefined) throw invalid(`the parameter "${name}" is not known`, dialect);
    if (setting === 'ignored' || equals < 0) continue;
    settings[setting] = decode(pair.slice(equals + 1), dialect);
  }
  return settings;
}

function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  dialect: 'postgres' | 'mysql',
): Settings {
  const names: Readonly<Partial<Record<keyof Settings, string>>> =
    dialect === 'postgres'
      ? {
          host: 'PGHOST',
          port: 'PGPORT',
          user: 'PGUSER',
          password: 'PGPASSWORD',
          database: 'PGDATABASE',
          tls: 'PGSSLMODE',
          tlsCaFile: 'PGSSLROOTCERT',
          tlsCertificateFile: 'PGSSLCERT',
          tlsKeyFile: 'PGSSLKEY',
          applicationName: 'PGAPPNAME',
          connectTimeoutSeconds: 'PGCONNECT_TIMEOUT',
        }
      : { host: 'MYSQL_HOST', port: 'MYSQL_TCP_PORT', password: 'MYSQL_PWD' };
  const settings: Settings = {};
  for (const [setting, variable] of Object.entries(names)) {
    const value = environment[variable];
    if (value) settings[setting as keyof Settings] = value;
  }
  return settings;
}

/** As a person would write it, without the password. */
export function nameOf(connection: DatabaseConnection, dialect: 'postgres' | 'mysql'): string {
  const user = connection.user === undefined ? '' : `${encodeURIComponent(connection.user)}@`;
  const socket = connection.host.startsWith('/');
  const host = connection.host.includes(':') ? `[${connection.host}]` : connection.host;
  const place = socket ? '' : `${host}:${connection.port}`;
  const query = socket ? `?host=${connection.host}` : '';
  return `${dialect}://${user}${place}/${encodeURIComponent(connection.database)}${query}`;
}

function dialectOf(scheme: string | undefined): 'postgres' | 'mysql' | undefined {
  if (scheme === undefined) return undefined;
  if (/^postgres(ql)?$/i.test(scheme)) return 'postgres';
  return /^(mysql|mariadb)$/i.test(scheme) ? 'mysql' : undefined;
}

function decode(text: string, dialect: 'postgres' | 'mysql'): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('a % is not followed by two hexadecimal digits; a % itself is written %25', dialect);
  }
}

function invalid(reason: string, dialect: 'postgres' | 'mysql' = 'postgres'): LongshoreError {
  const example =
    dialect === 'postgres'
      ? 'postgres://user:password@host:5432/database#schema.table.column'
      : 'mysql://user:password@host:3306/database#table.column';
  return new LongshoreError('URL_INVALID', `Cannot read the database URL: ${reason}`, {
    hint: `write it as ${example}; characters with a meaning in URLs are percent-encoded, names with capitals or dots stand in double quotes`,
  });
}
