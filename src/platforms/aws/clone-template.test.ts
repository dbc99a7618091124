/** The template of a clone, of both kinds and in several configurations, and what cfn-lint says of it. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stackOf } from '../../../test/fakes/stack.ts';
import { type CloneDesign, cloneTemplate } from './clone-template.ts';
import { templateText } from './cloudformation.ts';

const CFN_LINT = process.env['TEST_CFN_LINT'] ?? 'cfn-lint';
const cfnLint = spawnSync(CFN_LINT, ['--version']).status === 0;
if (!cfnLint) {
  console.warn('skipped: no cfn-lint; pip install cfn-lint, or set TEST_CFN_LINT to where it is');
}

const CLONE: CloneDesign = {
  mode: 'clone',
  clusterId: 'shop-test',
  sourceClusterId: 'shop',
  engine: 'aurora-postgresql',
  engineVersion: undefined,
  port: 5432,
  databaseName: undefined,
  username: undefined,
  vpcId: 'vpc-0a1b2c3d',
  subnetIds: ['subnet-0a1b2c3d', 'subnet-1a1b2c3d'],
  instanceClass: 'db.r6g.large',
  capacity: undefined,
  encrypted: true,
  kmsKeyId: undefined,
  backupWindow: undefined,
  backupRetentionDays: undefined,
  maintenanceWindow: undefined,
  clusterParameterGroup: undefined,
  parameterGroup: undefined,
  deletionProtection: false,
  publiclyAccessible: true,
};

const FULL: CloneDesign = {
  ...CLONE,
  kmsKeyId: 'arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012',
  backupWindow: '03:00-04:00',
  backupRetentionDays: 3,
  maintenanceWindow: 'sun:05:00-sun:06:00',
  clusterParameterGroup: 'mine',
  parameterGroup: 'mine-too',
  deletionProtection: true,
  publiclyAccessible: false,
};

const EMPTY = {
  mode: 'create',
  engineVersion: '16.8',
  databaseName: 'shop',
  username: 'postgres',
} as const;

const MYSQL = { engine: 'aurora-mysql', port: 3306 } as const;

const WAYS: Readonly<Record<string, CloneDesign>> = {
  clone: CLONE,
  'clone with everything': FULL,
  'clone of another account, serverless': {
    ...CLONE,
    sourceClusterId: 'arn:aws:rds:eu-central-1:123456789012:cluster:shop',
    instanceClass: 'db.serverless',
    capacity: { min: 0.5, max: 8 },
  },
  'clone of MySQL': { ...CLONE, ...MYSQL },
  create: { ...CLONE, ...EMPTY },
  'create with everything': { ...FULL, ...EMPTY },
  'create for MySQL': { ...CLONE, ...EMPTY, ...MYSQL, engineVersion: '8.0.mysql_aurora.3.08.0' },
};

const GIVEN = { ClientCidr: '203.0.113.7/32', MasterUserPassword: 'geheim-geheim' };

function propertiesOf(design: CloneDesign, resource: string): Record<string, unknown> {
  return stackOf(cloneTemplate(design), GIVEN).resources[resource]!.Properties as Record<string, unknown>;
}

test.each(Object.entries(WAYS))('%s: names only what is there, and keeps nothing', (_, design) => {
  const { resources, refused, outputs } = stackOf(cloneTemplate(design), GIVEN);
  expect(refused).toEqual([]);
  expect(Object.keys(resources)).toEqual(['Subnets', 'SecurityGroup', 'Cluster', 'Instance']);
  expect(Object.keys(outputs)).toEqual(['Endpoint', 'Port', 'ClusterId']);
  for (const name of ['Cluster', 'Instance'])
    expect(cloneTemplate(design).Resources[name]).toMatchObject({ DeletionPolicy: 'Delete' });
});

test('a clone is copy-on-write of the latest state, and says nothing of what comes from its source', () => {
  const properties = propertiesOf(FULL, 'Cluster');
  expect(properties).toMatchObject({
    SourceDBClusterIdentifier: 'shop',
    RestoreType: 'copy-on-write',
    UseLatestRestorableTime: true,
    DeletionProtection: true,
  });
  for (const name of [
    'MasterUserPassword',
    'MasterUsername',
    'DatabaseName',
    'StorageEncrypted',
    'RestoreToTime',
  ])
    expect(properties).not.toHaveProperty(name);
});

test('an empty cluster has a database and a user of its own', () => {
  const properties = propertiesOf({ ...CLONE, ...EMPTY }, 'Cluster');
  expect(properties).toMatchObject({
    DatabaseName: 'shop',
    EngineVersion: '16.8',
    MasterUserPassword: 'geheim-geheim',
    StorageEncrypted: true,
  });
  for (const name of ['RestoreType', 'SourceDBClusterIdentifier'])
    expect(properties).not.toHaveProperty(name);
});

test('the caller alone reaches the port of the engine', () => {
  expect(propertiesOf({ ...CLONE, ...MYSQL }, 'SecurityGroup')).toMatchObject({
    SecurityGroupIngress: [{ FromPort: 3306, ToPort: 3306, CidrIp: '203.0.113.7/32' }],
    SecurityGroupEgress: [{ CidrIp: '127.0.0.1/32' }],
  });
});

test('the password is shown to nobody', () => {
  expect(cloneTemplate({ ...CLONE, ...EMPTY }).Parameters['MasterUserPassword']).toMatchObject({
    NoEcho: true,
  });
});

describe.runIf(cfnLint)('cfn-lint', () => {
  test('finds nothing', () => {
    const folder = mkdtempSync(join(tmpdir(), 'longshore-template-'));
    try {
      const files = Object.values(WAYS).map((design, i) => {
        const file = join(folder, `${i}.json`);
        writeFileSync(file, templateText(cloneTemplate(design), 'json'));
        return file;
      });
      const { stdout, stderr, status } = spawnSync(
        CFN_LINT,
        ['--include-checks', 'I', '--regions', 'eu-central-1', 'us-east-1', '--', ...files],
        { encoding: 'utf8' },
      );
      expect(`${stdout}${stderr}`).toBe('');
      expect(status).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);
});
