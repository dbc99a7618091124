import { expect, test } from 'vitest';
import { LongshoreError } from '../../../errors.ts';
import type { ClusterState } from '../../../platforms/aws/aurora.ts';
import { parseArtifactConfig } from '../artifact-config.ts';
import { auroraFindings, isLegalPassword, type Wanted } from './findings.ts';
import type { AuroraFacts } from './survey.ts';

const SHOP: ClusterState = {
  id: 'shop',
  arn: 'arn:aws:rds:eu-central-1:123456789012:cluster:shop',
  engine: 'aurora-postgresql',
  engineVersion: '16.8',
  status: 'available',
  port: 5432,
  username: 'master',
  databaseName: 'shop',
  subnetGroup: 'shop',
  instances: ['shop-1'],
  cloneGroup: 'group',
  crossAccountClone: false,
  deletionProtection: false,
  encrypted: true,
  kmsKeyId: undefined,
  capacity: undefined,
  tags: {},
};

const subnet = (id: string, zoneId: string, vpcId = 'vpc-1') => ({ id, zoneId, vpcId, freeAddresses: 9 });
const SUBNETS = [subnet('subnet-1', 'euc1-az1'), subnet('subnet-2', 'euc1-az2')];
const { aurora } = parseArtifactConfig(
  '[source_db]\nsource_db_cluster_id = shop\n[target_db]\nsubnet_ids = subnet-3,subnet-4\ninstance_type = db.r6g.large',
  'x',
);

const FACTS: AuroraFacts = {
  region: 'eu-central-1',
  caller: { account: '123456789012', arn: 'arn:aws:iam::123456789012:user/fred' },
  owner: 'fred',
  name: 'shop-test',
  artifact: 'sha256:cd',
  stackName: 'longshore-shop-test',
  target: aurora!,
  sourceId: 'shop',
  source: { value: SHOP },
  engine: 'aurora-postgresql',
  engineVersion: '16.8',
  clusters: { value: [SHOP] },
  instances: { value: 1 },
  clusterQuota: { value: 40 },
  instanceQuota: { value: 40 },
  sourceSubnets: { value: SUBNETS },
  subnetIds: ['subnet-1', 'subnet-2'],
  subnets: { value: SUBNETS },
  classOffered: { value: true },
  key: undefined,
  denied: { value: [] },
  price: { value: 1 },
  stack: { value: undefined },
  template: undefined,
  clientCidr: { value: '203.0.113.7/32' },
};

const WANTED: Wanted = { mode: 'clone', username: 'x', password: undefined, step: { kind: 'make' } };

function told(facts: Partial<AuroraFacts>, wanted: Partial<Wanted> = {}): string[] {
  return auroraFindings({ ...FACTS, ...facts }, { ...WANTED, ...wanted })
    .filter(({ kind }) => kind !== 'ok')
    .map(({ kind, text }) => `${kind}: ${text}`);
}

const refused = { refused: new LongshoreError('STORE_DENIED', 'not allowed') };
const source = (given: Partial<ClusterState>) => ({ source: { value: { ...SHOP, ...given } } });
const others = (count: number) => ({
  clusters: { value: [SHOP, ...Array.from({ length: count }, (_, i) => ({ ...SHOP, id: `clone-${i}` }))] },
});

test('nothing is wrong where nothing is', () => {
  expect(told({})).toEqual([]);
  expect(told({}, { mode: 'create', username: 'postgres' })).toEqual([]);
});

test('zones are compared by id: those of the source, two or more, in one VPC', () => {
  const other = { value: [subnet('subnet-1', 'euc1-az1'), subnet('subnet-2', 'euc1-az3')] };
  expect(told({ subnets: other })).toEqual([
    'problem: the subnets are in euc1-az3, and the source’s in euc1-az1, euc1-az2',
  ]);
  const one = { value: [subnet('subnet-1', 'euc1-az1'), subnet('subnet-2', 'euc1-az1')] };
  expect(told({ subnets: one })[0]).toContain('in one zone, euc1-az1');
  const two = { value: [subnet('subnet-1', 'euc1-az1'), subnet('subnet-2', 'euc1-az2', 'vpc-2')] };
  expect(told({ subnets: two })[0]).toContain('in several VPCs: vpc-1, vpc-2');
  expect(told({ subnets: { value: SUBNETS.slice(1) } })[0]).toContain('no such subnet: subnet-1');
  expect(told({ sourceSubnets: refused })[0]).toMatch(/^warning: .*not compared/);
  expect(told({ subnets: refused })).toEqual(['problem: not allowed']);
});

test('a source that AWS does not clone', () => {
  expect(told(source({ instances: [] }))[0]).toContain('problem: the source shop has no instance');
  expect(told(source({ status: 'stopped' }))[0]).toContain('is stopped');
  expect(told(source({ engine: 'postgres' }))[0]).toContain('not Aurora');
  // An empty cluster needs no instance of it.
  expect(told(source({ instances: [] }), { mode: 'create', username: 'postgres' })).toEqual([]);
  expect(told({ engine: 'aurora-mysql' })[0]).toContain('the engine of its source');
});

test('from fifteen clones on, there is a warning; one of another group is none', () => {
  expect(told(others(14))).toEqual([]);
  expect(told(others(15))[0]).toMatch(/^warning: shop shares its storage with 15 clones/);
  expect(told({ ...others(15), ...source({ cloneGroup: undefined }) })).toEqual([]);
});

test('a quota that is reached keeps a new one from being made, and not one that is there', () => {
  const full = { clusterQuota: { value: 1 } };
  expect(told(full)[0]).toContain('problem: the account has 1 clusters in eu-central-1, and 1 is its quota');
  for (const kind of ['use', 'wait'] as const)
    expect(told({ ...full, stack: { value: undefined } }, { step: { kind } }).join()).not.toContain(
      'problem',
    );
  expect(told({ instanceQuota: refused })).toEqual([
    'warning: how many instances the account may still make is not known: not allowed',
  ]);
});

test('what is there already of that name', () => {
  expect(told({ clusters: { value: [SHOP, { ...SHOP, id: 'shop-test', cloneGroup: 'x' }] } })[0]).toContain(
    'there is a cluster shop-test already',
  );
  const step = { kind: 'refuse', why: 'it is another’s', hint: 'leave it' } as const;
  expect(told({}, { step })).toEqual(['problem: it is another’s']);
});

test('keys, rights and classes', () => {
  const key = (state: AuroraFacts['key'] & object) => told({ key: state })[0];
  expect(key({ id: 'k', state: { value: 'Disabled' } })).toBe('problem: the key k is Disabled');
  expect(key({ id: 'k', state: { value: undefined } })).toBe('problem: there is no key k');
  expect(key({ id: 'k', state: refused })).toMatch(/^warning/);
  expect(told({ denied: { value: ['rds:CreateDBCluster'] } })[0]).toContain('may not rds:CreateDBCluster');
  expect(told({ denied: refused })[0]).toMatch(/^warning/);
  expect(told({ classOffered: { value: false } })[0]).toContain('there is no db.r6g.large');
});

test('users that are reserved', () => {
  const of = (username: string, engine = 'aurora-postgresql') =>
    told({ engine }, { mode: 'create', username }).filter((text) => text.includes('reserved'));
  expect(of('admin')).toEqual(['problem: the user "admin" is reserved in aurora-postgresql']);
  expect(of('rdsadmin', 'aurora-mysql')).toHaveLength(1);
  expect([...of('admin', 'aurora-mysql'), ...of('postgres')]).toEqual([]);
});

test('passwords that RDS takes', () => {
  for (const good of ['12345678', "a'b$c!d%", 'x'.repeat(41)]) expect(isLegalPassword(good)).toBe(true);
  for (const bad of [
    '1234567',
    'x'.repeat(42),
    'with space',
    'a/bcdefgh',
    'a@bcdefgh',
    'a"bcdefgh',
    'äöüäöüäöü',
  ])
    expect(isLegalPassword(bad)).toBe(false);
  expect(told({}, { password: 'geheim' }).join()).not.toContain('geheim');
});
