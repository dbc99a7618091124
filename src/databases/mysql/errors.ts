/** Turns what the driver and the server throw into errors with a code, without any cell's value in them. */

import { type ErrorCode, LongshoreError, messageOf } from '../../errors.ts';
import type { ColumnFacts } from '../database.ts';
import { quoteName, tableOf } from './sql.ts';

/** What was being done, for the error's message. */
export interface Doing {
  /** A verb with its object: `read rows of app.avatars`. */
  readonly action: string;
  /** The database's name, without password. */
  readonly database: string;
  readonly user: string | undefined;
  readonly column?: ColumnFacts | undefined;
}

const LOCK_TIMEOUT = 1205;

/**
 * Error numbers and the code they become. Numbers not named here, and those of constraints, triggers and types,
 * are DATABASE_FAILED.
 *
 * @see https://mariadb.com/kb/en/mariadb-error-code-reference/
 */
const CODES: Readonly<Partial<Record<ErrorCode, readonly number[]>>> = {
  // Too many connections, shutdown, broken or killed connections, a Galera node that is not ready.
  DATABASE_UNREACHABLE: [
    1040, 1047, 1053, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1927, 2006, 2013, 3169,
  ],
  // Lock time-out, deadlock, changed since read, interrupted, statement time-outs.
  DATABASE_CONFLICT: [1020, LOCK_TIMEOUT, 1213, 1317, 1969, 3024, 3058, 3572],
  // Access to database, user, database unknown, command, column, privilege, read-only server.
  DATABASE_DENIED: [1044, 1045, 1049, 1130, 1142, 1143, 1227, 1251, 1290, 1698, 1792, 1836, 1820, 3118, 4151],
  TABLE_NOT_FOUND: [1146],
  COLUMN_NOT_FOUND: [1054],
};

/** Messages of these name tables, columns, users or limits, and never a value. */
const MESSAGE_IS_SAFE = new Set([
  1040, 1044, 1045, 1049, 1050, 1053, 1054, 1130, 1142, 1143, 1146, 1153, 1205, 1213, 1227, 1290, 1304, 1305,
  1317, 1356, 1359, 1406, 1418, 1419, 1449, 1451, 1452, 1644, 1665, 1792, 1836,
]);

interface DriverError {
  readonly errno?: number;
  readonly code?: string;
  readonly sqlState?: string;
}

export function mysqlError(error: unknown, doing: Doing): LongshoreError {
  if (error instanceof LongshoreError) return error;
  const { errno, sqlState } = (error ?? {}) as DriverError;
  // The operating system's error numbers are negative.
  const number = errno !== undefined && errno > 0 ? errno : undefined;
  const code =
    number === undefined || sqlState === undefined ? codeOfDriverError(error) : codeOfNumber(number);
  const reason = number === undefined ? messageOf(error) : withoutValues(messageOf(error), number);
  return new LongshoreError(code, `Cannot ${doing.action}: ${reason}`, {
    hint: hintOf(code, number, doing),
    context: {
      database: doing.database,
      ...(number === undefined ? {} : { errorNumber: number }),
      ...(number === LOCK_TIMEOUT ? { lockTimeout: true } : {}),
    },
  });
}

/** Whether the connection can go on being used after the error. */
export function isFatal(error: unknown): boolean {
  if (error instanceof LongshoreError) return false;
  const { errno, sqlState, ...rest } = (error ?? {}) as DriverError & { fatal?: boolean };
  return errno === undefined || sqlState === undefined || rest.fatal === true;
}

function codeOfNumber(number: number): ErrorCode {
  for (const [code, numbers] of Object.entries(CODES)) if (numbers.includes(number)) return code as ErrorCode;
  return 'DATABASE_FAILED';
}

/** Errors of sockets and of the driver itself: all but those of encryption and passwords mean a lost connection. */
function codeOfDriverError(error: unknown): ErrorCode {
  const { code, errno } = (error ?? {}) as DriverError;
  if (errno !== undefined && errno > 0 && codeOfNumber(errno) !== 'DATABASE_FAILED')
    return codeOfNumber(errno);
  const message = messageOf(error);
  if (code === 'HANDSHAKE_NO_SSL_SUPPORT' || code === 'HANDSHAKE_SSL_ERROR') return 'DATABASE_DENIED';
  if (/self.signed|certificate|altnames|unable to (get|verify)|plugin/i.test(message))
    return 'DATABASE_DENIED';
  if (code !== undefined && /^(E[A-Z]+|PROTOCOL_CONNECTION_LOST|ERR_\w+)$/.test(code))
    return 'DATABASE_UNREACHABLE';
  if (/closed|connection|timeout|socket|packets out of order/i.test(message)) return 'DATABASE_UNREACHABLE';
  return 'DATABASE_FAILED';
}

/** Duplicate entries and conversions quote the value they are about; that part is left out. */
export function withoutValues(message: string, number: number): string {
  if (MESSAGE_IS_SAFE.has(number)) return message;
  const key = /for (?:key|column) '[^']*'(?: at row \d+)?$/.exec(message)?.[0];
  const start = message.replace(/['"`].*$/s, '').trim();
  return [start, key].filter(Boolean).join(' ');
}

function hintOf(code: ErrorCode, number: number | undefined, doing: Doing): string | undefined {
  if (code === 'DATABASE_UNREACHABLE')
    return `check that the server of ${doing.database} runs and can be reached`;
  if (code === 'DATABASE_CONFLICT') return 'another transaction was in the way; the same is tried again';
  if (code === 'TABLE_NOT_FOUND') return 'check the database and the table, and the capitals';
  if (number === 1142 || number === 1143) {
    return doing.column === undefined
      ? 'grant the user what it lacks'
      : `run: ${grantText(doing.column, doing.user)}`;
  }
  if (number === 1290 || number === 1792 || number === 1836) {
    return 'the server is a read-only replica; give the URL of the primary';
  }
  if (number === 1049) return 'check the database in the URL';
  if (number === 1665) return 'set binlog_format to ROW or MIXED on the server';
  if (code === 'DATABASE_DENIED')
    return 'check the user and the password (URL, MYSQL_PWD or ~/.my.cnf), and sslmode';
  return undefined;
}

/** The least grant with which the column's references can be rewritten. */
export function grantText(column: ColumnFacts, user: string | undefined): string {
  const read = new Set([...column.primaryKey.map((key) => key.name), column.ref.column]);
  const columns = [...read].map(quoteName).join(', ');
  const account = `'${(user ?? 'user').replaceAll("'", "''")}'@'%'`;
  return `GRANT SELECT (${columns}), UPDATE (${quoteName(column.ref.column)}) ON ${tableOf(column)} TO ${account}`;
}
