/** The IAM policies that building, converging and sweeping need, each apart, and no wider than AWS lets them be. */

import type { ActionsAsked } from '../../../platforms/aws/account.ts';
import { TAGS } from './names.ts';

export interface IamStatement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface IamPolicy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly IamStatement[];
}

export interface PolicyScope {
  /** `aws`, `aws-cn`, `aws-us-gov` */
  readonly partition: string;
  readonly region: string;
  readonly account: string;
  /** ARN of the cluster that is cloned. */
  readonly source: string;
}

/** Converging runs CloudFormation with the caller's own rights. */
export function clonePolicies(scope: PolicyScope): {
  readonly build: IamPolicy;
  readonly converge: IamPolicy;
  readonly sweep: IamPolicy;
} {
  return {
    build: policy(buildStatements(scope)),
    converge: policy([...lookStatements(), ...makeStatements(scope), ...deleteStatements(scope)]),
    sweep: policy([
      allow('Look', LOOK_TO_DELETE),
      allow('ListSizes', ['cloudwatch:GetMetricData']),
      ...deleteStatements(scope),
    ]),
  };
}

/** What converging changes, as IAM is asked whether the caller may. */
export function actionsOfConverging(scope: PolicyScope): ActionsAsked[] {
  return [...makeStatements(scope), ...deleteStatements(scope)].map(({ Action, Resource, Condition }) => ({
    actions: Action,
    resource: Resource[0]!.replaceAll('*', 'longshore'),
    context: Object.fromEntries(
      Object.entries(Condition ?? {}).flatMap(([operator, keys]) =>
        Object.entries(keys).map(([key, value]) => [key, operator === 'Null' ? 'longshore' : value]),
      ),
    ),
  }));
}

function policy(statements: readonly IamStatement[]): IamPolicy {
  return { Version: '2012-10-17', Statement: statements };
}

function allow(
  Sid: string,
  Action: readonly string[],
  Resource: readonly string[] = ['*'],
  Condition?: IamStatement['Condition'],
): IamStatement {
  return { Sid, Effect: 'Allow', Action, Resource, ...(Condition === undefined ? {} : { Condition }) };
}

/** What is made must carry our tag … */
const TAGGED_NEW = { Null: { [`aws:RequestTag/${TAGS.clone}`]: 'false' } };
/** … and what is changed or deleted must have it. */
const TAGGED = { Null: { [`aws:ResourceTag/${TAGS.clone}`]: 'false' } };

function buildStatements({ source }: PolicyScope): IamStatement[] {
  return [allow('Source', ['rds:DescribeDBClusters'], [source])];
}

/** What CloudFormation asks among it. */
const LOOK_TO_DELETE = [
  'cloudformation:DescribeStackEvents',
  'cloudformation:DescribeStacks',
  'ec2:DescribeSecurityGroups',
  'rds:DescribeDBClusters',
  'rds:DescribeDBInstances',
  'rds:DescribeDBSubnetGroups',
  'rds:DescribeEvents',
  'rds:DescribeGlobalClusters',
  'rds:ListTagsForResource',
];

/** Read-only; AWS knows no resource for most of it. */
function lookStatements(): IamStatement[] {
  return [
    allow('Look', [
      ...LOOK_TO_DELETE,
      'cloudformation:GetTemplate',
      'ec2:DescribeSubnets',
      'ec2:DescribeVpcs',
      'rds:DescribeOrderableDBInstanceOptions',
    ]),
    // Without these the plan says what it could not find out, and goes on.
    allow('PlanInFull', [
      'iam:GetRole',
      'iam:SimulatePrincipalPolicy',
      'kms:DescribeKey',
      'pricing:GetProducts',
      'servicequotas:GetServiceQuota',
    ]),
  ];
}

function makeStatements(scope: PolicyScope): IamStatement[] {
  const { partition, region, account, source } = scope;
  const rds = (what: string) => `arn:${partition}:rds:${region}:${account}:${what}:*`;
  const ec2 = (what: string) => `arn:${partition}:ec2:${region}:${account}:${what}/*`;
  return [
    allow(
      'MakeStack',
      ['cloudformation:CreateStack', 'cloudformation:TagResource'],
      [stacks(scope)],
      TAGGED_NEW,
    ),
    allow('ChangeStack', ['cloudformation:UpdateStack'], [stacks(scope)], TAGGED),
    allow(
      'MakeDatabase',
      [
        'rds:CreateDBCluster',
        'rds:CreateDBInstance',
        'rds:CreateDBSubnetGroup',
        'rds:RestoreDBClusterToPointInTime',
      ],
      [rds('cluster'), rds('db'), rds('subgrp')],
      TAGGED_NEW,
    ),
    // What is used and not made carries no new tag.
    allow('UseSource', ['rds:RestoreDBClusterToPointInTime'], [source, rds('subgrp'), rds('cluster-pg')]),
    allow(
      'UseGroups',
      ['rds:CreateDBCluster', 'rds:CreateDBInstance'],
      [rds('subgrp'), rds('cluster-pg'), rds('pg')],
    ),
    allow('TagDatabase', ['rds:AddTagsToResource'], [rds('cluster'), rds('db'), rds('subgrp')], TAGGED_NEW),
    allow('MarkReady', ['rds:AddTagsToResource'], [rds('cluster')], TAGGED),
    allow('MakeGroup', ['ec2:CreateSecurityGroup'], [ec2('security-group')], TAGGED_NEW),
    allow('UseNetwork', ['ec2:CreateSecurityGroup'], [ec2('vpc')]),
    allow('TagGroup', ['ec2:CreateTags'], [ec2('security-group')], {
      StringEquals: { 'ec2:CreateAction': 'CreateSecurityGroup' },
    }),
    allow(
      'FillGroup',
      [
        'ec2:AuthorizeSecurityGroupEgress',
        'ec2:AuthorizeSecurityGroupIngress',
        'ec2:RevokeSecurityGroupEgress',
        'ec2:RevokeSecurityGroupIngress',
      ],
      [ec2('security-group')],
      TAGGED,
    ),
    allow(
      'UseKey',
      ['kms:CreateGrant', 'kms:DescribeKey'],
      [`arn:${partition}:kms:${region}:${account}:key/*`],
      {
        StringEquals: { 'kms:ViaService': `rds.${region}.amazonaws.com` },
      },
    ),
  ];
}

function deleteStatements(scope: PolicyScope): IamStatement[] {
  const { partition, region, account } = scope;
  const rds = (what: string) => `arn:${partition}:rds:${region}:${account}:${what}:*`;
  return [
    allow('DeleteStack', ['cloudformation:DeleteStack'], [stacks(scope)], TAGGED),
    allow(
      'DeleteDatabase',
      ['rds:DeleteDBCluster', 'rds:DeleteDBInstance', 'rds:DeleteDBSubnetGroup', 'rds:ModifyDBCluster'],
      [rds('cluster'), rds('db'), rds('subgrp')],
      TAGGED,
    ),
    allow(
      'DeleteGroup',
      ['ec2:DeleteSecurityGroup'],
      [`arn:${partition}:ec2:${region}:${account}:security-group/*`],
      TAGGED,
    ),
  ];
}

function stacks({ partition, region, account }: PolicyScope): string {
  return `arn:${partition}:cloudformation:${region}:${account}:stack/*`;
}
