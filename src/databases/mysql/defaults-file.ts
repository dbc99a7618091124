/** The option file from which a client program learns how to connect: nothing of it stands in its arguments. */

import { userInfo } from 'node:os';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { isOlder, type MysqlClient } from './client-choice.ts';

/**
 * @param connection with the password that is used
 * @param ignored tables and views that a dump leaves out
 * @see https://dev.mysql.com/doc/refman/8.4/en/option-files.html
 */
export function defaultsFileText(
  connection: DatabaseConnection,
  client: MysqlClient,
  ignored: readonly string[] = [],
): string {
  const { host, port, user, password, database } = connection;
  const place: [string, string][] = host.startsWith('/')
    ? [
        ['protocol', 'socket'],
        ['socket', host],
      ]
    : [
        // A client takes `localhost` for a socket otherwise.
        ['protocol', 'tcp'],
        ['host', host],
        ['port', String(port)],
      ];
  const options: [string, string | undefined][] = [
    ...place,
    ['user', user ?? userInfo().username],
    ['password', password?.reveal() ?? ''],
    // A row of the server's largest size has to pass.
    ['max_allowed_packet', '1073741824'],
    ...(client.product === 'MariaDB' ? mariadbTls(connection) : mysqlTls(connection, client)),
    ...ignored.map((name): [string, string] => ['ignore-table', `${database}.${name}`]),
  ];
  const lines = options.map(([name, value]) => (value === undefined ? name : `${name}=${quoted(value)}`));
  return `[client]\n${lines.join('\n')}\n`;
}

/**
 * MariaDB's client knows no way to check the certificate and not the host's name: `verify-ca` checks both. Newer ones check
 * unless they are told not to.
 */
function mariadbTls({
  tls,
  tlsCaFile,
  tlsCertificateFile,
  tlsKeyFile,
}: DatabaseConnection): [string, string | undefined][] {
  if (tls === 'disable') return [['skip-ssl', undefined]];
  const verify = tls === 'verify-ca' || tls === 'verify-full';
  return [
    ['ssl', undefined],
    [verify ? 'ssl-verify-server-cert' : 'skip-ssl-verify-server-cert', undefined],
    ...files({ tlsCaFile, tlsCertificateFile, tlsKeyFile }),
  ];
}

const SSL_MODES = {
  disable: 'DISABLED',
  prefer: 'PREFERRED',
  require: 'REQUIRED',
  'verify-ca': 'VERIFY_CA',
  'verify-full': 'VERIFY_IDENTITY',
} as const;

function mysqlTls(connection: DatabaseConnection, client: MysqlClient): [string, string | undefined][] {
  return [
    ['ssl-mode', SSL_MODES[connection.tls]],
    // Without it, passwords of the newer kind are not sent over a connection that is not encrypted.
    ...(isOlder(client.version, '8.0') ? [] : [['get-server-public-key', undefined] as [string, undefined]]),
    ...(connection.tls === 'disable' ? [] : files(connection)),
  ];
}

function files({
  tlsCaFile,
  tlsCertificateFile,
  tlsKeyFile,
}: Pick<DatabaseConnection, 'tlsCaFile' | 'tlsCertificateFile' | 'tlsKeyFile'>): [string, string][] {
  const given: [string, string | undefined][] = [
    ['ssl-ca', tlsCaFile],
    ['ssl-cert', tlsCertificateFile],
    ['ssl-key', tlsKeyFile],
  ];
  return given.filter((entry): entry is [string, string] => entry[1] !== undefined);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '"': '\\"',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
};

function quoted(text: string): string {
  return `"${text.replace(/[\\"\n\r\t\u0008]/g, (character) => ESCAPES[character]!)}"`;
}
