import { expect, it } from 'vitest';
import { isRetryable } from '../../errors.ts';
import { isFatal, mysqlError } from './errors.ts';

const doing = { action: 'rewrite rows of app.a.path', database: 'mysql://u@h/db', user: 'u' };

function server(errno: number, message = 'it says why'): Error {
  return Object.assign(new Error(message), {
    errno,
    sqlState: 'HY000',
    code: 'ER_X',
    sql: "UPDATE a SET path = 'cell'",
  });
}

it.each([
  [1205, 'DATABASE_CONFLICT', true],
  [1213, 'DATABASE_CONFLICT', true],
  [1020, 'DATABASE_CONFLICT', true],
  [1040, 'DATABASE_UNREACHABLE', true],
  [1053, 'DATABASE_UNREACHABLE', true],
  [1927, 'DATABASE_UNREACHABLE', true],
  [1044, 'DATABASE_DENIED', false],
  [1045, 'DATABASE_DENIED', false],
  [1142, 'DATABASE_DENIED', false],
  [1143, 'DATABASE_DENIED', false],
  [1290, 'DATABASE_DENIED', false],
  [1146, 'TABLE_NOT_FOUND', false],
  [1054, 'COLUMN_NOT_FOUND', false],
  [1644, 'DATABASE_FAILED', false],
  [1406, 'DATABASE_FAILED', false],
])('takes error %i for %s', (errno, code, retried) => {
  const error = mysqlError(server(errno), doing);
  expect(error).toMatchObject({ code, message: 'Cannot rewrite rows of app.a.path: it says why' });
  expect(isRetryable(error)).toBe(retried);
  expect(isFatal(server(errno))).toBe(false);
});

it.each([
  [
    Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', errno: -111 }),
    'DATABASE_UNREACHABLE',
  ],
  [
    Object.assign(new Error('Connection lost'), { code: 'PROTOCOL_CONNECTION_LOST', fatal: true }),
    'DATABASE_UNREACHABLE',
  ],
  [Object.assign(new Error('self-signed certificate'), { code: 'HANDSHAKE_SSL_ERROR' }), 'DATABASE_DENIED'],
  [new Error("Can't add new command when connection is in closed state"), 'DATABASE_UNREACHABLE'],
])('takes "%s" for %s', (thrown, code) => {
  expect(mysqlError(thrown, doing).code).toBe(code);
  expect(isFatal(thrown)).toBe(true);
});

it('marks lock time-outs, and no other conflict', () => {
  expect(mysqlError(server(1205), doing).context.lockTimeout).toBe(true);
  expect(mysqlError(server(1213), doing).context.lockTimeout).toBeUndefined();
});

it('never tells the value of a cell, nor the statement', () => {
  const errors = [
    mysqlError(server(1062, "Duplicate entry 'cell' for key 'a_path'"), doing),
    mysqlError(server(1366, "Incorrect string value: 'cell' for column `app`.`a`.`path` at row 1"), doing),
    mysqlError(server(1064, "You have an error in your SQL syntax near 'cell'"), doing),
  ];
  for (const error of errors)
    expect(`${error.stack} ${JSON.stringify(error)} ${error.cause}`).not.toContain('cell');
  expect(errors[0]!.message).toContain('a_path');
});
