/** `longshore infra` as a user calls it, and the command line of its template as the program takes it. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { stackOf } from '../../test/fakes/stack.ts';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { parseStoreUrl } from '../config/store-url.ts';
import { replicateSchema, resolveReplicateOptions } from '../jobs/replicate/settings.ts';
import { tableFilter } from '../jobs/replicate/table-filter.ts';
import type { Template } from '../platforms/aws/cloudformation.ts';
import { main } from './main.ts';

const printed = { out: '', err: '' };
beforeEach(() => {
  Object.assign(printed, { out: '', err: '' });
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed.out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    printed.err += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

test('prints the template, as YAML or as JSON', async () => {
  expect(await main(['infra', 'replicate', '--bucket', 'lake', '--name', 'shop'])).toBe(0);
  const { out } = printed;
  expect(out).toMatch(/^AWSTemplateFormatVersion: "2010-09-09"\n/);
  printed.out = '';
  expect(await main(['infra', 'replicate', '--bucket', 'lake', '--name', 'shop', '--format', 'json'])).toBe(
    0,
  );
  expect(JSON.parse(printed.out)).toEqual(parse(out));
  expect(printed.err).toBe('');
});

test.each([
  [['infra', 'move'], /no template for "move" \[CONFIG_INVALID\] → longshore infra replicate/],
  [['infra', 'replicate', '--mode', 'all'], /"all" as --mode.*full-load, cdc, full-load-and-cdc/],
  [['infra', 'replicate', '--format', 'toml'], /Allowed choices are yaml, json/],
  [['infra'], /missing required argument 'job'/],
])('%j is a mistake of usage', async (argv, message) => {
  expect(await main(argv)).toBe(2);
  expect(printed.err).toMatch(message);
  expect(printed.out).toBe('');
});

const GIVEN = {
  VpcId: 'vpc-1',
  SubnetIds: 'subnet-1,subnet-2',
  ContainerImage: 'longshore:1',
  CreateBucket: 'false',
  Prefix: 'shop/',
};

async function commandOf(flags: readonly string[], given: Record<string, string> = {}): Promise<string[]> {
  await main(['infra', 'replicate', '--bucket', 'lake', '--format', 'json', ...flags]);
  const { Task } = stackOf(JSON.parse(printed.out) as Template, { ...GIVEN, ...given }).resources;
  const { ContainerDefinitions } = Task!.Properties as unknown as {
    ContainerDefinitions: [{ Command: string[] }];
  };
  return ContainerDefinitions[0].Command;
}

test('the container runs what the flags say', async () => {
  const command = await commandOf([
    '--name',
    'shop_1',
    '--tables',
    'public.*,!public.audit_*',
    '--every',
    '30s',
  ]);
  expect(command[0]).toBe('replicate');
  const options = Object.fromEntries(
    command.slice(1).flatMap((text, i, all) => (text.startsWith('--') ? [[text.slice(2), all[i + 1]!]] : [])),
  );
  const settings = resolveReplicateOptions(options);
  expect(settings).toMatchObject({
    name: 'shop_1',
    every: 30_000,
    mode: 'full-load-and-cdc',
    untilCaughtUp: false,
  });
  expect(tableFilter(settings.tables)({ schema: 'public', name: 'audit_2' })).toBe(false);
  expect(parseStoreUrl(settings.to)).toMatchObject({ bucket: 'lake', prefix: 'shop/' });
  const { connection } = parseDatabaseUrl(settings.from, {
    PGUSER: 'postgres',
    PGPASSWORD: 'p@/?#:',
    PGSSLMODE: 'require',
    PGSSLROOTCERT: '',
  });
  expect(connection).toMatchObject({ user: 'postgres', database: 'shop', port: 5432, tls: 'require' });
  expect(connection.password?.reveal()).toBe('p@/?#:');
});

test('on a schedule it ends when everything is landed', async () => {
  const command = await commandOf([], { ScheduleExpression: 'cron(0 3 * * ? *)' });
  expect(command.at(-1)).toBe('--until-caught-up');
});

test('the parameters have the defaults of the job', async () => {
  await main(['infra', 'replicate', '--format', 'json']);
  const { Parameters } = JSON.parse(printed.out) as Template;
  const defaults = replicateSchema.parse({ from: 'postgres://', to: 's3://lake/' });
  expect(Parameters['JobName']!.Default).toBe(defaults.name);
  expect(Parameters['Mode']!.Default).toBe(defaults.mode);
  expect(Parameters['Mode']!.AllowedValues).toEqual(replicateSchema.shape.mode.unwrap().options);
  expect(Parameters['Tables']!.Default).toBe(defaults.tables.join(','));
  expect(replicateSchema.shape.every.parse(Parameters['Every']!.Default)).toBe(defaults.every);
});
