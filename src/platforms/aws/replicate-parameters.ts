/** What the template of a replication asks for: parameters in groups, conditions on them, rules between them. */

import {
  both,
  condition,
  equals,
  not,
  ref,
  type TemplateParameter,
  type TemplateRule,
  type TemplateValue,
} from './cloudformation.ts';

const YES_OR_NO = { Type: 'String', AllowedValues: ['true', 'false'] } as const;

const JOB = {
  JobName: {
    Type: 'String',
    Description: 'Name of the job, where several share a database or a prefix',
    Default: 'longshore',
    AllowedPattern: '^(?!(.*_)?(load|verify)$)[a-z0-9_]{1,40}$',
    ConstraintDescription: 'small letters, digits and _, at most 40; its last word is not load or verify',
  },
  Tables: {
    Type: 'String',
    Description:
      'Patterns of schema.table, * for any characters, ! to leave out, such as public.*,!public.audit_*',
    Default: '*.*',
    AllowedPattern: '^[^,]+(,[^,]+)*$',
    ConstraintDescription: 'patterns with commas between them',
  },
  Mode: {
    Type: 'String',
    Description: 'Load every table, follow the changes, or both; a full load alone is started by hand',
    Default: 'full-load-and-cdc',
    AllowedValues: ['full-load', 'cdc', 'full-load-and-cdc'],
  },
  Every: {
    Type: 'String',
    Description: 'How long changes are gathered before they are landed',
    Default: '2m',
    AllowedPattern: '^[0-9]+([.][0-9]+)?(ms|s|m|h|d)$',
    ConstraintDescription: 'a number and a unit, such as 30s or 2m',
  },
  ScheduleExpression: {
    Type: 'String',
    Description:
      'When to run until everything is landed, such as rate(1 hour) or cron(0 3 * * ? *), in UTC; empty for a runner that stays',
    Default: '',
    AllowedPattern: '^$|^(rate|cron)[(].+[)]$',
    ConstraintDescription: 'empty, rate(…) or cron(…)',
  },
  Started: {
    ...YES_OR_NO,
    Description: 'Whether the job runs; false until the database has its tables',
    Default: 'false',
  },
} as const satisfies Record<string, TemplateParameter>;

const BUCKET = {
  BucketName: {
    Type: 'String',
    Description: 'Bucket that the files go to',
    AllowedPattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$',
    ConstraintDescription: 'the name of a bucket, without s3://',
  },
  CreateBucket: {
    ...YES_OR_NO,
    Description: 'Whether to create the bucket; false for one that there is, in this region',
    Default: 'true',
  },
  Prefix: {
    Type: 'String',
    Description: 'Folder in the bucket, such as shop/; empty for the whole bucket',
    Default: '',
    // No character has a meaning in a policy or in a URL.
    AllowedPattern: "^([A-Za-z0-9!_.()'-]+/)*$",
    ConstraintDescription: 'names with a slash behind each',
  },
  BucketKmsKeyArn: {
    Type: 'String',
    Description: 'KMS key that the bucket encrypts with; empty for keys of S3',
    Default: '',
    AllowedPattern: '^$|^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$',
    ConstraintDescription: 'empty, or the ARN of a key',
  },
} as const satisfies Record<string, TemplateParameter>;

const DATABASE = {
  CreateDatabase: {
    ...YES_OR_NO,
    Description: 'Whether to create an RDS PostgreSQL; false for a server that there is',
    Default: 'true',
  },
  DatabaseName: {
    Type: 'String',
    Description: 'Database whose tables are replicated',
    Default: 'shop',
    AllowedPattern: '^[A-Za-z][A-Za-z0-9_]{0,62}$',
    ConstraintDescription: 'letters, digits and _, a letter first, at most 63',
  },
  DatabaseSecretArn: {
    Type: 'String',
    Description:
      'Secret of Secrets Manager with username and password of a role that may replicate; empty for the master user of a created database',
    Default: '',
    AllowedPattern: '^$|^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$',
    ConstraintDescription: 'empty, or the ARN of a secret',
  },
  DatabaseSecretKmsKeyArn: {
    Type: 'String',
    Description: 'KMS key of that secret; empty for the key that AWS manages',
    Default: '',
    AllowedPattern: '^$|^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$',
    ConstraintDescription: 'empty, or the ARN of a key',
  },
  DatabaseSslMode: {
    Type: 'String',
    Description: 'How far the connection is encrypted and checked, in the words of libpq',
    Default: 'require',
    AllowedValues: ['require', 'verify-ca', 'verify-full'],
  },
  DatabaseCaFile: {
    Type: 'String',
    Description: 'File of the container image with the certificates of RDS, for verify-ca and verify-full',
    Default: '',
  },
} as const satisfies Record<string, TemplateParameter>;

const EXISTING_DATABASE = {
  DatabaseHost: {
    Type: 'String',
    Description: 'Host of the server that there is',
    Default: '',
    AllowedPattern: '^[A-Za-z0-9.-]*$',
    ConstraintDescription: 'a host name or an IPv4 address',
  },
  DatabasePort: {
    Type: 'Number',
    Description: 'Its port',
    Default: 5432,
    MinValue: 1,
    MaxValue: 65535,
  },
  DatabaseSecurityGroupId: {
    Type: 'String',
    Description: 'Its security group, which gets a rule for the runner; empty where there is none to change',
    Default: '',
    AllowedPattern: '^$|^sg-[0-9a-f]+$',
    ConstraintDescription: 'empty, or sg-…',
  },
} as const satisfies Record<string, TemplateParameter>;

const NEW_DATABASE = {
  PostgresVersion: {
    Type: 'String',
    Description: 'Major version of PostgreSQL',
    Default: '17',
    AllowedValues: ['14', '15', '16', '17', '18'],
  },
  DatabaseClass: {
    Type: 'String',
    Description: 'Class of the instance',
    Default: 'db.t3.medium',
    AllowedPattern: '^db[.][a-z0-9-]+[.][a-z0-9]+$',
    ConstraintDescription: 'such as db.t3.medium or db.m6g.large',
  },
  DatabaseStorageGiB: {
    Type: 'Number',
    Description: 'Storage to begin with',
    Default: 20,
    MinValue: 20,
    MaxValue: 65536,
  },
  DatabaseStorageMaxGiB: {
    Type: 'Number',
    Description: 'How far the storage may grow by itself; at least a tenth more than the beginning',
    Default: 100,
    MinValue: 22,
    MaxValue: 65536,
  },
  SlotKeepMiB: {
    Type: 'Number',
    Description:
      'Log that the server keeps at most for a job that stands still; with more, the job has to load everything again, with none the storage would run full',
    Default: 10240,
    MinValue: 1024,
    MaxValue: 1048576,
  },
  MultiAz: {
    ...YES_OR_NO,
    Description: 'Whether a standby waits in another zone',
    Default: 'false',
  },
} as const satisfies Record<string, TemplateParameter>;

const NETWORK = {
  VpcId: { Type: 'AWS::EC2::VPC::Id', Description: 'Network of the runner and of a created database' },
  SubnetIds: {
    Type: 'List<AWS::EC2::Subnet::Id>',
    Description:
      'At least two, in different zones, from which S3, Secrets Manager, CloudWatch Logs and the image are reached',
  },
  PublicIp: {
    ...YES_OR_NO,
    Description:
      'Whether the runner gets a public address; true for subnets without a NAT gateway or endpoints',
    Default: 'false',
  },
} as const satisfies Record<string, TemplateParameter>;

const RUNNER = {
  ContainerImage: { Type: 'String', Description: 'Image of Longshore, as its Dockerfile builds it' },
  ContainerRepositoryArn: {
    Type: 'String',
    Description: 'ECR repository of the image; empty for a public registry',
    Default: '',
    AllowedPattern: '^$|^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+$',
    ConstraintDescription: 'empty, or the ARN of a repository',
  },
  CpuArchitecture: {
    Type: 'String',
    Description: 'What the image was built for',
    Default: 'X86_64',
    AllowedValues: ['X86_64', 'ARM64'],
  },
  TaskCpu: {
    Type: 'String',
    Description: 'CPU units, 1024 for a core',
    Default: '1024',
    AllowedValues: ['512', '1024', '2048', '4096'],
  },
  TaskMemoryMiB: {
    Type: 'String',
    Description: 'Memory; Fargate takes two to eight times the CPU units',
    Default: '2048',
    AllowedValues: ['2048', '4096', '8192', '16384'],
  },
  TaskStorageGiB: {
    Type: 'Number',
    Description:
      'Disk for files that are being written and for transactions that the server sends before they commit',
    Default: 30,
    MinValue: 21,
    MaxValue: 200,
  },
  LogRetentionDays: {
    Type: 'Number',
    Description: 'How long logs are kept',
    Default: 30,
    AllowedValues: [1, 3, 5, 7, 14, 30, 60, 90, 180, 365, 731, 1827, 3653],
  },
} as const satisfies Record<string, TemplateParameter>;

/** As the console shows them. */
const GROUPS = {
  'The job': JOB,
  'Where files go': BUCKET,
  'The database': DATABASE,
  'The database that there is': EXISTING_DATABASE,
  'The database that is created': NEW_DATABASE,
  'The network': NETWORK,
  'The runner': RUNNER,
} as const;

export const REPLICATE_PARAMETERS: { readonly [name: string]: TemplateParameter } = Object.assign(
  {},
  ...Object.values(GROUPS),
);

export const REPLICATE_METADATA: { readonly [name: string]: TemplateValue } = {
  'AWS::CloudFormation::Interface': {
    ParameterGroups: Object.entries(GROUPS).map(([label, parameters]) => ({
      Label: { default: label },
      Parameters: Object.keys(parameters),
    })),
  },
};

const given = (parameter: string): TemplateValue => not(equals(ref(parameter), ''));
const isTrue = (parameter: string): TemplateValue => equals(ref(parameter), 'true');

/**
 * How the job runs:
 *
 * | ScheduleExpression | Mode | |
 * | --- | --- | --- |
 * | given | not full-load | `Scheduled` |
 * | empty | not full-load | `Stays` |
 * | empty | full-load | by hand |
 * | given | full-load | a rule refuses it: the second run would find everything loaded |
 */
export const REPLICATE_CONDITIONS: { readonly [name: string]: TemplateValue } = {
  Scheduled: given('ScheduleExpression'),
  Stays: both(not(condition('Scheduled')), not(equals(ref('Mode'), 'full-load'))),
  IsStarted: isTrue('Started'),
  CreatesBucket: isTrue('CreateBucket'),
  HasBucketKey: given('BucketKmsKeyArn'),
  CreatesDatabase: isTrue('CreateDatabase'),
  HasSecret: given('DatabaseSecretArn'),
  HasSecretKey: given('DatabaseSecretKmsKeyArn'),
  HasDatabaseGroup: both(not(condition('CreatesDatabase')), given('DatabaseSecurityGroupId')),
  HasMultiAz: isTrue('MultiAz'),
  HasPublicIp: isTrue('PublicIp'),
  HasRepository: given('ContainerRepositoryArn'),
};

export const REPLICATE_RULES: { readonly [name: string]: TemplateRule } = {
  ExistingDatabase: {
    RuleCondition: equals(ref('CreateDatabase'), 'false'),
    Assertions: [
      { Assert: given('DatabaseHost'), AssertDescription: 'DatabaseHost names the server that there is' },
      {
        Assert: given('DatabaseSecretArn'),
        AssertDescription: 'DatabaseSecretArn names the secret with its username and password',
      },
    ],
  },
  OneFullLoad: {
    RuleCondition: equals(ref('Mode'), 'full-load'),
    Assertions: [
      {
        Assert: equals(ref('ScheduleExpression'), ''),
        AssertDescription: 'A full load happens once: leave ScheduleExpression empty',
      },
    ],
  },
};
