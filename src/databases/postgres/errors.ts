/** Turns what the driver and the server throw into errors with a code, without any cell's value in them. */

import { DatabaseError } from 'pg';
import { type ErrorCode, LongshoreError, messageOf } from '../../errors.ts';
import type { ColumnFacts } from '../database.ts';
import { quoteName, tableOf } from './sql.ts';

/** What was being done, for the error's message. */
export interface Doing {
  /** A verb with its object: `read rows of public.avatars`. */
  readonly action: string;
  /** The database's name, without password. */
  readonly database: string;
  readonly user: string | undefined;
  readonly column?: ColumnFacts | undefined;
}

/**
 * | SQLSTATE | code |
 * | --- | --- |
 * | 08…, 57P01, 57P02, 57P03, 53300, driver and socket errors | DATABASE_UNREACHABLE, retried |
 * | 40001, 40P01, 40…, 55P03 (with `lockTimeout`), 55006, 57014 by a time-out | DATABASE_CONFLICT, retried |
 * | 42501 (also where row-level security hides rows), 28…, 3D000, 25006 | DATABASE_DENIED |
 * | 42P01, 3F000 / 42703 | TABLE_NOT_FOUND / COLUMN_NOT_FOUND |
 * | anything else | DATABASE_FAILED |
 */
export function postgresError(error: unknown, doing: Doing): LongshoreError {
  if (error instanceof LongshoreError) return error;
  const state = sqlState(error);
  const code = state === undefined ? codeOfDriverError(error) : codeOfState(state);
  const reason = state === undefined ? driverReason(error) : withoutValues(error as DatabaseError, state);
  return new LongshoreError(code, `Cannot ${doing.action}: ${reason}`, {
    hint: hintOfError(error, code, doing),
    context: {
      database: doing.database,
      ...(state === undefined ? {} : { sqlState: state }),
      ...(state === LOCK_TIMEOUT ? { lockTimeout: true } : {}),
    },
  });
}

const LOCK_TIMEOUT = '55P03';
const OUT_OF_MEMORY = '53200';
const INSUFFICIENT_PRIVILEGE = '42501';
/** Of a replication slot, too. */
const IN_USE = '55006';

/** Whether a statement named a table or a schema that is not there. */
export function isGone(error: unknown): boolean {
  return GONE.has((error as { code?: string }).code ?? '');
}

const GONE: ReadonlySet<string> = new Set(['42P01', '3F000']);

/** Whether a policy would have hidden rows; the function's name is there in every language of the server. */
function hidesRows(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '42501' && error.routine === 'check_enable_rls';
}

/** Of a change stream whose publication was not there where it is read; in every language of the server. */
function lacksPublication(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '42704' && error.routine === 'get_publication_oid';
}

/** Of a slot that is made; in every language of the server. */
function lacksSlots(error: unknown): boolean {
  return (
    error instanceof DatabaseError && error.code === '53400' && error.routine === 'ReplicationSlotCreate'
  );
}

function hintOfError(error: unknown, code: ErrorCode, doing: Doing): string | undefined {
  if (hidesRows(error)) return rowSecurityHint(doing.user);
  if (lacksPublication(error))
    return "it was dropped, and changes of then cannot be read: `longshore replicate --resync '*.*'` makes it again and loads every table";
  if (lacksSlots(error)) return 'raise max_replication_slots, or drop a slot that nobody uses';
  if (sqlState(error) === OUT_OF_MEMORY && /shared memory/.test(messageOf(error)))
    return 'raise max_locks_per_transaction: each table and sequence needs a lock in each session that reads it';
  if (
    sqlState(error) === INSUFFICIENT_PRIVILEGE &&
    /must be (able to SET ROLE|member of role)/.test(messageOf(error))
  )
    return 'grant it that role, or leave owners and grants out: --no-owners of a clone, --no-owner of a restore';
  return hintOf(code, sqlState(error), doing);
}

/** What to do where row-level security hides rows from a role. */
export function rowSecurityHint(user: string | undefined): string {
  const role = user === undefined ? 'CURRENT_USER' : quoteName(user);
  return (
    'hidden rows would be passed over in silence: ask for a role that owns the table (without FORCE ROW LEVEL ' +
    `SECURITY) or that has BYPASSRLS: ALTER ROLE ${role} BYPASSRLS`
  );
}

/** The driver's words for a missing password are those of the protocol. */
function driverReason(error: unknown): string {
  const message = messageOf(error);
  return /password must be a (non-empty )?string/.test(message)
    ? 'the server asks for a password, and none is given'
    : message;
}

function sqlState(error: unknown): string | undefined {
  return error instanceof DatabaseError ? error.code : undefined;
}

function codeOfState(state: string): ErrorCode {
  switch (state) {
    case '57P01':
    case '57P02':
    case '57P03':
    case '53300':
      return 'DATABASE_UNREACHABLE';
    case LOCK_TIMEOUT:
    case IN_USE:
    case '57014':
      return 'DATABASE_CONFLICT';
    case '42501':
    case '3D000':
    case '25006':
      return 'DATABASE_DENIED';
    case '42P01':
    case '3F000':
      return 'TABLE_NOT_FOUND';
    case '42703':
      return 'COLUMN_NOT_FOUND';
  }
  switch (state.slice(0, 2)) {
    case '08':
      return 'DATABASE_UNREACHABLE';
    case '40':
      return 'DATABASE_CONFLICT';
    case '28':
      return 'DATABASE_DENIED';
    default:
      return 'DATABASE_FAILED';
  }
}

/** Errors of sockets and of the driver itself carry no SQLSTATE; all but wrong passwords mean a lost connection. */
function codeOfDriverError(error: unknown): ErrorCode {
  const message = messageOf(error);
  if (/password must be a (non-empty )?string|SASL|unknown authenticationOk/i.test(message))
    return 'DATABASE_DENIED';
  if (/self.signed|certificate|altnames|unable to (get|verify)/i.test(message)) return 'DATABASE_DENIED';
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === 'string' && /^(E[A-Z]+|ERR_SSL_\w+)$/.test(code)) return 'DATABASE_UNREACHABLE';
  if (/connection|timeout|socket|not queryable|ended|Cannot use a pool/i.test(message))
    return 'DATABASE_UNREACHABLE';
  return 'DATABASE_FAILED';
}

/** Data exceptions (class 22) quote the value they are about; that part is left out. */
function withoutValues(error: DatabaseError, state: string): string {
  const message = state.startsWith('22') ? error.message.replace(/:? ".*$/s, '') : error.message;
  const constraint =
    error.constraint === undefined || message.includes(error.constraint) ? '' : ` (${error.constraint})`;
  return `${message}${constraint}`;
}

function hintOf(code: ErrorCode, state: string | undefined, doing: Doing): string | undefined {
  if (code === 'DATABASE_UNREACHABLE')
    return `check that the server of ${doing.database} runs and can be reached`;
  if (code === 'DATABASE_CONFLICT') return 'another transaction was in the way; the same is tried again';
  if (code === 'TABLE_NOT_FOUND') return 'check the schema and the table, and the quotes around capitals';
  if (state === '42501') {
    return doing.column === undefined
      ? 'grant the role what it lacks'
      : `run: ${grantText(doing.column, doing.user)}`;
  }
  if (state === '25006')
    return 'a read-only replica: give the URL of the primary; or sessions that are read only: ALTER ROLE … SET default_transaction_read_only = off';
  if (state === '3D000') return 'check the database in the URL';
  if (code === 'DATABASE_DENIED') {
    return 'check the user and the password (URL, PGPASSWORD or ~/.pgpass, mode 600), and sslmode';
  }
  return undefined;
}

/** The least grant with which the column's references can be rewritten. */
export function grantText(column: ColumnFacts, user: string | undefined): string {
  const read = new Set([...column.primaryKey.map((key) => key.name), column.ref.column]);
  const columns = [...read].map(quoteName).join(', ');
  const role = user === undefined ? 'CURRENT_USER' : quoteName(user);
  return `GRANT SELECT (${columns}), UPDATE (${quoteName(column.ref.column)}) ON ${tableOf(column)} TO ${role}`;
}
