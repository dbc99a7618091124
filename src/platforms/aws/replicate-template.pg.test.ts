/** The container of the template, as Fargate would start it: its command, its variables, its rights in the bucket. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stackOf } from '../../../test/fakes/stack.ts';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { replicateTemplate } from './replicate-template.ts';

const PROGRAM = fileURLToPath(new URL('../../../bin/longshore.mjs', import.meta.url));
const ROLE = 'template_runner';
const PASSWORD = 'p@ss/w:rd?#%';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await postgresServer();
});
afterAll(() => postgres[Symbol.asyncDispose]());

interface Started {
  readonly code: number | null;
  readonly output: string;
}

function start(args: readonly string[], env: Record<string, string>): Promise<Started> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += String(text)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

test('loads, and goes on, with the rights of its role and the password of its secret', async () => {
  const database = await postgres.createDatabase();
  const { hostname, port } = new URL(database.url);
  await database.sql(`
    CREATE ROLE ${ROLE} LOGIN REPLICATION PASSWORD '${PASSWORD}';
    GRANT CREATE ON DATABASE ${database.name} TO ${ROLE};
    CREATE TABLE orders (id int PRIMARY KEY, what text);
    ALTER TABLE orders OWNER TO ${ROLE};
    INSERT INTO orders SELECT i, 'order ' || i FROM generate_series(1, 100) AS i`);
  const { resources } = stackOf(replicateTemplate({ bucket: 'lake', name: 'shop', tables: 'public.*' }), {
    VpcId: 'vpc-1',
    SubnetIds: 'subnet-1,subnet-2',
    ContainerImage: 'longshore:1',
    CreateBucket: 'false',
    Prefix: 'shop/',
    CreateDatabase: 'false',
    DatabaseHost: hostname,
    DatabasePort: port,
    DatabaseName: database.name,
    DatabaseSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-abc123',
    ScheduleExpression: 'rate(1 hour)',
  });
  const { ContainerDefinitions } = resources['Task']!.Properties as unknown as {
    ContainerDefinitions: [
      { Command: string[]; Environment: { Name: string; Value: string }[]; Secrets: { Name: string }[] },
    ];
  };
  const [{ Command, Environment, Secrets }] = ContainerDefinitions;
  const { Policies } = resources['TaskRole']!.Properties as unknown as {
    Policies: [{ PolicyDocument: { Statement: { Action: string[]; Resource: string }[] } }];
  };
  const allow = Policies[0].PolicyDocument.Statement.flatMap(({ Action, Resource }) =>
    Action.map((action) => ({ action, resource: Resource })),
  );
  await using s3 = await startS3Server({
    buckets: ['lake'],
    policies: [{ accessKeyId: 'runner', secretAccessKey: 'runner-secret', allow }],
  });
  const secret: Record<string, string> = { PGUSER: ROLE, PGPASSWORD: PASSWORD };
  const env = {
    ...Object.fromEntries(Environment.map(({ Name, Value }) => [Name, Value])),
    ...Object.fromEntries(Secrets.map(({ Name }) => [Name, secret[Name]!])),
    // What differs from AWS: where S3 is, whose keys are used, and a server without a certificate.
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: 'runner',
    AWS_SECRET_ACCESS_KEY: 'runner-secret',
    PGSSLMODE: 'disable',
  };
  try {
    const first = await start(Command, env);
    expect(first.code, first.output).toBe(0);
    await database.sql(`INSERT INTO orders VALUES (101, 'late')`);
    const second = await start(Command, env);
    expect(second.code, second.output).toBe(0);
    await using store = testStore(s3, 'lake');
    const { objects } = await store.list({ prefix: '' });
    const keys = objects.map(({ key }) => key);
    expect(keys.filter((key) => !key.startsWith('shop/'))).toEqual([]);
    expect(keys).toContain('shop/public/orders/LOAD00000001.parquet');
    expect(keys).toContain('shop/_longshore/shop/epochs/0000000001.json');
    expect(`${first.output}${second.output}`).not.toContain(PASSWORD);
  } finally {
    await database.sql(`
      SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'longshore_shop';
      DROP PUBLICATION IF EXISTS longshore_shop;
      DROP OWNED BY ${ROLE}; DROP ROLE ${ROLE}`);
  }
});
