/** Makes a copy of an Aurora cluster, or an empty one like it; asked again, it is the same one. */

import { LongshoreError } from '../../../errors.ts';
import { monotonicMs } from '../../../flow/clock.ts';
import { type ClusterState, describeCluster } from '../../../platforms/aws/aurora.ts';
import type { AwsSession } from '../../../platforms/aws/aws-session.ts';
import type { StackState } from '../../../platforms/aws/stacks.ts';
import type { Artifact } from '../artifact.ts';
import type { ConvergedClone } from '../clone.ts';
import { stopAtProblems } from '../finding.ts';
import { type CloneEnvironment, type ConvergeOptions, TTL_MS_DEFAULT } from '../settings.ts';
import { handOut } from './hand-out.ts';
import { TAGS, tagValue } from './names.ts';
import { type AuroraDraft, draftAurora, openSourceSession } from './plan.ts';
import { settleStack } from './settle-stack.ts';
import { known } from './survey.ts';

/**
 * Plans, stops at problems, and converges: killed at any moment and called again, it ends with one clone. An empty
 * cluster has no schema yet: that is what `environment.prepare` is for.
 *
 * @throws CHECK_FAILED with every problem of the plan, before anything changed
 * @throws RUN_INCOMPLETE with the reason of the resource that failed, or where AWS made a full copy
 */
export async function convergeAurora(
  artifact: Artifact,
  options: ConvergeOptions,
  environment: CloneEnvironment,
): Promise<ConvergedClone> {
  const { clock, emit } = environment;
  const startedMs = monotonicMs(clock);
  using aws = await openSourceSession(artifact, environment);
  emit({ type: 'phase', phase: 'plan' });
  const draft = await draftAurora(aws, artifact, options, environment);
  stopAtProblems(draft.plan);
  for (const finding of draft.plan.findings)
    if (finding.kind === 'warning') emit({ type: 'notice', text: finding.text });
  environment.failpoint?.('planned');
  try {
    const tags = tagsOf(draft, artifact, options, clock.now());
    const { stack, existed } = await settleStack(aws, draft, tags, environment);
    environment.failpoint?.('stack complete');
    const cluster = await provenCluster(aws, draft, stack);
    const isMasked = options.mode === 'clone' && artifact.masking !== undefined;
    const address = addressOf(stack, cluster, artifact);
    const { url, password } = await handOut(aws, cluster, address, isMasked, environment);
    const { host, port, database } = url.connection;
    return {
      mode: options.mode,
      name: draft.plan.name,
      how: draft.plan.how,
      existed,
      host,
      port,
      database,
      url: url.name,
      stackName: stack.name,
      owner: draft.facts.owner,
      expiresAt: stack.tags[TAGS.expires],
      tookMs: monotonicMs(clock) - startedMs,
      ...(password === undefined ? {} : { password }),
    };
  } catch (error) {
    throw error instanceof LongshoreError ? afterChange(error) : error;
  }
}

function tagsOf(
  { facts, plan }: AuroraDraft,
  artifact: Artifact,
  options: ConvergeOptions,
  nowMs: number,
): Record<string, string> {
  const ttlMs = options.ttlMs ?? artifact.config.ttlMs ?? TTL_MS_DEFAULT;
  return {
    ...facts.target.tags,
    [TAGS.clone]: facts.name,
    [TAGS.owner]: facts.owner,
    [TAGS.mode]: options.mode,
    [TAGS.source]: known(facts.source)?.id ?? tagValue(facts.sourceId),
    [TAGS.artifact]: artifact.contentDigest,
    ...(ttlMs === 0 ? {} : { [TAGS.expires]: new Date(nowMs + ttlMs).toISOString() }),
    ...(facts.target.deletionProtection ? { [TAGS.protected]: 'true' } : {}),
    ...(plan.costADay === undefined ? {} : { [TAGS.costADay]: String(plan.costADay) }),
  };
}

/** @throws RUN_INCOMPLETE where it does not share the storage of its source */
async function provenCluster(
  aws: AwsSession,
  { facts, design }: AuroraDraft,
  stack: StackState,
): Promise<ClusterState> {
  const cluster = await describeCluster(aws, stack.outputs['ClusterId'] ?? design.clusterId);
  if (cluster === undefined)
    throw new LongshoreError(
      'RUN_INCOMPLETE',
      `the stack ${stack.name} is ${stack.status}, and its cluster ${design.clusterId} is gone`,
      { hint: `longshore clone drop ${facts.name}, and run again` },
    );
  if (design.mode === 'create' || cluster.crossAccountClone) return cluster;
  const source = known(facts.source);
  if (cluster.cloneGroup !== undefined && cluster.cloneGroup === source?.cloneGroup) return cluster;
  // What the source is in a group with may have been decided only now.
  const now = await describeCluster(aws, facts.sourceId);
  if (cluster.cloneGroup !== undefined && cluster.cloneGroup === now?.cloneGroup) return cluster;
  throw new LongshoreError(
    'RUN_INCOMPLETE',
    `AWS made ${cluster.id} a full copy of ${source?.id ?? facts.sourceId}, and not a copy-on-write clone: it costs all of its storage`,
    {
      hint: `longshore clone drop ${facts.name}; then drop clones of the source that nobody needs (AWS shares storage with about 15), and run again`,
      context: { cluster: cluster.id },
    },
  );
}

function addressOf(stack: StackState, cluster: ClusterState, { config }: Artifact) {
  return {
    host: stack.outputs['Endpoint'] ?? '',
    port: Number(stack.outputs['Port'] ?? cluster.port),
    database:
      cluster.databaseName ??
      config.databaseName ??
      (cluster.engine === 'aurora-mysql' ? 'mysql' : 'postgres'),
  };
}

/** It is no check that failed any more. */
function afterChange(error: LongshoreError): LongshoreError {
  const { code, message, hint, cause, context } = error;
  return new LongshoreError(code, message, { hint, cause, context: { ...context, changed: true } });
}
