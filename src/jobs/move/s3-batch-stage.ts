/**
 * The stage `s3-batch`: copies the objects of the first pass by jobs of S3 Batch Operations, before our own copy
 * stage looks at them. What a job copied is found identical there, proven, and its rows are rewritten as always; what
 * it did not copy is copied there.
 *
 * States in the journal: tasks written → for each group: creation begun → job created → job ended → report read →
 * finished. Killed anywhere, the next call goes on there: a manifest is made again from the same tasks, CreateJob
 * asked the same with the same token answers the same job, a job under way is waited for.
 */

import { basename } from 'node:path';
import type { Journal } from '../../engine/journal.ts';
import { LongshoreError } from '../../errors.ts';
import { type BatchDecision, batchOperationFor } from '../../platforms/aws/s3-batch-operation.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveContext, MoveScope } from './context.ts';
import { keepLambdaSource } from './s3-batch-function.ts';
import { type GroupState, isUnderWay } from './s3-batch-group.ts';
import { BatchJobs } from './s3-batch-jobs.ts';
import type { BatchPlane } from './s3-batch-plane.ts';
import { BatchTasks } from './s3-batch-tasks.ts';
import { writeBatchTasks } from './s3-batch-write.ts';

/** What the journal keeps of the stage, under `s3-batch`. */
interface StageState {
  readonly operation: 'S3PutObjectCopy' | 'LambdaInvoke' | 'none';
  /** The function that was given when the operation was decided. */
  readonly functionArn?: string | undefined;
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
  const begun = state ?? begin(context);
  const { operation, functionArn } = begun;
  if (operation === 'none') return finish(journal, begun, []);
  using tasks = BatchTasks.open(journal.folder);
  const fresh = journal.getMeta('s3-batch:written') !== true;
  if (fresh) {
    await checkPlace(plane, signal);
    await writeBatchTasks(context, tasks, operation, signal);
    context.failpoint('batch-tasks');
    journal.setMeta('s3-batch:written', true);
  }
  const jobs = new BatchJobs(context, plane, tasks, operation, {
    run: basename(journal.folder),
    load: () => stateOf(journal)?.groups ?? [],
    save: (groups) => save(journal, { ...begun, groups, finished: false }),
    fresh,
    functionArn,
  });
  const groups = await jobs.run(signal);
  await tell(context, tasks, signal);
  finish(journal, begun, groups);
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
function begin(context: MoveContext): StageState {
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
  const { operation } = decision;
  const state: StageState = {
    operation,
    functionArn: settings.batch?.lambdaArn,
    groups: [],
    finished: false,
  };
  save(journal, state);
  return state;
}

/** A job under way would write over what is moved meanwhile; one that ended does no harm. */
function leaveTo(copyWith: string, journal: Journal, state: StageState | undefined): void {
  const underWay = batchUnderWay(journal);
  if (underWay !== undefined) {
    throw new LongshoreError('CHECK_FAILED', underWay, {
      hint: `run again with --copy-with s3-batch until it has ended, not with --copy-with ${copyWith}; to be rid of it, cancel it: aws s3control update-job-status --requested-job-status Cancelled`,
    });
  }
  if (state !== undefined) finish(journal, state, state.groups);
}

/**
 * Says which job of the run may still write to the target, as far as the journal knows; undefined where none does.
 * What moves objects without waiting for the job must not begin before it has ended.
 */
export function batchUnderWay(journal: Journal): string | undefined {
  const group = stateOf(journal)?.groups.find(isUnderWay);
  if (group === undefined) return undefined;
  return group.jobId === undefined
    ? `an S3 Batch Operations job of this run ("${group.request?.job.description}") may be under way: its creation was begun, and its answer was not seen`
    : `S3 Batch Operations job ${group.jobId} of this run is under way`;
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

function finish(journal: Journal, state: StageState, groups: readonly GroupState[]): void {
  save(journal, { ...state, groups, finished: true });
}
