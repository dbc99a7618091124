/**
 * The stage `s3-batch`: copies the objects of the first pass by jobs of S3 Batch Operations, before our own copy
 * stage looks at them. What a job copied is found identical there, proven, and its rows are rewritten as always; what
 * it did not copy is copied there.
 *
 * States in the journal: tasks written → for each group: manifest uploaded → job created → job ended, report read →
 * finished. Killed anywhere, the next call goes on there: a manifest is made again from the same tasks, CreateJob
 * with the same token answers the same job, a job under way is waited for.
 */

import { basename } from 'node:path';
import type { Journal } from '../../engine/journal.ts';
import { LongshoreError } from '../../errors.ts';
import { type BatchDecision, batchOperationFor } from '../../platforms/aws/s3-batch-operation.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveContext, MoveScope } from './context.ts';
import { keepLambdaSource } from './s3-batch-function.ts';
import { BatchJobs, type GroupState } from './s3-batch-jobs.ts';
import type { BatchPlane } from './s3-batch-plane.ts';
import { BatchTasks } from './s3-batch-tasks.ts';
import { writeBatchTasks } from './s3-batch-write.ts';

/** What the journal keeps of the stage, under `s3-batch`. */
interface StageState {
  readonly operation: 'S3PutObjectCopy' | 'LambdaInvoke' | 'none';
  readonly groups: readonly GroupState[];
  readonly finished: boolean;
}

/**
 * Does nothing where the stage is finished, or not asked for.
 * @throws RUN_INCOMPLETE for a job that failed, was cancelled or waits for a confirmation; CHECK_FAILED where a
 *   function is needed, or a job of this run is under way and the settings no longer ask for it; the errors of stores
 */
export async function runBatchCopies(context: MoveContext, signal: AbortSignal): Promise<void> {
  const { journal, settings } = context;
  const state = stateOf(journal);
  if (state?.finished === true) return;
  if (settings.copyWith !== 's3-batch') return leaveTo(settings.copyWith, journal, state);
  const plane = context.batch!;
  const operation = state?.operation ?? begin(context).operation;
  if (operation === 'none') return finish(journal, operation, []);
  using tasks = BatchTasks.open(journal.folder);
  if (journal.getMeta('s3-batch:written') !== true) {
    await checkPlace(plane, signal);
    await writeBatchTasks(context, tasks, operation, signal);
    context.failpoint('batch-tasks');
    journal.setMeta('s3-batch:written', true);
  }
  const jobs = new BatchJobs(context, plane, tasks, operation, {
    run: basename(journal.folder),
    load: () => stateOf(journal)?.groups ?? [],
    save: (groups) => save(journal, { operation, groups, finished: false }),
  });
  const groups = await jobs.run(signal);
  await tell(context, tasks, signal);
  finish(journal, operation, groups);
}

/** Which operation would copy, and why. Pure; what a plan says of `--copy-with s3-batch`. */
export function batchDecision(scope: MoveScope, drivenByRows: boolean): BatchDecision {
  const { rules, settings, source, target, targetCapabilities, batch } = scope;
  return batchOperationFor(rules.rules, {
    onAws: source.kind === 's3' && target.kind === 's3' && batch?.onAws === true,
    serverSide: targetCapabilities.serverSideCopy && target.canCopyFrom(source),
    drivenByRows,
    keepTags: settings.tags,
    lambda: settings.batch?.lambdaArn !== undefined,
  });
}

/** Says that no job is made where rows alone drive the move, which leaves no list of objects to make one of. */
export function sayUnusedBatch(context: MoveContext): void {
  const { copyWith, orphans } = context.settings;
  if (copyWith !== 's3-batch' || orphans === 'move') return;
  context.emit({ type: 'notice', text: batchDecision(context, true).why });
}

/** Decides, says it aloud, and asks for a function where one is needed. */
function begin(context: MoveContext): BatchDecision {
  const { journal, settings } = context;
  // The stage runs for a list of objects: where rows drive a move, that of the orphans after them.
  const decision = batchDecision(context, false);
  context.emit({ type: 'notice', text: decision.why });
  if (decision.operation === 'LambdaInvoke' && settings.batch?.lambdaArn === undefined) {
    const path = keepLambdaSource(context);
    throw new LongshoreError('CHECK_FAILED', decision.why, {
      hint: `the function is in ${path}: create it in Lambda (Node.js 22, handler index.handler), then give its ARN with --batch-lambda and run again`,
    });
  }
  save(journal, { operation: decision.operation, groups: [], finished: false });
  return decision;
}

/** A job under way would write over what is moved meanwhile; one that ended does no harm. */
function leaveTo(copyWith: string, journal: Journal, state: StageState | undefined): void {
  const underWay = state?.groups.find((group) => group.jobId !== undefined && group.ended === undefined);
  if (underWay !== undefined) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `S3 Batch Operations job ${underWay.jobId} of this run is under way`,
      {
        hint: `run again with --copy-with s3-batch until it has ended, not with --copy-with ${copyWith}; to be rid of it, cancel it: aws s3control update-job-status --requested-job-status Cancelled`,
      },
    );
  }
  if (state !== undefined) finish(journal, state.operation, state.groups);
}

/** S3 Batch reads no manifest that is encrypted with a key of KMS. */
async function checkPlace(plane: BatchPlane, signal: AbortSignal): Promise<void> {
  const { encryption } = await plane.store.settings(signal);
  if (encryption === undefined || !encryption.startsWith('aws:kms')) return;
  throw new LongshoreError(
    'CHECK_FAILED',
    `${plane.store.name} encrypts with ${encryption}, and S3 Batch Operations read no manifest that is encrypted so`,
    {
      hint: 'give --batch-prefix s3://bucket/prefix/ in a bucket of the same region that encrypts with SSE-S3',
    },
  );
}

const LISTED = 3;
const SAMPLED = 100;

/** Says what the jobs did, and whether it is where it should be. */
async function tell(context: MoveContext, tasks: BatchTasks, signal: AbortSignal): Promise<void> {
  const { tasks: all, succeeded, failed } = tasks.counts();
  const notice = (text: string): void => context.emit({ type: 'notice', text });
  notice(`S3 Batch Operations copied ${succeeded} of ${all} objects; the rest is copied by Longshore`);
  if (failed > 0) {
    const more = failed > LISTED ? '; …' : '';
    notice(`S3 Batch Operations failed to copy ${failed}: ${tasks.someFailures(LISTED).join('; ')}${more}`);
  }
  const sample = tasks.someSucceeded(SAMPLED);
  const found = await observe(context.target, sample, { concurrency: OBSERVE_LANES, signal });
  if (sample.length > 0 && found.size === 0) {
    notice(
      `S3 Batch Operations say that they copied, but nothing is at the targets (${sample[0]}); look where the job put its copies`,
    );
  }
}

function stateOf(journal: Journal): StageState | undefined {
  return journal.getMeta('s3-batch') as StageState | undefined;
}

function save(journal: Journal, state: StageState): void {
  journal.setMeta('s3-batch', state);
}

function finish(journal: Journal, operation: StageState['operation'], groups: readonly GroupState[]): void {
  save(journal, { operation, groups, finished: true });
}
