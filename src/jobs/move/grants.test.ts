import { describe, expect, test } from 'vitest';
import type { ColumnFacts } from '../../databases/database.ts';
import { grantsFor } from './grants.ts';
import { type MoveOptions, resolveMoveOptions } from './settings.ts';

const settings = (more: Partial<MoveOptions> = {}) =>
  resolveMoveOptions({ from: 's3://legacy-s3/image/', to: 's3://production-s3/avatar/', ...more });
const actionsOf = (more?: Partial<MoveOptions>, probe = false) =>
  Object.fromEntries(
    grantsFor(settings(more), [], { probe }).policy.Statement.map(({ Sid, Action }) => [Sid, Action]),
  );

const facts = (more: Partial<ColumnFacts> = {}): ColumnFacts => ({
  ref: { schema: 'public', table: 'avatars', column: 'path', within: 'auto' },
  name: 'public.avatars.path',
  kind: 'table',
  dataType: 'text',
  within: 'value',
  primaryKey: [{ name: 'id', type: 'bigint' }],
  indexed: true,
  rowsEstimate: 1,
  generated: false,
  updateTriggers: [],
  canSelect: true,
  canUpdate: true,
  ...more,
});

describe('the IAM policy', () => {
  test('list both, get and delete on the old, put and get on the new, under the prefixes', () => {
    expect(grantsFor(settings({ tags: false })).policy).toEqual({
      Version: '2012-10-17',
      Statement: [
        {
          Sid: 'ListSource',
          Effect: 'Allow',
          Action: ['s3:ListBucket'],
          Resource: ['arn:aws:s3:::legacy-s3'],
          Condition: { StringLike: { 's3:prefix': ['image/*'] } },
        },
        {
          Sid: 'ListTarget',
          Effect: 'Allow',
          Action: ['s3:ListBucket'],
          Resource: ['arn:aws:s3:::production-s3'],
          Condition: { StringLike: { 's3:prefix': ['avatar/*', 'image/*'] } },
        },
        {
          Sid: 'ReadSource',
          Effect: 'Allow',
          Action: ['s3:GetObject'],
          Resource: ['arn:aws:s3:::legacy-s3/image/*'],
        },
        {
          Sid: 'DeleteSource',
          Effect: 'Allow',
          Action: ['s3:DeleteObject'],
          Resource: ['arn:aws:s3:::legacy-s3/image/*'],
        },
        {
          Sid: 'WriteTarget',
          Effect: 'Allow',
          Action: ['s3:PutObject', 's3:GetObject', 's3:AbortMultipartUpload'],
          Resource: ['arn:aws:s3:::production-s3/avatar/*'],
        },
      ],
    });
  });

  test('nothing more than the options need', () => {
    expect(actionsOf({ delete: 'never' })).not.toHaveProperty('DeleteSource');
    expect(actionsOf()['ReadSource']).toEqual(['s3:GetObject', 's3:GetObjectTagging']);
    expect(actionsOf()['WriteTarget']).toContain('s3:PutObjectTagging');
    expect(actionsOf({ acl: true, tags: false })['ReadSource']).toEqual(['s3:GetObject', 's3:GetObjectAcl']);
    expect(actionsOf({ acl: true })['WriteTarget']).toContain('s3:PutObjectAcl');
    expect(JSON.stringify(actionsOf())).not.toMatch(/Acl|kms|\*/);
    expect(Object.keys(actionsOf({ from: 'file:///data/' }))).toEqual(['ListTarget', 'WriteTarget']);
  });

  test('markers only where they are asked for', () => {
    expect(JSON.stringify(grantsFor(settings()).policy)).not.toContain('longshore-probe');
    const { Statement } = grantsFor(settings(), [], { probe: true }).policy;
    const probing = Statement.filter(({ Resource }) =>
      Resource.some((resource) => resource.includes('-probe-')),
    );
    expect(probing.map(({ Sid, Resource }) => [Sid, ...Resource])).toEqual([
      ['ProbeSource', 'arn:aws:s3:::legacy-s3/image/.longshore-probe-*'],
      ['ProbeTarget', 'arn:aws:s3:::production-s3/avatar/.longshore-probe-*'],
    ]);
  });

  test('rules, whole buckets, characters with a meaning, other partitions', () => {
    const rules = [
      { pattern: 'image/a/(\\d+)', replacement: 'avatar/x/$1' },
      { pattern: 'image/b/(\\d+)', replacement: 'avatar/y/$1' },
    ];
    const { Statement } = grantsFor(settings({ rules })).policy;
    expect(Statement.find(({ Sid }) => Sid === 'ReadSource')?.Resource).toEqual([
      'arn:aws:s3:::legacy-s3/image/a/*',
      'arn:aws:s3:::legacy-s3/image/b/*',
    ]);
    expect(Statement[0]?.Condition).toEqual({ StringLike: { 's3:prefix': ['image/*'] } });
    const whole = grantsFor(settings({ from: 's3://legacy-s3' })).policy.Statement[0];
    expect(whole).not.toHaveProperty('Condition');
    const odd = grantsFor(settings({ from: 's3://legacy-s3/a*b?c$/?region=cn-north-1' })).policy.Statement;
    expect(odd[2]?.Resource).toEqual(['arn:aws-cn:s3:::legacy-s3/a${*}b${?}c${$}/*']);
  });
});

describe('for an inventory and S3 Batch Operations', () => {
  const batch = { accountId: '123456789012', roleArn: 'arn:aws:iam::123456789012:role/batch' };
  const copyWith = 's3-batch' as const;
  const lambdaArn = 'arn:aws:lambda:eu-west-1:123456789012:function:copy';

  test('the files of the inventory are read', () => {
    const inventory = 's3://reports/legacy-s3/daily/2026-11-20T01-00Z/manifest.json';
    const { Statement } = grantsFor(settings({ by: 'inventory', inventory })).policy;
    expect(Statement.find(({ Sid }) => Sid === 'ReadInventory')?.Resource).toEqual([
      'arn:aws:s3:::reports/legacy-s3/daily/*',
    ]);
    const list = grantsFor(settings({ by: 'inventory', inventory: 's3://reports/keys.csv' })).policy
      .Statement;
    expect(list.find(({ Sid }) => Sid === 'ReadInventory')?.Resource).toEqual(['arn:aws:s3:::reports/*']);
  });

  test('the caller makes jobs and hands them a role', () => {
    const { Statement } = grantsFor(settings({ copyWith, batch })).policy;
    expect(Statement.slice(-5)).toMatchObject([
      { Resource: ['arn:aws:s3:::production-s3/avatar/.longshore-batch/*'] },
      { Action: ['s3:ListBucket'] },
      { Action: ['s3:CreateJob'], Resource: ['*'] },
      { Action: ['s3:DescribeJob'], Resource: ['arn:aws:s3:*:123456789012:job/*'] },
      {
        Action: ['iam:PassRole'],
        Resource: [batch.roleArn],
        Condition: { StringEquals: { 'iam:PassedToService': 'batchoperations.s3.amazonaws.com' } },
      },
    ]);
    expect(grantsFor(settings()).batch).toBeUndefined();
  });

  test('the role of the jobs copies', () => {
    const place = { ...batch, prefix: 's3://ops/longshore/' };
    const { role, trust, function: own } = grantsFor(settings({ copyWith, batch: place })).batch!;
    expect(trust.Statement[0].Principal.Service).toBe('batchoperations.s3.amazonaws.com');
    expect(role.Statement.map(({ Action, Resource }) => [...Action, ...Resource])).toEqual([
      ['s3:GetObject', 's3:GetObjectTagging', 'arn:aws:s3:::legacy-s3/image/*'],
      ['s3:PutObject', 's3:PutObjectTagging', 'arn:aws:s3:::production-s3/avatar/*'],
      ['s3:GetObject', 's3:PutObject', 'arn:aws:s3:::ops/longshore/*'],
    ]);
    expect(own).toBeUndefined();
  });

  test('or lets a function copy, with a role of its own', () => {
    const { role, function: own } = grantsFor(
      settings({ copyWith, batch: { ...batch, lambdaArn }, tags: false }),
    ).batch!;
    expect(role.Statement[0]).toMatchObject({ Action: ['lambda:InvokeFunction'] });
    expect(own?.Statement.map(({ Action }) => Action)).toEqual([['s3:GetObject'], ['s3:PutObject']]);
  });
});

describe('the SQL', () => {
  const url = 'postgres://me:secret@db:5432/prod#avatars.path';

  test('PostgreSQL: the key and the column are read, the column is changed', () => {
    const database = { name: 'postgres://me@db:5432/prod' };
    const rows = [`${url},avatars.thumb`, 'postgres://me@db:5432/prod#"Odd "".t".path'];
    const columns = [
      { database, facts: facts() },
      { database, facts: facts({ ref: { ...facts().ref, column: 'thumb' } }) },
      {
        database,
        facts: facts({
          ref: { schema: 'Odd "', table: 't', column: 'path', within: 'auto' },
          primaryKey: [],
        }),
      },
    ];
    const rowsOdd = rows.with(1, 'postgres://me@db:5432/prod#"Odd """.t.path');
    const { sql } = grantsFor(settings({ rows: rowsOdd }), columns);
    expect(sql).toEqual([
      {
        database: 'postgres://me@db:5432/prod',
        dialect: 'postgres',
        statements: [
          `CREATE ROLE "longshore" LOGIN PASSWORD '<password>';`,
          'GRANT CONNECT ON DATABASE "prod" TO "longshore";',
          'GRANT USAGE ON SCHEMA "public" TO "longshore";',
          'GRANT USAGE ON SCHEMA "Odd """ TO "longshore";',
          'GRANT SELECT ("id", "path", "thumb"), UPDATE ("path", "thumb") ON "public"."avatars" TO "longshore";',
          'GRANT SELECT ("ctid", "path"), UPDATE ("path") ON "Odd """."t" TO "longshore";',
        ],
      },
    ]);
    expect(JSON.stringify(sql)).not.toContain('secret');
  });

  test('without a connection the key is not known', () => {
    const { sql } = grantsFor(settings({ rows: url }), [], { role: 'mover' });
    expect(sql[0]?.statements.at(-1)).toBe('GRANT SELECT, UPDATE ("path") ON "public"."avatars" TO "mover";');
  });

  test('MariaDB and MySQL', () => {
    const { sql } = grantsFor(settings({ rows: 'mysql://me@db:3306/prod#avatars.path' }), [
      {
        database: { name: 'mysql://me@db:3306/prod' },
        facts: facts({ ref: { ...facts().ref, schema: 'prod' } }),
      },
    ]);
    expect(sql[0]?.statements).toEqual([
      "CREATE USER 'longshore'@'%' IDENTIFIED BY '<password>';",
      "GRANT SELECT (`id`, `path`), UPDATE (`path`) ON `prod`.`avatars` TO 'longshore'@'%';",
    ]);
  });

  test('two databases, two entries', () => {
    const { sql } = grantsFor(settings({ rows: [url, 'mysql://me@db/other#t.c'] }));
    expect(sql.map(({ dialect }) => dialect)).toEqual(['postgres', 'mysql']);
  });
});
