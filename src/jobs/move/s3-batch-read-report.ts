/** Takes over what the report of an ended job says. */

import { isRetryable, LongshoreError } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import { readBatchReport } from '../../platforms/aws/s3-batch-report.ts';
import type { MoveContext } from './context.ts';
import { keepCopiedEtags } from './s3-batch-copied.ts';
import type { EndedJob, JobRequest } from './s3-batch-group.ts';
import type { BatchPlane } from './s3-batch-plane.ts';
import type { BatchTasks } from './s3-batch-tasks.ts';

export interface ReportedJob {
  readonly group: number;
  readonly request: JobRequest;
  readonly jobId: string;
  readonly ended: EndedJob;
}

/** A report may become visible a little after its job is complete. */
const LOOKS = 5;
const LOOK_MS = 5000;

/**
 * Keeps the results with the tasks. Tasks without a result count as not copied: the copy stage looks at each.
 * @returns why there is no report to read; undefined where it was read
 * @throws the errors of stores
 */
export async function readJobReport(
  context: MoveContext,
  plane: BatchPlane,
  tasks: BatchTasks,
  reported: ReportedJob,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { group, request, jobId, ended } = reported;
  const { kind } = request.job.operation;
  const store = await plane.storeAt(request.place);
  const report = { prefix: request.job.report.prefix, jobId };
  const looks = (ended.tasksDone ?? 0) > 0 ? LOOKS : 1;
  for (let look = 1; ; look++) {
    try {
      const read = () => tasks.apply(readBatchReport(store, report, kind, signal));
      const results = await withRetry(read, context.retry, {
        clock: context.clock,
        signal,
        shouldRetry: passing(),
      });
      if (results > 0 || ended.tasksDone === 0) break;
    } catch (error) {
      if (!isDamaged(error)) throw error;
      return `the report of S3 Batch Operations job ${jobId} cannot be read (${error.message})`;
    }
    if (look === looks) return `S3 Batch Operations job ${jobId} left no report`;
    await context.clock.wait(LOOK_MS, signal);
  }
  // The function answers the ETags of its copies, the copy operation does not.
  if (kind === 'S3PutObjectCopy') await keepCopiedEtags(context, tasks, group, ended.span, signal);
  return undefined;
}

/** What may pass, and once what was damaged: on the way, perhaps. */
function passing(): (error: unknown) => boolean {
  let again = true;
  return (error) => {
    if (isRetryable(error)) return true;
    const once = again && isDamaged(error);
    again &&= !once;
    return once;
  };
}

/** Whether what was read is no whole report. */
function isDamaged(error: unknown): error is LongshoreError {
  return (
    error instanceof LongshoreError && (error.code === 'STORE_RESPONSE' || error.code === 'CHECK_FAILED')
  );
}
