import { expect, test } from 'vitest';
import { grantsFor } from './grants.ts';
import { resolveMoveOptions } from './settings.ts';

const base = {
  from: 's3://legacy-s3/image/',
  to: 's3://production-s3/avatar/',
  rows: 'postgres://db/prod#public.avatars.path',
};
const actions = (options: object, probe = false) =>
  grantsFor(resolveMoveOptions({ ...base, ...options }), { probe }).policy!.Statement.flatMap((s) => s.Action).sort();

test('list both, get and delete on the source, put and get on the target, tags where they are kept', () => {
  expect(actions({})).toEqual([
    's3:AbortMultipartUpload',
    's3:DeleteObject',
    's3:GetObject',
    's3:GetObject',
    's3:GetObjectTagging',
    's3:ListBucket',
    's3:ListBucket',
    's3:PutObject',
    's3:PutObjectTagging',
  ]);
});

test('nothing more than the options need', () => {
  const least = actions({ tags: false, delete: 'never' });
  expect(least).not.toContain('s3:DeleteObject');
  expect(least.join()).not.toMatch(/Tagging|Acl/);
  expect(actions({ acl: true })).toEqual(expect.arrayContaining(['s3:GetObjectAcl', 's3:PutObjectAcl']));
});

test('keys are limited to the prefixes', () => {
  const { policy } = grantsFor(resolveMoveOptions(base));
  expect(policy!.Statement.map((s) => s.Resource[0])).toEqual([
    'arn:aws:s3:::legacy-s3',
    'arn:aws:s3:::legacy-s3/image/*',
    'arn:aws:s3:::production-s3',
    'arn:aws:s3:::production-s3/avatar/*',
  ]);
  expect(policy!.Statement[0]!.Condition).toEqual({ StringLike: { 's3:prefix': ['image/*'] } });
});

test('markers only where they are asked for', () => {
  const { policy } = grantsFor(resolveMoveOptions(base), { probe: true });
  expect(policy!.Statement.at(-1)!.Resource).toEqual(['arn:aws:s3:::production-s3/avatar/.longshore-probe-*']);
});

test('SQL: columns and nothing else', () => {
  expect(grantsFor(resolveMoveOptions(base)).sql).toEqual([
    "CREATE ROLE longshore LOGIN PASSWORD '…';",
    'GRANT CONNECT ON DATABASE prod TO longshore;',
    'GRANT USAGE ON SCHEMA public TO longshore;',
    'GRANT SELECT (…key columns, path), UPDATE (path) ON public.avatars TO longshore;',
  ]);
  expect(grantsFor(resolveMoveOptions({ ...base, rows: 'mysql://db/prod#Avatars.path' })).sql.at(-1)).toBe(
    "GRANT SELECT (…key columns, path), UPDATE (path) ON Avatars TO 'longshore'@'%';",
  );
});
