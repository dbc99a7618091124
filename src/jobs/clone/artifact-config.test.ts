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
