/** Takes the groups of tasks through their jobs: manifest, job, waiting, report. */

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LongshoreError } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import type { BatchJob, BatchJobOperation, BatchJobState } from '../../platforms/aws/s3-batch.ts';
import { endedJobError } from '../../platforms/aws/s3-batch-error.ts';
import { copyLine, lambdaLine } from '../../platforms/aws/s3-batch-manifest.ts';
import { readBatchReport } from '../../platforms/aws/s3-batch-report.ts';
import type { MoveContext } from './context.ts';
import type { BatchPlane } from './s3-batch-plane.ts';
import type { BatchGroup, BatchTasks } from './s3-batch-tasks.ts';

/** How far a group is. Plain data. */
export interface GroupState {
  readonly group: number;
  /** Counts jobs: one that failed is followed by another. */
  readonly attempt: number;
  readonly manifestEtag?: string | undefined;
  readonly jobId?: string | undefined;
  /** How its last job ended, the report read. */
  readonly ended?: string | undefined;
}

export interface GroupRecord {
  /** The run's name; with it the tokens of jobs are made. */
  readonly run: string;
  load(): readonly GroupState[];
  save(groups: readonly GroupState[]): void;
}

/** How often a job is asked how it is: jobs take minutes at least. */
const POLL_MS = { first: 5000, max: 60_000, growth: 1.5 } as const;
/** A report may become visible a little after its job is complete. */
const REPORT_LOOKS = 5;

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
   * Creates the jobs that are not there yet, then waits for all of them.
   * @returns every group, ended
   * @throws RUN_INCOMPLETE once all jobs stand still, for the first that is not complete
   */
  async run(signal: AbortSignal): Promise<readonly GroupState[]> {
    const groups = this.#tasks.groups();
    for (const group of groups) await this.#create(group, signal);
    let failure: LongshoreError | undefined;
    for (const group of groups) failure ??= await this.#wait(group, signal);
    if (failure !== undefined) throw failure;
    return [...this.#states.values()];
  }

  async #create(group: BatchGroup, signal: AbortSignal): Promise<void> {
    let state = this.#states.get(group.id) ?? { group: group.id, attempt: 1 };
    if (state.ended === 'Complete' || (state.jobId !== undefined && state.ended === undefined)) return;
    // The one before failed: another job, with what is left.
    if (state.ended !== undefined) state = { group: group.id, attempt: state.attempt + 1 };
    if (state.manifestEtag === undefined) {
      const manifestEtag = await this.#upload(group, state.attempt, signal);
      state = manifestEtag === undefined ? { ...state, ended: 'Complete' } : { ...state, manifestEtag };
      this.#set(state);
      if (manifestEtag === undefined) return;
    }
    this.#context.failpoint('batch-manifest');
    const control = await this.#plane.control();
    const jobId = await control.createJob(this.#job(group, state), signal);
    this.#context.failpoint('batch-created');
    this.#set({ ...state, jobId });
    this.#notice(`S3 Batch Operations job ${jobId} is created`);
  }

  #job(group: BatchGroup, { attempt, manifestEtag }: GroupState): BatchJob {
    const { settings, target } = this.#context;
    const { roleArn, priority, lambdaArn } = settings.batch!;
    const { run } = this.#record;
    const operation: BatchJobOperation =
      this.#operation === 'LambdaInvoke'
        ? { kind: 'LambdaInvoke', functionArn: lambdaArn! }
        : {
            kind: 'S3PutObjectCopy',
            targetBucket: target.bucket,
            targetFolder: group.folder.replace(/\/$/, ''),
            storageClass: group.storageClass,
          };
    return {
      token: createHash('sha256').update(`${run}\n1\n${group.id}\n${attempt}`).digest('hex'),
      description: `longshore ${run}`,
      priority,
      roleArn,
      operation,
      manifest: {
        bucket: this.#plane.store.bucket,
        key: this.#manifestKey(group.id, attempt),
        etag: manifestEtag!,
      },
      report: { bucket: this.#plane.store.bucket, prefix: this.#reportPrefix(group.id, attempt) },
    };
  }

  /** Writes the manifest and puts it in its place. @returns its ETag; undefined where nothing is left to copy */
  async #upload(group: BatchGroup, attempt: number, signal: AbortSignal): Promise<string | undefined> {
    const path = join(this.#context.journal.folder, `s3-batch-${group.id}.csv`);
    try {
      await pipeline(Readable.from(this.#lines(group.id)), createWriteStream(path), { signal });
      const sizeBytes = statSync(path).size;
      if (sizeBytes === 0) return undefined;
      const put = await withRetry(
        () =>
          this.#plane.store.put(
            {
              key: this.#manifestKey(group.id, attempt),
              sizeBytes,
              body: createReadStream(path),
              attributes: { contentType: 'text/csv', metadata: {} },
              ifAbsent: false,
            },
            signal,
          ),
        this.#context.retry,
        { clock: this.#context.clock, signal },
      );
      if (put.kind === 'copied') return put.etag;
      throw new LongshoreError('STORE_RESPONSE', `the manifest of a job was not written: ${put.kind}`);
    } finally {
      rmSync(path, { force: true });
    }
  }

  /** Lines in chunks: a stream of single lines costs more than the lines. */
  *#lines(group: number): Generator<string> {
    const { bucket } = this.#context.source;
    let chunk = '';
    for (const { sourceKey, targetKey, etag, storageClass } of this.#tasks.open(group)) {
      if (this.#operation === 'S3PutObjectCopy') chunk += copyLine(bucket, sourceKey);
      else {
        const kept = storageClass === 'STANDARD' ? {} : { s: storageClass };
        chunk += lambdaLine(bucket, { k: sourceKey, t: targetKey, e: etag, ...kept }) ?? '';
      }
      if (chunk.length < 64 * 1024) continue;
      yield chunk;
      chunk = '';
    }
    if (chunk !== '') yield chunk;
  }

  /** Waits until the job of a group has ended and keeps its report. @returns why it is not complete */
  async #wait(group: BatchGroup, signal: AbortSignal): Promise<LongshoreError | undefined> {
    const state = this.#states.get(group.id)!;
    const { jobId } = state;
    if (jobId === undefined || state.ended !== undefined) return undefined;
    const job = await this.#poll(jobId, signal);
    const error = endedJobError(jobId, job);
    if (job.status === 'Suspended') return error;
    this.#context.failpoint('batch-ended');
    await this.#readReport(group.id, state.attempt, jobId, job, signal);
    this.#set({ ...state, ended: job.status });
    this.#context.failpoint('batch-report');
    return error;
  }

  async #poll(jobId: string, signal: AbortSignal): Promise<BatchJobState> {
    const { clock } = this.#context;
    const control = await this.#plane.control();
    let waitMs: number = POLL_MS.first;
    let said = '';
    for (;;) {
      const job = await control.describeJob(jobId, signal);
      if (job.status !== said) {
        const tasks = job.tasks === 0 ? '' : `, ${job.succeeded + job.failed} of ${job.tasks} tasks done`;
        this.#notice(`S3 Batch Operations job ${jobId}: ${job.status}${tasks}`);
        said = job.status;
      }
      if (ENDED.has(job.status)) return job;
      await clock.wait(waitMs, signal);
      waitMs = Math.min(waitMs * POLL_MS.growth, POLL_MS.max);
    }
  }

  async #readReport(
    group: number,
    attempt: number,
    jobId: string,
    job: BatchJobState,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, retry } = this.#context;
    const report = { prefix: this.#reportPrefix(group, attempt), jobId };
    const expected = job.succeeded + job.failed > 0;
    for (let look = 1; ; look++) {
      const results = await withRetry(
        () => this.#tasks.apply(readBatchReport(this.#plane.store, report, this.#operation, signal)),
        retry,
        { clock, signal },
      );
      if (!expected || results > 0) return;
      if (look === REPORT_LOOKS) break;
      await clock.wait(POLL_MS.first, signal);
    }
    this.#notice(`S3 Batch Operations job ${jobId} left no report: every object is looked at`);
  }

  #manifestKey(group: number, attempt: number): string {
    return `${this.#plane.prefix}${this.#record.run}/manifest-${group}-${attempt}.csv`;
  }

  #reportPrefix(group: number, attempt: number): string {
    return `${this.#plane.prefix}${this.#record.run}/report-${group}-${attempt}`;
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
