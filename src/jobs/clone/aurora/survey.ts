/** Everything that is to be known before a clone is made, read and not changed. */

import { isIPv4 } from 'node:net';
import { LongshoreError } from '../../../errors.ts';
import {
  type Caller,
  callerIdentity,
  deniedActions,
  describeSubnets,
  keyState,
  type Subnet,
  serviceQuota,
} from '../../../platforms/aws/account.ts';
import {
  type ClusterState,
  countInstances,
  describeCluster,
  isClassOffered,
  listClusters,
  subnetGroupSubnets,
} from '../../../platforms/aws/aurora.ts';
import type { AwsSession } from '../../../platforms/aws/aws-session.ts';
import { capacityPrice, instancePrice } from '../../../platforms/aws/prices.ts';
import { describeStack, type StackState, stackTemplate } from '../../../platforms/aws/stacks.ts';
import type { Artifact } from '../artifact.ts';
import { type AuroraTarget, isCidr } from '../artifact-config.ts';
import type { Finding } from '../clone.ts';
import { problem } from '../finding.ts';
import type { CloneEnvironment, ConvergeOptions } from '../settings.ts';
import { defaultCloneName, defaultStackName, ownerOf, TAGS, tagValue } from './names.ts';
import { actionsOfConverging } from './policy.ts';

/** Of instances that are paid by their capacity. */
export const SERVERLESS_CLASS = 'db.serverless';

/** What was found, or why it could not be. */
export type Looked<T> = { readonly value: T } | { readonly refused: LongshoreError };

export interface AuroraFacts {
  readonly region: string;
  readonly caller: Caller;
  readonly owner: string;
  readonly name: string;
  readonly stackName: string;
  /** Digest of the artifact's content. */
  readonly artifact: string;
  readonly target: AuroraTarget;
  readonly sourceId: string;
  readonly source: Looked<ClusterState | undefined>;
  readonly engine: string;
  readonly engineVersion: string | undefined;
  readonly clusters: Looked<readonly ClusterState[]>;
  readonly instances: Looked<number>;
  readonly clusterQuota: Looked<number | undefined>;
  readonly instanceQuota: Looked<number | undefined>;
  readonly sourceSubnets: Looked<readonly Subnet[]>;
  readonly subnetIds: readonly string[];
  readonly subnets: Looked<readonly Subnet[]>;
  readonly classOffered: Looked<boolean>;
  /** Undefined where no key is named. */
  readonly key: { readonly id: string; readonly state: Looked<string | undefined> } | undefined;
  readonly denied: Looked<readonly string[]>;
  /** US dollars an hour. */
  /** US dollars an hour; of {@link SERVERLESS_CLASS} for one unit of capacity. */
  readonly price: Looked<number | undefined>;
  readonly stack: Looked<StackState | undefined>;
  /** Of the stack, where it is ours. */
  readonly template: string | undefined;
  readonly clientCidr: Looked<string>;
}

/** @throws STORE_CREDENTIALS and whatever else keeps all of it from being asked */
export async function surveyAurora(
  aws: AwsSession,
  artifact: Artifact,
  options: ConvergeOptions,
  environment: CloneEnvironment,
): Promise<AuroraFacts> {
  const { source: place, aurora: target } = artifact.config;
  if (place.kind !== 'aurora' || target === undefined)
    throw new LongshoreError('CONFIG_INVALID', `the source of ${artifact.reference} is no Aurora cluster`);
  const caller = await callerIdentity(aws);
  const owner = tagValue(options.owner ?? ownerOf(caller.arn));
  const name = options.name ?? defaultCloneName(artifact.reference, options.mode, owner);
  const stackName = options.stackName ?? target.stackName ?? defaultStackName(name);
  const source = await look(describeCluster(aws, place.clusterId));
  const found = known(source);
  const engine = target.engine === 'source' ? (found?.engine ?? '') : target.engine;
  // A clone has the version of its source, and an empty cluster of its engine too.
  const engineVersion = engine === found?.engine ? found.engineVersion : undefined;
  const keyId =
    target.kmsKeyId ?? (options.mode === 'clone' && found?.encrypted ? found.kmsKeyId : undefined);
  const partition = caller.arn.split(':')[1] ?? 'aws';
  const scope = { partition, region: aws.region, account: caller.account };
  const [network, stack, ...rest] = await Promise.all([
    lookAtSubnets(aws, target, found),
    lookAtStack(aws, stackName),
    look(listClusters(aws)),
    look(countInstances(aws)),
    look(serviceQuota(aws, 'rds', CLUSTERS_QUOTA)),
    look(serviceQuota(aws, 'rds', INSTANCES_QUOTA)),
    look(isClassOffered(aws, { engine, engineVersion, instanceClass: target.instanceType })),
    keyId === undefined ? undefined : look(keyState(aws, keyId)),
    look(deniedActions(aws, caller, actionsOfConverging({ ...scope, source: found?.arn ?? '*' }))),
    look(
      target.instanceType === SERVERLESS_CLASS
        ? capacityPrice(aws, engine)
        : instancePrice(aws, { engine, instanceClass: target.instanceType }),
    ),
    look(clientCidr(options, target, environment)),
  ]);
  const [clusters, instances, clusterQuota, instanceQuota, classOffered, key, denied, price, cidr] = rest;
  return {
    region: aws.region,
    caller,
    owner,
    name,
    stackName,
    artifact: artifact.contentDigest,
    target,
    sourceId: place.clusterId,
    source,
    engine,
    engineVersion,
    clusters,
    instances,
    clusterQuota,
    instanceQuota,
    ...network,
    classOffered,
    key: keyId === undefined || key === undefined ? undefined : { id: keyId, state: key },
    denied,
    price,
    ...stack,
    clientCidr: cidr,
  };
}

const CLUSTERS_QUOTA = 'L-952B80B8';
const INSTANCES_QUOTA = 'L-7B6409FD';

export function known<T>(looked: Looked<T>): T | undefined {
  return 'value' in looked ? looked.value : undefined;
}

/** Of what has to be known. */
export const cannotTell = (looked: Looked<unknown>): Finding[] =>
  'refused' in looked ? [problem(looked.refused.message, looked.refused.hint)] : [];

async function look<T>(asking: Promise<T>): Promise<Looked<T>> {
  try {
    return { value: await asking };
  } catch (error) {
    // What was stopped, and bugs, are no findings.
    if (!(error instanceof LongshoreError)) throw error;
    return { refused: error };
  }
}

async function lookAtSubnets(
  aws: AwsSession,
  target: AuroraTarget,
  source: ClusterState | undefined,
): Promise<Pick<AuroraFacts, 'sourceSubnets' | 'subnetIds' | 'subnets'>> {
  const ofSource =
    source === undefined
      ? { value: [] }
      : await look(subnetGroupSubnets(aws, source.subnetGroup).then((ids) => describeSubnets(aws, ids)));
  if (target.subnetIds === 'source')
    return {
      sourceSubnets: ofSource,
      subnetIds: (known(ofSource) ?? []).map(({ id }) => id).sort(),
      subnets: ofSource,
    };
  return {
    sourceSubnets: ofSource,
    subnetIds: target.subnetIds,
    subnets: await look(describeSubnets(aws, target.subnetIds)),
  };
}

async function lookAtStack(
  aws: AwsSession,
  stackName: string,
): Promise<Pick<AuroraFacts, 'stack' | 'template'>> {
  const stack = await look(describeStack(aws, stackName));
  const found = known(stack);
  if (found?.tags[TAGS.clone] === undefined) return { stack, template: undefined };
  const template = await look(stackTemplate(aws, found.id));
  return 'value' in template ? { stack, template: template.value } : { stack: template, template: undefined };
}

async function clientCidr(
  options: ConvergeOptions,
  target: AuroraTarget,
  environment: CloneEnvironment,
): Promise<string> {
  const given = options.clientCidr ?? target.clientCidr;
  if (given !== undefined) {
    if (isCidr(given)) return given;
    throw new LongshoreError('CHECK_FAILED', `"${given}" is no range of addresses`, {
      hint: 'write it as 203.0.113.7/32',
    });
  }
  const asked = (await (environment.callerAddress ?? askAws)(environment.signal)).trim();
  if (isIPv4(asked)) return `${asked}/32`;
  throw new LongshoreError(
    'CHECK_FAILED',
    'the address of this machine could not be found out',
    ADDRESS_HINT,
  );
}

const ADDRESS_HINT = { hint: 'say who may connect: client_cidr in [target_db], or --client-cidr' };

async function askAws(signal?: AbortSignal): Promise<string> {
  const late = AbortSignal.timeout(ADDRESS_MS_MAX);
  try {
    const answer = await fetch('https://checkip.amazonaws.com', {
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    return await answer.text();
  } catch (cause) {
    signal?.throwIfAborted();
    throw new LongshoreError(
      'CHECK_FAILED',
      'https://checkip.amazonaws.com does not say what address this machine has',
      { cause, ...ADDRESS_HINT },
    );
  }
}

const ADDRESS_MS_MAX = 10_000;
