/**
 * The CloudFormation template of a replication on AWS: a bucket, an RDS PostgreSQL with logical replication, and
 * Longshore between them as a task of Fargate. Pure.
 */

import { LongshoreError } from '../../errors.ts';
import {
  attribute,
  join,
  ref,
  sub,
  type Template,
  type TemplateOutput,
  type TemplateParameter,
} from './cloudformation.ts';
import { BUCKET, BUCKET_RESOURCES } from './replicate-bucket.ts';
import { DATABASE_HOST, DATABASE_PORT, DATABASE_RESOURCES, DATABASE_SECRET } from './replicate-database.ts';
import {
  REPLICATE_CONDITIONS,
  REPLICATE_METADATA,
  REPLICATE_PARAMETERS,
  REPLICATE_RULES,
} from './replicate-parameters.ts';
import { ROLE_RESOURCES } from './replicate-roles.ts';
import { CONTAINER, REPLICATE_ARGUMENTS, RUNNER_RESOURCES, TARGET } from './replicate-runner.ts';

/** What the parameters are by default. */
export interface ReplicatePresets {
  readonly bucket?: string | undefined;
  readonly name?: string | undefined;
  readonly tables?: string | undefined;
  readonly mode?: string | undefined;
  readonly every?: string | undefined;
}

const PRESETS = {
  bucket: 'BucketName',
  name: 'JobName',
  tables: 'Tables',
  mode: 'Mode',
  every: 'Every',
} as const satisfies Record<keyof ReplicatePresets, string>;

/** @throws CONFIG_INVALID for a preset that its parameter does not allow */
export function replicateTemplate(presets: ReplicatePresets = {}): Template {
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description: 'Longshore replicates a PostgreSQL database into Parquet files of a bucket',
    Metadata: REPLICATE_METADATA,
    Parameters: { ...REPLICATE_PARAMETERS, ...presetParameters(presets) },
    Rules: REPLICATE_RULES,
    Conditions: REPLICATE_CONDITIONS,
    Resources: { ...BUCKET_RESOURCES, ...DATABASE_RESOURCES, ...ROLE_RESOURCES, ...RUNNER_RESOURCES },
    Outputs: OUTPUTS,
  };
}

function presetParameters(presets: ReplicatePresets): Record<string, TemplateParameter> {
  const parameters: Record<string, TemplateParameter> = {};
  for (const [preset, name] of Object.entries(PRESETS)) {
    const value = presets[preset as keyof ReplicatePresets];
    if (value === undefined) continue;
    const parameter = REPLICATE_PARAMETERS[name]!;
    const { AllowedPattern: pattern, AllowedValues: values } = parameter;
    if ((pattern !== undefined && !new RegExp(pattern).test(value)) || values?.includes(value) === false) {
      throw new LongshoreError('CONFIG_INVALID', `cannot use "${value}" as --${preset}`, {
        hint: `give ${values?.join(', ') ?? parameter.ConstraintDescription}`,
      });
    }
    parameters[name] = { ...parameter, Default: value };
  }
  return parameters;
}

/** `aws ecs run-task`, up to what it overrides. */
const RUN_TASK =
  "aws ecs run-task --cluster ${Cluster} --task-definition ${Task} --launch-type FARGATE --network-configuration 'awsvpcConfiguration={subnets=[${Subnets}],securityGroups=[${RunnerSecurityGroup.GroupId}],assignPublicIp=${PublicIp}}'";

const RUN_TASK_VARIABLES = {
  Subnets: join(',', ref('SubnetIds')),
  PublicIp: { 'Fn::If': ['HasPublicIp', 'ENABLED', 'DISABLED'] },
} as const;

const OUTPUTS: { readonly [name: string]: TemplateOutput } = {
  Bucket: { Description: 'Bucket that the files go to', Value: BUCKET },
  DatabaseEndpoint: {
    Description: 'Where the database is',
    Value: sub('${Host}:${Port}', { Host: DATABASE_HOST, Port: DATABASE_PORT }),
  },
  DatabaseSecretArn: { Description: 'Secret with its username and password', Value: DATABASE_SECRET },
  TaskRoleArn: { Description: 'Role of the job', Value: attribute('TaskRole', 'Arn') },
  RunnerSecurityGroupId: {
    Description: 'Security group of the job, for a database that there is',
    Value: attribute('RunnerSecurityGroup', 'GroupId'),
  },
  PlanCommand: {
    Description: 'Says in the logs what would be done, and changes nothing',
    Value: sub(
      `${RUN_TASK} --overrides '{"containerOverrides":[{"name":"${CONTAINER}","command":["\${Plan}"]}]}'`,
      {
        ...RUN_TASK_VARIABLES,
        Plan: join('","', [...REPLICATE_ARGUMENTS, '--plan']),
      },
    ),
  },
  RunCommand: {
    Description: 'Runs the job once by hand, where neither a service nor a schedule does',
    Value: sub(RUN_TASK, RUN_TASK_VARIABLES),
  },
  LogsCommand: { Description: 'Shows what the job says', Value: sub('aws logs tail ${LogGroup} --follow') },
  StatusCommand: {
    Description: 'Shows how far the job is, from wherever the bucket can be read',
    Value: sub('longshore status --name ${JobName} --to ${Target}', { Target: TARGET }),
  },
};
