/** Takes the groups of tasks through their jobs: manifest, job, waiting, report. */

import { createHash } from 'node:crypto';
import { LongshoreError } from '../../errors.ts';
import type { BatchJobOperation, BatchJobState } from '../../platforms/aws/s3-batch.ts';
import { endedJobError } from '../../platforms/aws/s3-batch-error.ts';
import type { MoveContext } from './context.ts';
import type { EndedJob, GroupRecord, GroupState, JobRequest } from './s3-batch-group.ts';
import { putManifest } from './s3-batch-manifest-file.ts';
import type { BatchPlane } from './s3-batch-plane.ts';
import { readJobReport } from './s3-batch-read-report.ts';
import type { BatchGroup, BatchTasks } from './s3-batch-tasks.ts';

/** How often a job is asked how it is: jobs take minutes at least. */
const POLL_MS = { first: 5000, max: 60_000, growth: 1.5 } as const;
/** A job may become visible a little after it was made; one that stays unknown was made long ago. */
const UNKNOWN_LOOKS = 5;

export class BatchJobs {
  readonly #context: MoveContext;
  readonly #plane: BatchPlane;
  readonly #tasks: BatchTasks;
  readonly #operation: 'S3PutObjectCopy' | 'LambdaInvoke';
  readonly #record: GroupRecord;
  readonly #states = new Map<number, GroupState>();

  constructor(
    context: MoveContext,
    plane: BatchPlane,
    tasks: BatchTasks,
    operation: 'S3PutObjectCopy' | 'LambdaInvoke',
    record: GroupRecord,
  ) {
    this.#context = context;
    this.#plane = plane;
    this.#tasks = tasks;
    this.#operation = operation;
    this.#record = record;
    for (const state of record.load()) this.#states.set(state.group, state);
  }

  /**
   * Creates the jobs that are not there yet, then waits for all of them, also where one fails.
   * @returns every group, ended
   * @throws once no job is under way that can be waited for: RUN_INCOMPLETE for a job that is not complete, what
   *   CreateJob was refused with, and the errors of stores
   */
  async run(signal: AbortSignal): Promise<readonly GroupState[]> {
    const groups = this.#tasks.groups();
    const errors: LongshoreError[] = [];
    for (const work of [this.#settle, this.#create, this.#wait]) {
      for (const group of groups) {
        try {
          await work.call(this, group, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof LongshoreError)) throw error;
          errors.push(error);
        }
      }
    }
    const [first, ...others] = errors;
    if (first === undefined) return [...this.#states.values()];
    for (const text of new Set(others.map(({ message }) => message))) {
      if (text !== first.message) this.#notice(text);
    }
    throw first;
  }

  async #create(group: BatchGroup, signal: AbortSignal): Promise<void> {
    let state = this.#states.get(group.id) ?? { group: group.id, attempt: 1 };
    const begun = state.request !== undefined && state.ended === undefined;
    if (begun && state.jobId !== undefined) return;
    if (state.ended !== undefined) {
      if (!FOLLOWED.has(state.ended.status) || state.reportRead !== true) return;
      // Another job, with what is left.
      state = { group: group.id, attempt: state.attempt + 1 };
    }
    const request = begun ? state.request : await this.#prepare(group, state.attempt, signal);
    if (request === undefined) return this.#set({ ...state, ended: { status: 'Complete' } });
    const { failpoint } = this.#context;
    failpoint('batch-manifest');
    const control = await this.#plane.control(request.account);
    this.#set({ ...state, request });
    failpoint('batch-creating');
    let jobId: string;
    try {
      jobId = await control.createJob(request.job, signal);
    } catch (error) {
      if (!(error instanceof LongshoreError) || error.context['noJob'] !== true) throw error;
      if (begun) throw refusedAgain(error, request);
      this.#set(state);
      throw error;
    }
    failpoint('batch-created');
    this.#set({ ...state, request, jobId });
    this.#notice(`S3 Batch Operations job ${jobId} is created`);
  }

  /** Puts the manifest in its place. @returns undefined where nothing is left to copy */
  async #prepare(group: BatchGroup, attempt: number, signal: AbortSignal): Promise<JobRequest | undefined> {
    const { store, prefix, account, place } = this.#plane;
    const { run, fresh } = this.#record;
    const operation = this.#operationOf(group);
    const key = `${prefix}${run}/manifest-${group.id}-${attempt}.csv`;
    const etag = await putManifest(
      this.#context,
      this.#tasks,
      { group: group.id, operation: this.#operation, store, key, onlyAbsent: !fresh || attempt > 1 },
      signal,
    );
    if (etag === undefined) return undefined;
    const { roleArn, priority } = this.#context.settings.batch!;
    const job = {
      token: createHash('sha256').update(`${run}\n1\n${group.id}\n${attempt}`).digest('hex'),
      description: `longshore ${run}`,
      priority,
      roleArn,
      operation,
      manifest: { bucket: store.bucket, key, etag },
      report: { bucket: store.bucket, prefix: `${prefix}${run}/report-${group.id}-${attempt}` },
    };
    return { job, account, place };
  }

  #operationOf(group: BatchGroup): BatchJobOperation {
    if (this.#operation === 'LambdaInvoke') {
      const functionArn = this.#context.settings.batch?.lambdaArn ?? this.#record.functionArn;
      return { kind: 'LambdaInvoke', functionArn: functionArn! };
    }
    return {
      kind: 'S3PutObjectCopy',
      targetBucket: this.#context.target.bucket,
      targetFolder: group.folder.replace(/\/$/, ''),
      storageClass: group.storageClass,
    };
  }

  /** Waits until the job of a group has ended and keeps its report. @throws RUN_INCOMPLETE where it is not complete */
  async #wait(group: BatchGroup, signal: AbortSignal): Promise<void> {
    const state = this.#states.get(group.id);
    if (state?.jobId === undefined || state.request === undefined || state.ended !== undefined) return;
    const { jobId, request } = state;
    const job = await this.#poll(jobId, request, signal);
    const error = job === undefined ? undefined : endedJobError(jobId, job);
    if (error !== undefined && job?.status === 'Suspended') throw error;
    this.#context.failpoint('batch-ended');
    // Before the report is read: a report that cannot be read must not keep anything waiting for the job.
    this.#set({ ...state, ended: endOf(job) });
    await this.#settle(group, signal);
    if (error !== undefined) throw error;
  }

  /** @returns undefined for a job that S3 does not know */
  async #poll(jobId: string, request: JobRequest, signal: AbortSignal): Promise<BatchJobState | undefined> {
    const { clock } = this.#context;
    const control = await this.#plane.control(request.account);
    let waitMs: number = POLL_MS.first;
    let said = '';
    for (let unknown = 0; ; ) {
      const job = await control.describeJob(jobId, signal);
      if (job === undefined && ++unknown === UNKNOWN_LOOKS) {
        this.#notice(`S3 Batch Operations no longer know job ${jobId}: it is taken to have ended`);
        return undefined;
      }
      if (job !== undefined && job.status !== said) {
        const tasks = job.tasks === 0 ? '' : `, ${job.succeeded + job.failed} of ${job.tasks} tasks done`;
        this.#notice(`S3 Batch Operations job ${jobId}: ${job.status}${tasks}`);
        said = job.status;
      }
      if (job !== undefined && ENDED.has(job.status)) return job;
      await clock.wait(waitMs, signal);
      waitMs = Math.min(waitMs * POLL_MS.growth, POLL_MS.max);
    }
  }

  /** Reads the report of a job that has ended, once. */
  async #settle(group: BatchGroup, signal: AbortSignal): Promise<void> {
    const state = this.#states.get(group.id);
    if (state?.jobId === undefined || state.request === undefined) return;
    const { jobId, request, ended } = state;
    if (ended === undefined || state.reportRead === true) return;
    const job = { group: group.id, request, jobId, ended };
    const missing = await readJobReport(this.#context, this.#plane, this.#tasks, job, signal);
    if (missing !== undefined) this.#notice(`${missing}: every object of it is looked at`);
    this.#set({ ...state, reportRead: true });
    this.#context.failpoint('batch-report');
  }

  #set(state: GroupState): void {
    this.#states.set(state.group, state);
    this.#record.save([...this.#states.values()]);
  }

  #notice(text: string): void {
    this.#context.emit({ type: 'notice', text });
  }
}

/** What a job does not leave by itself. Paused is not among them: whoever paused it goes on with it. */
const ENDED = new Set(['Complete', 'Failed', 'Cancelled', 'Suspended']);
/** After these another job copies what is left. */
const FOLLOWED = new Set(['Failed', 'Cancelled']);

function endOf(job: BatchJobState | undefined): EndedJob {
  if (job === undefined) return { status: 'Gone' };
  const { status, succeeded, failed, createdMs: fromMs, endedMs: toMs } = job;
  const span = fromMs === undefined || toMs === undefined ? undefined : { fromMs, toMs };
  return { status, tasksDone: succeeded + failed, span };
}

/** A refusal does not tell whether the CreateJob before, whose answer nobody saw, made a job. */
function refusedAgain(error: LongshoreError, { job, account }: JobRequest): LongshoreError {
  return new LongshoreError(
    error.code,
    `${error.message} (asked again as it was begun: role ${job.roleArn}, priority ${job.priority}, account ${account.accountId})`,
    {
      cause: error,
      context: error.context,
      hint: `correct it and run again; or look for a job described "${job.description}" (aws s3control list-jobs --account-id ${account.accountId}), cancel it where there is one, and move the folder of the run away to begin anew`,
    },
  );
}
