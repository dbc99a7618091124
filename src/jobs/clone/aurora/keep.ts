/** Lists the clones of Aurora clusters, drops one, sweeps those whose time is over; touches nothing without our tag. */

import { LongshoreError, messageOf } from '../../../errors.ts';
import { type ClusterState, listClusters, modifyCluster } from '../../../platforms/aws/aurora.ts';
import { type AwsSession, openAwsSession } from '../../../platforms/aws/aws-session.ts';
import { listStacks, type StackState } from '../../../platforms/aws/stacks.ts';
import { volumeBytes } from '../../../platforms/aws/volume-bytes.ts';
import type { CloneEntry } from '../clone.ts';
import type { CloneEnvironment } from '../settings.ts';
import { TAGS } from './names.ts';
import { removeStack } from './settle-stack.ts';

type Keeping = Pick<CloneEnvironment, 'env' | 'clock' | 'signal' | 'emit' | 'failpoint'>;

export interface SweptClones {
  readonly dropped: readonly string[];
  readonly failed: readonly { readonly name: string; readonly why: string }[];
}

/** Of one region: that of the environment where it is left out. Oldest first. */
export async function listAurora(
  environment: Keeping,
  options: { readonly region?: string | undefined } = {},
): Promise<CloneEntry[]> {
  using aws = await openAwsSession({ ...environment, region: options.region });
  const { clock } = environment;
  const there = (await cloneStacks(aws)).filter(({ stack }) => stack.status !== 'DELETE_IN_PROGRESS');
  const sizes = await sizesOf(aws, there, environment);
  return there.map(({ stack, name, cluster }) => {
    const { tags } = stack;
    const costADay = tags[TAGS.costADay];
    const days = (clock.now() - stack.madeAtMs) / 86_400_000;
    return {
      name,
      kind: 'stack',
      source: tags[TAGS.source] ?? '',
      mode: tags[TAGS.mode] === 'create' ? 'create' : 'clone',
      owner: tags[TAGS.owner] ?? '',
      state: stateOf(stack, cluster),
      madeAt: new Date(stack.madeAtMs).toISOString(),
      expiresAt: tags[TAGS.expires],
      bytes: cluster === undefined ? undefined : sizes.get(cluster.id),
      costSoFar: costADay === undefined ? undefined : Math.round(Number(costADay) * days * 100) / 100,
    };
  });
}

/** @throws CHECK_FAILED where there is none of that name, or somebody else protects it; RUN_INCOMPLETE where it stays */
export async function dropAurora(
  name: string,
  environment: Keeping,
  options: { readonly region?: string | undefined } = {},
): Promise<void> {
  using aws = await openAwsSession({ ...environment, region: options.region });
  const all = await cloneStacks(aws);
  const found = all.filter((one) => one.name === name);
  if (found.length === 0)
    throw new LongshoreError('CHECK_FAILED', `there is no clone ${name} in ${aws.region}`, {
      hint: 'longshore clone list shows them; AWS_PROFILE and AWS_REGION say where it looks',
    });
  for (const one of found) await drop(aws, one, all, environment);
}

/** One that cannot be dropped keeps none of the others. @param options.now milliseconds since the epoch */
export async function sweepAurora(
  environment: Keeping,
  options: { readonly now: number; readonly region?: string | undefined },
): Promise<SweptClones> {
  using aws = await openAwsSession({ ...environment, region: options.region });
  const all = await cloneStacks(aws);
  const dropped: string[] = [];
  const failed: { name: string; why: string }[] = [];
  for (const one of all.filter(({ stack }) => isExpired(stack, options.now))) {
    try {
      await drop(aws, one, all, environment);
      dropped.push(one.name);
    } catch (error) {
      if (!(error instanceof LongshoreError)) throw error;
      failed.push({ name: one.name, why: messageOf(error) });
    }
  }
  return { dropped, failed };
}

/** Clones are listed also where sizes may not be asked for. */
async function sizesOf(
  aws: AwsSession,
  stacks: readonly CloneStack[],
  { clock, emit }: Keeping,
): Promise<ReadonlyMap<string, number>> {
  const ids = stacks.flatMap(({ cluster }) => cluster?.id ?? []);
  try {
    return await volumeBytes(aws, ids, clock.now());
  } catch (error) {
    if (!(error instanceof LongshoreError)) throw error;
    emit({ type: 'notice', text: `sizes are not known: ${error.message}` });
    return new Map();
  }
}

interface CloneStack {
  readonly stack: StackState;
  readonly name: string;
  readonly cluster: ClusterState | undefined;
}

async function cloneStacks(aws: AwsSession): Promise<CloneStack[]> {
  const [stacks, clusters] = await Promise.all([listStacks(aws), listClusters(aws)]);
  return stacks
    .flatMap((stack): CloneStack[] => {
      const name = stack.tags[TAGS.clone];
      if (name === undefined || !isOurs(stack) || stack.status === 'DELETE_COMPLETE') return [];
      // A cluster of that name may be of somebody else where the stack failed.
      const cluster = clusters.find(({ id, tags }) => id === name.toLowerCase() && tags[TAGS.clone] === name);
      return [{ stack, name, cluster }];
    })
    .sort((one, other) => one.stack.madeAtMs - other.stack.madeAtMs);
}

/** Some of our tags on the stack of somebody else do not make it ours: every stack of ours has all of these. */
function isOurs({ tags }: StackState): boolean {
  return [TAGS.clone, TAGS.owner, TAGS.mode, TAGS.source, TAGS.artifact].every(
    (tag) => tags[tag] !== undefined,
  );
}

/** A tag that is no time as we write it is none of ours. */
function isExpired({ tags }: StackState, nowMs: number): boolean {
  const expires = tags[TAGS.expires] ?? '';
  return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(expires) && Date.parse(expires) <= nowMs;
}

function stateOf({ status }: StackState, cluster: ClusterState | undefined): CloneEntry['state'] {
  if (/ROLLBACK|FAILED/.test(status) && !status.startsWith('UPDATE_ROLLBACK')) return 'failed';
  return cluster?.tags[TAGS.ready] === undefined ? 'making' : 'ready';
}

/** A run that dies on the way leaves a stack that is still ours, or is being deleted; the next one goes on. */
async function drop(
  aws: AwsSession,
  { stack, name, cluster }: CloneStack,
  all: readonly CloneStack[],
  environment: Keeping,
): Promise<void> {
  const { emit, failpoint } = environment;
  emit({ type: 'phase', phase: `drop ${name}` });
  const clones = all
    .filter((other) => cluster !== undefined && other.stack.tags[TAGS.source] === cluster.id)
    .map((other) => other.name);
  if (clones.length > 0)
    emit({
      type: 'notice',
      text: `${clones.join(', ')} ${clones.length === 1 ? 'was' : 'were'} cloned from ${name}: the storage that they share is paid by them from now on`,
    });
  if (cluster?.deletionProtection === true) {
    if (stack.tags[TAGS.protected] === undefined)
      throw new LongshoreError('CHECK_FAILED', `${name} is protected from deletion, and not by Longshore`, {
        hint: `aws rds modify-db-cluster --db-cluster-identifier ${cluster.id} --no-deletion-protection, and drop it again`,
      });
    await modifyCluster(aws, cluster.id, { deletionProtection: false });
    failpoint?.('protection taken off');
  }
  const hint =
    clones.length === 0
      ? 'remove what it names, and drop it again'
      : `if its clones are in the way, drop them first: ${clones.join(', ')}`;
  await removeStack(aws, stack, environment, hint);
}
