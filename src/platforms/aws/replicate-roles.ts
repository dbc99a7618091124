/** The roles of a replication on AWS, each with what it needs and nothing more. */

import {
  attribute,
  ref,
  sub,
  type TemplateResource,
  type TemplateStatement,
  type TemplateValue,
  when,
} from './cloudformation.ts';
import { BUCKET_STATEMENTS } from './replicate-bucket.ts';
import { DATABASE_SECRET } from './replicate-database.ts';

/** What Fargate does before the container starts: fetch the image and the secret, write logs. */
const EXECUTION_STATEMENTS: readonly (TemplateStatement | TemplateValue)[] = [
  {
    Sid: 'Secret',
    Effect: 'Allow',
    Action: ['secretsmanager:GetSecretValue'],
    Resource: DATABASE_SECRET,
  },
  when('HasSecretKey', {
    Sid: 'DecryptSecret',
    Effect: 'Allow',
    Action: ['kms:Decrypt'],
    Resource: ref('DatabaseSecretKmsKeyArn'),
    Condition: {
      StringEquals: { 'kms:ViaService': sub('secretsmanager.${AWS::Region}.${AWS::URLSuffix}') },
    },
  }),
  {
    Sid: 'Logs',
    Effect: 'Allow',
    Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
    Resource: attribute('LogGroup', 'Arn'),
  },
  when('HasRepository', {
    Sid: 'Image',
    Effect: 'Allow',
    Action: ['ecr:BatchCheckLayerAvailability', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchGetImage'],
    Resource: ref('ContainerRepositoryArn'),
  }),
  // An action of the account, which names no resource.
  when('HasRepository', {
    Sid: 'RegistryToken',
    Effect: 'Allow',
    Action: ['ecr:GetAuthorizationToken'],
    Resource: '*',
  }),
];

const SCHEDULE_STATEMENTS: readonly TemplateStatement[] = [
  {
    Sid: 'RunTask',
    Effect: 'Allow',
    Action: ['ecs:RunTask'],
    Resource: ref('Task'),
    Condition: { ArnEquals: { 'ecs:cluster': attribute('Cluster', 'Arn') } },
  },
  {
    Sid: 'PassRoles',
    Effect: 'Allow',
    Action: ['iam:PassRole'],
    Resource: [attribute('ExecutionRole', 'Arn'), attribute('TaskRole', 'Arn')],
    Condition: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
  },
];

export const ROLE_RESOURCES: { readonly [name: string]: TemplateResource } = {
  ExecutionRole: role('ecs-tasks.amazonaws.com', EXECUTION_STATEMENTS),
  TaskRole: role('ecs-tasks.amazonaws.com', BUCKET_STATEMENTS),
  ScheduleRole: { ...role('scheduler.amazonaws.com', SCHEDULE_STATEMENTS), Condition: 'Scheduled' },
};

/** For a service, on behalf of this account only. */
function role(service: string, statements: readonly (TemplateStatement | TemplateValue)[]): TemplateResource {
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { Service: service },
            Action: 'sts:AssumeRole',
            Condition: { StringEquals: { 'aws:SourceAccount': ref('AWS::AccountId') } },
          },
        ],
      },
      Policies: [
        { PolicyName: 'longshore', PolicyDocument: { Version: '2012-10-17', Statement: statements } },
      ],
    },
  };
}
