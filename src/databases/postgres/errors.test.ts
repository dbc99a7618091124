import { DatabaseError } from 'pg';
import { expect, it } from 'vitest';
import { isRetryable, LongshoreError } from '../../errors.ts';
import { postgresError } from './errors.ts';

const doing = { action: 'rewrite rows of public.a.path', database: 'postgres://u@h/db', user: 'u' };

function server(state: string, message: string, constraint?: string): DatabaseError {
  return Object.assign(new DatabaseError(message, message.length, 'error'), {
    code: state,
    constraint,
    detail: 'Key (path)=(cell) already exists.',
  });
}

it.each([
  ['57P01', 'DATABASE_UNREACHABLE', true],
  ['08006', 'DATABASE_UNREACHABLE', true],
  ['53300', 'DATABASE_UNREACHABLE', true],
  ['40001', 'DATABASE_CONFLICT', true],
  ['40P01', 'DATABASE_CONFLICT', true],
  ['55P03', 'DATABASE_CONFLICT', true],
  ['57014', 'DATABASE_CONFLICT', true],
  ['28P01', 'DATABASE_DENIED', false],
  ['42501', 'DATABASE_DENIED', false],
  ['25006', 'DATABASE_DENIED', false],
  ['3D000', 'DATABASE_DENIED', false],
  ['42P01', 'TABLE_NOT_FOUND', false],
  ['42703', 'COLUMN_NOT_FOUND', false],
  ['23505', 'DATABASE_FAILED', false],
  ['P0001', 'DATABASE_FAILED', false],
  ['428C9', 'DATABASE_FAILED', false],
])('takes SQLSTATE %s for %s', (state, code, retried) => {
  const error = postgresError(server(state, 'it says why'), doing);
  expect(error).toMatchObject({ code, message: 'Cannot rewrite rows of public.a.path: it says why' });
  expect(isRetryable(error)).toBe(retried);
});

it.each([
  [
    Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' }),
    'DATABASE_UNREACHABLE',
  ],
  [Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }), 'DATABASE_UNREACHABLE'],
  [new Error('Connection terminated unexpectedly'), 'DATABASE_UNREACHABLE'],
  [new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string'), 'DATABASE_DENIED'],
  [
    Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
    'DATABASE_DENIED',
  ],
  [new TypeError('not a number'), 'DATABASE_FAILED'],
])('takes "%s" for %s', (thrown, code) => {
  expect(postgresError(thrown, doing).code).toBe(code);
});

it('says what to do where there is no room for locks', () => {
  const error = postgresError(server('53200', 'out of shared memory'), doing);
  expect(error.hint).toContain('max_locks_per_transaction');
});

it.each(['must be able to SET ROLE "a"', 'must be member of role "a"'])(
  'says what to do where %s',
  (text) => {
    expect(postgresError(server('42501', text), doing).hint).toContain('--no-owners');
  },
);

it('says what to do where row-level security would hide rows', () => {
  const error = postgresError(
    Object.assign(server('42501', 'query would be affected …'), { routine: 'check_enable_rls' }),
    doing,
  );
  expect(error).toMatchObject({ code: 'DATABASE_DENIED', hint: expect.stringContaining('BYPASSRLS') });
});

it('marks lock time-outs, and no other conflict', () => {
  expect(postgresError(server('55P03', 'x'), doing).context.lockTimeout).toBe(true);
  expect(postgresError(server('40P01', 'x'), doing).context.lockTimeout).toBeUndefined();
});

it('never tells the value of a cell', () => {
  const errors = [
    postgresError(
      server('23505', 'duplicate key value violates unique constraint "a_path_key"', 'a_path_key'),
      doing,
    ),
    postgresError(server('22P02', 'invalid input syntax for type json: "cell"'), doing),
  ];
  for (const error of errors)
    expect(`${error.stack} ${JSON.stringify(error)} ${error.cause}`).not.toContain('cell');
  expect(errors[0]!.message).toContain('a_path_key');
});

it('leaves what has a code as it is', () => {
  const error = new LongshoreError('TABLE_NOT_FOUND', 'x');
  expect(postgresError(error, doing)).toBe(error);
});
