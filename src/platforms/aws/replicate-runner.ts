/** Longshore itself: a task of Fargate, as a service that stays or on a schedule. */

import { attribute, ref, sub, type TemplateResource, type TemplateValue, when } from './cloudformation.ts';
import { BUCKET } from './replicate-bucket.ts';
import { DATABASE_HOST, DATABASE_PORT, DATABASE_SECRET } from './replicate-database.ts';

/** User and password stand in the environment, where no list of processes shows them. */
const FROM = sub('postgres://${Host}:${Port}/${DatabaseName}', { Host: DATABASE_HOST, Port: DATABASE_PORT });

/** Where files go. */
export const TARGET = sub('s3://${Bucket}/${Prefix}', { Bucket: BUCKET });

/** The arguments that say what is replicated, as `--plan` takes them too. */
export const REPLICATE_ARGUMENTS: readonly TemplateValue[] = [
  'replicate',
  '--name',
  ref('JobName'),
  '--from',
  FROM,
  '--to',
  TARGET,
  '--tables',
  ref('Tables'),
  '--mode',
  ref('Mode'),
];

const ARGUMENTS: readonly TemplateValue[] = [
  ...REPLICATE_ARGUMENTS,
  '--every',
  ref('Every'),
  when('Scheduled', '--until-caught-up'),
];

export const CONTAINER = 'longshore';

const NONE = ref('AWS::NoValue');

const PLACE: TemplateValue = {
  AwsvpcConfiguration: {
    AssignPublicIp: when('HasPublicIp', 'ENABLED', 'DISABLED'),
    SecurityGroups: [attribute('RunnerSecurityGroup', 'GroupId')],
    Subnets: ref('SubnetIds'),
  },
};

export const RUNNER_RESOURCES: { readonly [name: string]: TemplateResource } = {
  RunnerSecurityGroup: {
    Type: 'AWS::EC2::SecurityGroup',
    Properties: {
      GroupDescription: sub('Longshore of ${AWS::StackName}'),
      VpcId: ref('VpcId'),
      SecurityGroupEgress: [
        {
          IpProtocol: 'tcp',
          FromPort: 443,
          ToPort: 443,
          CidrIp: '0.0.0.0/0',
          Description: 'S3, Secrets Manager, CloudWatch Logs, the registry of the image',
        },
      ],
    },
  },
  RunnerToDatabase: {
    Type: 'AWS::EC2::SecurityGroupEgress',
    Properties: {
      GroupId: attribute('RunnerSecurityGroup', 'GroupId'),
      IpProtocol: 'tcp',
      FromPort: DATABASE_PORT,
      ToPort: DATABASE_PORT,
      DestinationSecurityGroupId: when(
        'CreatesDatabase',
        attribute('DatabaseSecurityGroup', 'GroupId'),
        when('HasDatabaseGroup', ref('DatabaseSecurityGroupId')),
      ),
      // A server whose group is not known, perhaps outside of AWS, is reached by address.
      CidrIp: when('CreatesDatabase', NONE, when('HasDatabaseGroup', NONE, '0.0.0.0/0')),
      Description: 'PostgreSQL',
    },
  },
  Cluster: { Type: 'AWS::ECS::Cluster', Properties: {} },
  LogGroup: {
    Type: 'AWS::Logs::LogGroup',
    DeletionPolicy: 'Delete',
    UpdateReplacePolicy: 'Delete',
    Properties: {
      LogGroupName: sub('/longshore/${AWS::StackName}'),
      RetentionInDays: ref('LogRetentionDays'),
    },
  },
  Task: {
    Type: 'AWS::ECS::TaskDefinition',
    Properties: {
      Family: ref('AWS::StackName'),
      RequiresCompatibilities: ['FARGATE'],
      NetworkMode: 'awsvpc',
      RuntimePlatform: { CpuArchitecture: ref('CpuArchitecture'), OperatingSystemFamily: 'LINUX' },
      Cpu: ref('TaskCpu'),
      Memory: ref('TaskMemoryMiB'),
      EphemeralStorage: { SizeInGiB: ref('TaskStorageGiB') },
      ExecutionRoleArn: attribute('ExecutionRole', 'Arn'),
      TaskRoleArn: attribute('TaskRole', 'Arn'),
      ContainerDefinitions: [
        {
          Name: CONTAINER,
          Image: ref('ContainerImage'),
          Essential: true,
          Command: ARGUMENTS,
          Environment: [
            { Name: 'AWS_REGION', Value: ref('AWS::Region') },
            { Name: 'PGSSLMODE', Value: ref('DatabaseSslMode') },
            { Name: 'PGSSLROOTCERT', Value: ref('DatabaseCaFile') },
          ],
          Secrets: [
            { Name: 'PGUSER', ValueFrom: sub('${Secret}:username::', { Secret: DATABASE_SECRET }) },
            { Name: 'PGPASSWORD', ValueFrom: sub('${Secret}:password::', { Secret: DATABASE_SECRET }) },
          ],
          LogConfiguration: {
            LogDriver: 'awslogs',
            Options: {
              'awslogs-group': ref('LogGroup'),
              'awslogs-region': ref('AWS::Region'),
              'awslogs-stream-prefix': ref('JobName'),
            },
          },
        },
      ],
    },
  },
  Service: {
    Type: 'AWS::ECS::Service',
    Condition: 'Stays',
    DependsOn: ['RunnerToDatabase'],
    Properties: {
      Cluster: ref('Cluster'),
      TaskDefinition: ref('Task'),
      LaunchType: 'FARGATE',
      DesiredCount: when('IsStarted', 1, 0),
      // The old task ends before the new one begins: a job is run by one process.
      AvailabilityZoneRebalancing: 'DISABLED',
      DeploymentConfiguration: {
        MaximumPercent: 100,
        MinimumHealthyPercent: 0,
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      },
      NetworkConfiguration: PLACE,
    },
  },
  Schedule: {
    Type: 'AWS::Scheduler::Schedule',
    Condition: 'Scheduled',
    DependsOn: ['RunnerToDatabase'],
    Properties: {
      ScheduleExpression: ref('ScheduleExpression'),
      State: when('IsStarted', 'ENABLED', 'DISABLED'),
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: {
        Arn: attribute('Cluster', 'Arn'),
        RoleArn: attribute('ScheduleRole', 'Arn'),
        EcsParameters: {
          TaskDefinitionArn: ref('Task'),
          LaunchType: 'FARGATE',
          TaskCount: 1,
          NetworkConfiguration: PLACE,
        },
        RetryPolicy: { MaximumRetryAttempts: 3, MaximumEventAgeInSeconds: 3600 },
      },
    },
  },
};
