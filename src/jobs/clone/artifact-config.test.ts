import { expect, test } from 'vitest';
import { parseArtifactConfig } from './artifact-config.ts';

const parse = (text: string) => parseArtifactConfig(text, 'artifact-config.ini');

const SOURCE =
  '[source_db]\nsource_db_cluster_id = fred\nliquibase_changelog_url = https://example.test/c.yaml\n';
const TARGET = '[target_db]\nsubnet_ids = source\nvpc_id = source\ninstance_type = db.r4.large\n';

test('the least that is needed, and what the rest is then', () => {
  const config = parse(`${SOURCE}\n${TARGET}database_name = shop`);
  expect(config).toMatchObject({
    source: { kind: 'aurora', clusterId: 'fred' },
    aurora: {
      subnetIds: 'source',
      vpcId: 'source',
      instanceType: 'db.r4.large',
      engine: 'source',
      deletionProtection: false,
    },
    changelog: { kind: 'url', url: 'https://example.test/c.yaml' },
    databaseName: 'shop',
    ttlMs: undefined,
  });
});

test('everything that can be said', () => {
  const config = parse(`; a comment
[source_db]
SOURCE_DB_CLUSTER_ID = arn:aws:rds:eu-central-1:123456789012:cluster:shop
region = eu-central-1
liquibase_changelog_path = changelog.yaml

    [target_db]
    subnet_ids = subnet-1, subnet-2,subnet-3
    vpc_id = vpc-1234
    instance_type = db.serverless
    engine = aurora-mysql
    backup_window = 03:00-04:00
    backup_retention_days = 3
    maintenance_window = sun:05:00-sun:06:00
    cluster_parameter_group = mine
    parameter_group = too
    encrypted = no
    deletion_protection = yes
    publicly_accessible = false
    client_cidr = 203.0.113.7/32
    stack_name = shop-test
    masking_path = masking.yaml
    ttl = 8h

    [tags]
    team = data
    cost = 12`);
  expect(config).toMatchObject({
    source: { clusterId: 'arn:aws:rds:eu-central-1:123456789012:cluster:shop', region: 'eu-central-1' },
    aurora: {
      subnetIds: ['subnet-1', 'subnet-2', 'subnet-3'],
      encrypted: false,
      deletionProtection: true,
      backupRetentionDays: 3,
      tags: { team: 'data', cost: '12' },
    },
    changelog: { kind: 'file', path: 'changelog.yaml' },
    maskingPath: 'masking.yaml',
    ttlMs: 8 * 3_600_000,
  });
});

test('a source that is no Aurora cluster', () => {
  const config = parse(
    '[source_db]\nsource_db_url = postgres://reader@db.example.test/shop\n[target_db]\ntarget_db_url = postgres://maker@test.example.test/postgres',
  );
  expect(config).toMatchObject({
    source: { kind: 'database', url: 'postgres://reader@db.example.test/shop' },
    aurora: undefined,
    targetUrl: 'postgres://maker@test.example.test/postgres',
  });
});

test.each([
  ['an empty file', '', "Missing sections: {'source_db', 'target_db'}"],
  ['no section of the source', TARGET, "Missing sections: {'source_db'}"],
  ['no section of the target', SOURCE, "Missing sections: {'target_db'}"],
  [
    'no cluster',
    `[source_db]\nliquibase_changelog_url = x\n${TARGET}`,
    "Missing source_db key: {'source_db_cluster_id'}",
  ],
  [
    'no instance type',
    `${SOURCE}[target_db]\nsubnet_ids = source`,
    "Missing target_db key: {'instance_type'}",
  ],
  [
    'an empty value',
    `${SOURCE}[target_db]\nsubnet_ids = source\ninstance_type =`,
    "Missing target_db key: {'instance_type'}",
  ],
  [
    'mangled subnets',
    `${SOURCE}${TARGET.replace('subnet_ids = source', 'subnet_ids = moo cow')}`,
    'target_db/subnet_ids must be set to source or a comma-delimited list',
  ],
  [
    'one subnet',
    `${SOURCE}${TARGET.replace('subnet_ids = source', 'subnet_ids = subnet-1')}`,
    'of two or more subnets',
  ],
  [
    'the same subnet twice',
    `${SOURCE}${TARGET.replace('subnet_ids = source', 'subnet_ids = subnet-1, subnet-1')}`,
    'of two or more subnets',
  ],
  [
    'another vpc',
    `${SOURCE}${TARGET.replace('vpc_id = source', 'vpc_id = cow')}`,
    'target_db/vpc_id must be set to source or a vpc id',
  ],
  [
    'an instance type that is none',
    `${SOURCE}${TARGET.replace('db.r4.large', 'large')}`,
    'target_db/instance_type must be a class of instances',
  ],
  [
    'a key that nobody knows',
    `${SOURCE}${TARGET}instance_tpye = x`,
    "Unknown target_db key: {'instance_tpye'}",
  ],
  ['a section that nobody knows', `${SOURCE}${TARGET}[target]\na = b`, 'the section target is not known'],
  ['a key in no section', `a = b\n${SOURCE}${TARGET}`, 'the key a is in no section'],
  [
    'two changelogs',
    `${SOURCE}liquibase_changelog_path = c.yaml\n${TARGET}`,
    'the changelog is named more than once',
  ],
  [
    'a duration that is none',
    `${SOURCE}${TARGET}ttl = soon`,
    'target_db/ttl: cannot read "soon" as a duration',
  ],
  [
    'a database name that would need quotes',
    `${SOURCE}${TARGET}database_name = a"; DROP`,
    'target_db/database_name must be a name',
  ],
])('%s is told', (_, text, message) => {
  expect(() => parse(text)).toThrow(message);
});

test('everything that is wrong is told at once', () => {
  const wrong = () => parse('[source_db]\nx = 1\n[target_db]\nsubnet_ids = moo\nbackup_window = noon');
  for (const message of [
    "Missing source_db key: {'source_db_cluster_id'}",
    "Missing target_db key: {'instance_type'}",
    'target_db/subnet_ids must be',
    'target_db/backup_window must be a window',
    "Unknown source_db key: {'x'}",
  ])
    expect(wrong).toThrow(message);
});

test('a password in a URL is refused, and not repeated', () => {
  const wrong = () => parse('[source_db]\nsource_db_url = postgres://me:geheim@db/shop\n[target_db]\n');
  expect(wrong).toThrow('must not hold a password');
  expect(wrong).not.toThrow('geheim');
});

test('a time to live of 0 is none', () => {
  expect(parse(`${SOURCE}${TARGET}ttl = 0`).ttlMs).toBe(0);
});

test('the file is read as the original read it', () => {
  const text = `\uFEFF# a comment
[DEFAULT]
instance_type: db.r4.large
[source_db]
source_db_cluster_id: fred ; the source
liquibase_changelog_url=https://example.test/c.yaml;v=1#x
[target_db]
subnet_ids = subnet-1234,
    subnet-5678
[tags]
Cost = a: b ; c
color: a/b
a:b = 'c d'
__proto__ = x`;
  for (const lines of [text, text.replaceAll('\n', '\r\n')]) {
    const { source, changelog, aurora } = parse(lines);
    expect(source).toMatchObject({ clusterId: 'fred' });
    expect(changelog).toEqual({ kind: 'url', url: 'https://example.test/c.yaml;v=1#x' });
    expect(aurora).toMatchObject({ instanceType: 'db.r4.large', subnetIds: ['subnet-1234', 'subnet-5678'] });
    expect(Object.entries(aurora!.tags)).toEqual([
      ['Cost', 'a: b'],
      ['color', 'a/b'],
      ['a:b', 'c d'],
      ['__proto__', 'x'],
    ]);
  }
});

test.each([
  [`${SOURCE}source_db_cluster_id = wilma\n${TARGET}`, 'the key source_db_cluster_id is twice in source_db'],
  [`${SOURCE}${TARGET}[source_db]\nregion = eu-central-1`, 'the section source_db is there twice'],
  [`${SOURCE}nonsense\n${TARGET}`, 'line 4 is neither "key = value" nor "[section]"'],
  [`[DEFAULT]\nfoo = 1\n${SOURCE}${TARGET}`, "Unknown DEFAULT key: {'foo'}"],
  [`${SOURCE}${TARGET}[tags.x]\na = b`, 'the section tags.x is not known'],
  [`${SOURCE}${TARGET}[__proto__]\na = b`, 'the section __proto__ is not known'],
  [`${SOURCE}${TARGET}client_cidr = 999.1.1.1/32`, 'client_cidr: must be a range of addresses'],
  [`${SOURCE}${TARGET}backup_window = 25:00-26:00`, 'target_db/backup_window must be a window'],
  [
    `${SOURCE}${TARGET}backup_window = 03:00-04:00\nmaintenance_window = sun:03:30-sun:04:30`,
    'maintenance_window must not overlap backup_window',
  ],
  [`${SOURCE}${TARGET}database_name = _shop`, 'does not begin with a digit or _'],
  [`${SOURCE}${TARGET}encrypted = no\nkms_key_id = alias/x`, 'kms_key_id is there, and encrypted is false'],
  [`${SOURCE}${TARGET}[tags]\nlongshore:ready = 1`, 'tags/longshore:ready begins with longshore:'],
  [`${SOURCE}${TARGET}[tags]\naws:x = 1`, 'tags/aws:x begins with aws:'],
  [`${SOURCE}${TARGET}[tags]\nx = ${'y'.repeat(257)}`, 'tags/x is longer than AWS allows'],
  [`${SOURCE}${TARGET}[tags]\nx = #fff`, 'tags/x holds something else than letters'],
  [
    `${SOURCE}${TARGET}[tags]\n${Array.from({ length: 42 }, (_, i) => `t${i} = x`).join('\n')}`,
    'tags: there are 42, and AWS leaves room for 41',
  ],
])('%# what would go wrong later is told', (text, message) => {
  expect(() => parse(text)).toThrow(message);
});
