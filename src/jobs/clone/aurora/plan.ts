/** Plans a copy of an Aurora cluster: one read-only pass, and everything it finds told at once. */

import type { AwsSession } from '../../../platforms/aws/aws-session.ts';
import { openAwsSession } from '../../../platforms/aws/aws-session.ts';
import { type CloneDesign, cloneTemplate } from '../../../platforms/aws/clone-template.ts';
import { templateText } from '../../../platforms/aws/cloudformation.ts';
import type { Artifact } from '../artifact.ts';
import type { ClonePlan, Finding } from '../clone.ts';
import { ok } from '../finding.ts';
import type { CloneEnvironment, ConvergeOptions } from '../settings.ts';
import { auroraFindings, isAurora } from './findings.ts';
import { isSameTemplate, nextForStack, type StackStep } from './stack-state.ts';
import { type AuroraFacts, known, SERVERLESS_CLASS, surveyAurora } from './survey.ts';

/**
 * Changes nothing.
 * @throws STORE_CREDENTIALS, CONFIG_INVALID where no region is known: without them nothing else can be found out
 */
export async function planAurora(
  artifact: Artifact,
  options: ConvergeOptions,
  environment: CloneEnvironment,
): Promise<ClonePlan> {
  using aws = await openSourceSession(artifact, environment);
  return (await draftAurora(aws, artifact, options, environment)).plan;
}

/** A plan with what it is carried out by. */
export interface AuroraDraft {
  readonly plan: ClonePlan;
  readonly facts: AuroraFacts;
  readonly design: CloneDesign;
  readonly template: string;
  readonly step: StackStep;
}

export async function draftAurora(
  aws: AwsSession,
  artifact: Artifact,
  options: ConvergeOptions,
  environment: CloneEnvironment,
): Promise<AuroraDraft> {
  const facts = await surveyAurora(aws, artifact, options, environment);
  const { env } = environment;
  const username = options.username ?? (env['DB_USERNAME'] || DEFAULT_USERS[facts.engine] || 'postgres');
  const design = designOf(facts, options, artifact.config.databaseName, username);
  const template = templateText(cloneTemplate(design), 'json');
  const step = nextForStack(known(facts.stack), {
    cloneName: facts.name,
    owner: facts.owner,
    artifact: facts.artifact,
    sameTemplate: isSameTemplate(facts.template, template),
  });
  const dialect = facts.engine === 'aurora-mysql' ? 'mysql' : 'postgres';
  const cost = dailyCost(known(facts.price), design.capacity);
  const findings: Finding[] = [
    ...auroraFindings(facts, {
      mode: options.mode,
      username,
      password: env['DB_PASSWORD'] || undefined,
      step,
    }),
    ...((await environment.check?.(dialect, environment.signal)) ?? []),
    ...(cost === undefined || cost.most === cost.least
      ? []
      : [ok(`${SERVERLESS_CLASS} costs $${cost.least} a day while it does little, up to $${cost.most}`)]),
  ];
  const isClone = options.mode === 'clone';
  const plan: ClonePlan = {
    mode: options.mode,
    name: facts.name,
    how: isClone ? 'Aurora clone' : 'empty Aurora cluster',
    why: isClone
      ? 'it shares the storage of its source and copies what is changed: its size does not matter'
      : 'a new cluster, to which the changelog is applied',
    makes: makes(facts, design),
    estimateMs: isClone ? CLONE_MS : CREATE_MS,
    costADay: cost?.least,
    findings,
  };
  return { plan, facts, design, template, step };
}

/** Most of it is the start of the instance. */
const CLONE_MS = 12 * 60_000;
const CREATE_MS = 10 * 60_000;

/** Clones lie in the region of their source. */
export function openSourceSession(
  artifact: Artifact,
  { env, signal }: CloneEnvironment,
): Promise<AwsSession> {
  const { source } = artifact.config;
  const region =
    source.kind === 'aurora'
      ? (source.region ?? /^arn:[^:]*:rds:([^:]+):/.exec(source.clusterId)?.[1])
      : undefined;
  return openAwsSession({ env, region, signal });
}

/** `admin` is reserved in PostgreSQL, and what RDS proposes in MySQL. */
const DEFAULT_USERS: Readonly<Record<string, string>> = {
  'aurora-postgresql': 'postgres',
  'aurora-mysql': 'admin',
};

function designOf(
  facts: AuroraFacts,
  { mode }: ConvergeOptions,
  databaseName: string | undefined,
  username: string,
): CloneDesign {
  const { target, engine, subnetIds } = facts;
  const source = known(facts.source);
  const isEmpty = mode === 'create';
  return {
    mode,
    clusterId: facts.name.toLowerCase(),
    // A cluster of another account is known by its ARN alone.
    sourceClusterId: facts.sourceId.includes(`:${facts.caller.account}:`)
      ? (source?.id ?? facts.sourceId)
      : facts.sourceId,
    engine: isAurora(engine) ? engine : 'aurora-postgresql',
    engineVersion: isEmpty ? facts.engineVersion : undefined,
    // A clone would take over that of its source, too; an empty cluster has the engine's.
    port: (!isEmpty && source?.port) || (PORTS[engine] ?? 5432),
    databaseName: isEmpty ? (databaseName ?? source?.databaseName) : undefined,
    username: isEmpty ? username : undefined,
    vpcId: known(facts.subnets)?.[0]?.vpcId ?? '',
    subnetIds,
    instanceClass: target.instanceType,
    capacity: target.instanceType === SERVERLESS_CLASS ? (source?.capacity ?? SERVERLESS) : undefined,
    encrypted: target.encrypted,
    kmsKeyId: target.kmsKeyId,
    backupWindow: target.backupWindow,
    backupRetentionDays: target.backupRetentionDays,
    maintenanceWindow: target.maintenanceWindow,
    clusterParameterGroup: target.clusterParameterGroup,
    parameterGroup: target.parameterGroup,
    deletionProtection: target.deletionProtection,
    publiclyAccessible: target.publiclyAccessible,
  };
}

const PORTS: Readonly<Record<string, number>> = { 'aurora-postgresql': 5432, 'aurora-mysql': 3306 };

/** US dollars a day, to the cent. @param perHour of the instance, or of one unit of its capacity */
function dailyCost(
  perHour: number | undefined,
  capacity: CloneDesign['capacity'],
): { readonly least: number; readonly most: number } | undefined {
  if (perHour === undefined) return undefined;
  const ofUnits = (units: number): number => Math.round(perHour * 24 * units * 100) / 100;
  if (capacity === undefined) return { least: ofUnits(1), most: ofUnits(1) };
  return { least: ofUnits(Math.max(capacity.min, CAPACITY_IN_USE)), most: ofUnits(capacity.max) };
}

/** Less is only used by one that is paused. */
const CAPACITY_IN_USE = 0.5;

/** Where the source has no capacity of its own. */
const SERVERLESS = { min: 0.5, max: 8 };

function makes(facts: AuroraFacts, design: CloneDesign): string[] {
  const cidr = known(facts.clientCidr) ?? 'its maker alone';
  return [
    `stack ${facts.stackName} in ${facts.region}`,
    `subnet group of ${design.subnetIds.join(', ')}`,
    `security group that lets ${cidr} in on port ${design.port}`,
    design.mode === 'clone'
      ? `cluster ${design.clusterId}, copy-on-write of ${design.sourceClusterId}`
      : `cluster ${design.clusterId}, empty${design.databaseName === undefined ? '' : `, with the database ${design.databaseName}`}`,
    `instance ${design.instanceClass}${capacityText(design.capacity)}, ${design.publiclyAccessible ? 'with a public address' : 'reached from its VPC alone'}`,
  ];
}

const capacityText = (capacity: CloneDesign['capacity']): string =>
  capacity === undefined ? '' : ` of ${capacity.min} to ${capacity.max} ACU`;
