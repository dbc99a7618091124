/** The template in every way it may be used, its roles action by action, and what cfn-lint says of it. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { stackOf } from '../../../test/fakes/stack.ts';
import { templateText } from './cloudformation.ts';
import { replicateTemplate } from './replicate-template.ts';

const CFN_LINT = process.env['TEST_CFN_LINT'] ?? 'cfn-lint';
const cfnLint = spawnSync(CFN_LINT, ['--version']).status === 0;
if (!cfnLint) {
  console.warn('skipped: no cfn-lint; pip install cfn-lint, or set TEST_CFN_LINT to where it is');
}

/** What has no default. */
const NETWORK = { VpcId: 'vpc-1', SubnetIds: 'subnet-1,subnet-2' };
const GIVEN = { ...NETWORK, ContainerImage: 'longshore:1', BucketName: 'lake' };
const SECRET = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-abc123';
const KEY = 'arn:aws:kms:eu-west-1:123456789012:key/1';
const EXISTING = { CreateDatabase: 'false', DatabaseHost: 'db.example.com', DatabaseSecretArn: SECRET };

interface Statement {
  readonly Sid: string;
  readonly Action: string[];
  readonly Resource: string | string[];
}

function statementsOf(role: string, given: Record<string, string>): Statement[] {
  const { Properties } = stackOf(replicateTemplate(), { ...GIVEN, ...given }).resources[role]!;
  const { Policies } = Properties as unknown as {
    Policies: { PolicyDocument: { Statement: Statement[] } }[];
  };
  return Policies.flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
}

interface Container {
  readonly Command: string[];
  readonly Environment: { Name: string; Value: string }[];
  readonly Secrets: { Name: string; ValueFrom: string }[];
}

function containerOf(given: Record<string, string> = {}): Container {
  const { Properties } = stackOf(replicateTemplate(), { ...GIVEN, ...given }).resources['Task']!;
  return (Properties as unknown as { ContainerDefinitions: Container[] }).ContainerDefinitions[0]!;
}

describe('in every way it may be used', () => {
  const ways = [{}, EXISTING, { ...EXISTING, DatabaseSecurityGroupId: 'sg-0a1b2c3d' }].flatMap((database) =>
    [{}, { CreateBucket: 'false' }, { BucketKmsKeyArn: KEY }].flatMap((bucket) =>
      ['full-load', 'cdc', 'full-load-and-cdc'].flatMap((Mode) =>
        ['', 'rate(1 hour)'].flatMap((ScheduleExpression) =>
          ['true', 'false'].map((each) => ({
            ...GIVEN,
            ...database,
            ...bucket,
            Mode,
            ScheduleExpression,
            Started: each,
            PublicIp: each,
            MultiAz: each,
          })),
        ),
      ),
    ),
  );

  test('it names only what is created then', () => {
    for (const way of ways)
      expect(() => stackOf(replicateTemplate(), way), JSON.stringify(way)).not.toThrow();
  });

  test('the job is a service, or on a schedule, or started by hand', () => {
    for (const way of ways) {
      const { resources, refused } = stackOf(replicateTemplate(), way);
      const runs = ['Service', 'Schedule'].filter((name) => name in resources);
      const scheduled = way.ScheduleExpression !== '';
      const fullLoad = way.Mode === 'full-load';
      expect(runs).toEqual(scheduled ? ['Schedule'] : fullLoad ? [] : ['Service']);
      expect('ScheduleRole' in resources).toBe(scheduled);
      expect(refused.length, JSON.stringify(way)).toBe(scheduled && fullLoad ? 1 : 0);
    }
  });

  test('nothing runs until it is told to', () => {
    const service = (given: object) =>
      stackOf(replicateTemplate(), { ...GIVEN, ...given }).resources['Service']!.Properties;
    expect(service({})).toMatchObject({ DesiredCount: 0 });
    expect(service({ Started: 'true' })).toMatchObject({ DesiredCount: 1 });
    const schedule = (given: object) =>
      stackOf(replicateTemplate(), { ...GIVEN, ...given, ScheduleExpression: 'rate(1 hour)' }).resources[
        'Schedule'
      ]!.Properties;
    expect(schedule({})).toMatchObject({ State: 'DISABLED' });
    expect(schedule({ Started: 'true' })).toMatchObject({ State: 'ENABLED' });
  });

  test('a database that there is has a host and a secret', () => {
    const { refused } = stackOf(replicateTemplate(), {
      ...GIVEN,
      ...EXISTING,
      DatabaseHost: '',
    });
    expect(refused).toEqual(['DatabaseHost names the server that there is']);
  });

  test('every parameter is used, and stands in one group of the console', () => {
    const template = replicateTemplate();
    const { Parameters, Metadata, ...rest } = template;
    const text = JSON.stringify(rest);
    const { ParameterGroups } = Metadata['AWS::CloudFormation::Interface'] as unknown as {
      ParameterGroups: { Parameters: string[] }[];
    };
    expect(ParameterGroups.flatMap((group) => group.Parameters)).toEqual(Object.keys(Parameters));
    for (const name of Object.keys(Parameters))
      expect(text.includes(`{"Ref":"${name}"}`) || text.includes(`\${${name}}`), name).toBe(true);
  });
});

describe('least privilege', () => {
  const keys = {
    BucketKmsKeyArn: KEY,
    DatabaseSecretArn: SECRET,
    DatabaseSecretKmsKeyArn: KEY,
    ContainerRepositoryArn: 'arn:aws:ecr:eu-west-1:123456789012:repository/longshore',
    ScheduleExpression: 'rate(1 hour)',
    Prefix: 'shop/',
  };

  test('the job may use its folder of the bucket', () => {
    expect(statementsOf('TaskRole', { Prefix: 'shop/' })).toEqual([
      {
        Sid: 'List',
        Effect: 'Allow',
        Action: ['s3:ListBucket'],
        Resource: 'arn:aws:s3:::lake',
        Condition: { StringLike: { 's3:prefix': 'shop/*' } },
      },
      {
        Sid: 'Files',
        Effect: 'Allow',
        Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
        Resource: 'arn:aws:s3:::lake/shop/*',
      },
    ]);
  });

  test('its start may read one secret and write its logs', () => {
    const brief = ({ Action, Resource }: Statement) => ({ Action, Resource });
    expect(statementsOf('ExecutionRole', {}).map(brief)).toEqual([
      { Action: ['secretsmanager:GetSecretValue'], Resource: 'Database.MasterUserSecret.SecretArn' },
      { Action: ['logs:CreateLogStream', 'logs:PutLogEvents'], Resource: 'LogGroup.Arn' },
    ]);
    expect(statementsOf('ExecutionRole', EXISTING)[0]!.Resource).toBe(SECRET);
  });

  test.each(['TaskRole', 'ExecutionRole', 'ScheduleRole'])('%s names actions and resources', (role) => {
    for (const { Action, Resource } of statementsOf(role, keys)) {
      expect(Action.filter((action) => action.includes('*'))).toEqual([]);
      // The one action that takes no resource.
      if (Action.includes('ecr:GetAuthorizationToken')) expect(Action).toHaveLength(1);
      else expect([Resource].flat().filter((resource) => !/^arn:|\.Arn|^Task$/.test(resource))).toEqual([]);
    }
  });

  test.each(['TaskRole', 'ExecutionRole', 'ScheduleRole'])(
    '%s is for a service on behalf of the account',
    (role) => {
      const { Properties } = stackOf(replicateTemplate(), { ...GIVEN, ...keys }).resources[role]!;
      expect(Properties).not.toHaveProperty('ManagedPolicyArns');
      expect(Properties).toMatchObject({
        AssumeRolePolicyDocument: {
          Statement: [
            {
              Principal: {
                Service: role === 'ScheduleRole' ? 'scheduler.amazonaws.com' : 'ecs-tasks.amazonaws.com',
              },
              Condition: { StringEquals: { 'aws:SourceAccount': '123456789012' } },
            },
          ],
        },
      });
    },
  );
});

describe('the network', () => {
  test('only the runner reaches the database, and only on its port', () => {
    const { resources } = stackOf(replicateTemplate(), GIVEN);
    expect(resources['DatabaseSecurityGroup']!.Properties).toMatchObject({
      SecurityGroupIngress: [
        {
          IpProtocol: 'tcp',
          FromPort: 5432,
          ToPort: 5432,
          SourceSecurityGroupId: 'RunnerSecurityGroup.GroupId',
        },
      ],
    });
    expect(resources['Database']!.Properties).toMatchObject({
      PubliclyAccessible: false,
      VPCSecurityGroups: ['DatabaseSecurityGroup.GroupId'],
      DBParameterGroupName: 'DatabaseParameters',
    });
    expect('DatabaseFromRunner' in resources).toBe(false);
  });

  test.each([
    [{}, { DestinationSecurityGroupId: 'DatabaseSecurityGroup.GroupId', FromPort: 5432 }],
    [EXISTING, { CidrIp: '0.0.0.0/0', FromPort: 5432 }],
    [
      { ...EXISTING, DatabasePort: '6432', DatabaseSecurityGroupId: 'sg-0a1b2c3d' },
      { DestinationSecurityGroupId: 'sg-0a1b2c3d', FromPort: '6432' },
    ],
  ])('the runner reaches the database: %j', (given, rule) => {
    const { resources } = stackOf(replicateTemplate(), { ...GIVEN, ...given });
    const { Properties } = resources['RunnerToDatabase']!;
    expect(Properties).toMatchObject({ ...rule, ToPort: rule.FromPort });
    expect('CidrIp' in (Properties as object)).toBe('CidrIp' in rule);
    expect('DatabaseFromRunner' in resources).toBe('DatabaseSecurityGroupId' in given);
  });
});

describe('secrets', () => {
  test('come from Secrets Manager, and stand neither in the command nor in plain variables', () => {
    const { Command, Environment, Secrets } = containerOf();
    expect(Secrets).toEqual([
      { Name: 'PGUSER', ValueFrom: 'Database.MasterUserSecret.SecretArn:username::' },
      { Name: 'PGPASSWORD', ValueFrom: 'Database.MasterUserSecret.SecretArn:password::' },
    ]);
    expect(Command).toContain('postgres://Database.Endpoint.Address:5432/shop');
    expect(Environment.map(({ Name }) => Name)).toEqual(['AWS_REGION', 'PGSSLMODE', 'PGSSLROOTCERT']);
  });

  test('no parameter takes one, and the template makes none', () => {
    const template = replicateTemplate();
    expect(Object.keys(template.Parameters).filter((name) => /password/i.test(name))).toEqual([]);
    expect(template.Resources['Database']!.Properties).not.toHaveProperty('MasterUserPassword');
    expect(template.Resources['Database']!.Properties['ManageMasterUserPassword']).toBe(true);
    expect(JSON.stringify(template.Outputs)).not.toMatch(/resolve:secretsmanager/);
  });
});

test('the bucket and the database outlive the stack', () => {
  const { Resources } = replicateTemplate();
  expect(Resources['Bucket']).toMatchObject({
    DeletionPolicy: 'RetainExceptOnCreate',
    UpdateReplacePolicy: 'Retain',
  });
  expect(Resources['Database']).toMatchObject({
    DeletionPolicy: 'Snapshot',
    UpdateReplacePolicy: 'Snapshot',
    Properties: { StorageEncrypted: true },
  });
  expect(Resources['DatabaseParameters']!.Properties['Parameters']).toMatchObject({
    'rds.logical_replication': '1',
    max_slot_wal_keep_size: { Ref: 'SlotKeepMiB' },
  });
});

test('presets are defaults; one that its parameter refuses is told', () => {
  const { Parameters } = replicateTemplate({
    bucket: 'lake',
    tables: 'public.*,!public.audit_*',
    every: '30s',
  });
  expect(Parameters['BucketName']).toMatchObject({ Default: 'lake' });
  expect(Parameters['Tables']).toMatchObject({ Default: 'public.*,!public.audit_*' });
  expect(Parameters['Every']).toMatchObject({ Default: '30s' });
  expect(replicateTemplate().Parameters['BucketName']).not.toHaveProperty('Default');
  const refused = [
    { bucket: 's3://lake' },
    { name: 'My job' },
    { tables: '' },
    { mode: 'all' },
    { every: 'soon' },
  ];
  for (const presets of refused)
    expect(() => replicateTemplate(presets), JSON.stringify(presets)).toThrow(/^cannot use/);
});

describe('the text', () => {
  test.each(['yaml', 'json'] as const)('as %s says the same, and fits into a request', (format) => {
    const text = templateText(replicateTemplate(), format);
    // As CloudFormation reads it.
    expect(parse(text, { version: '1.1', schema: 'yaml-1.1' })).toEqual(replicateTemplate());
    expect(Buffer.byteLength(text)).toBeLessThan(51_200);
  });

  test.skipIf(!cfnLint)('satisfies cfn-lint without an error or a warning', { timeout: 120_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'longshore-template-'));
    try {
      const files = (['yaml', 'json'] as const).map((format) => {
        const file = join(folder, `template.${format}`);
        const presets = format === 'yaml' ? {} : { bucket: 'lake', mode: 'full-load', name: 'shop' };
        writeFileSync(file, templateText(replicateTemplate(presets), format));
        return file;
      });
      const ran = spawnSync(CFN_LINT, files, { encoding: 'utf8' });
      expect(`${ran.stdout}${ran.stderr}`).toBe('');
      expect(ran.status).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
