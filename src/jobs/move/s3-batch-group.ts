/** How far a group of tasks is with its job: what the journal keeps, so that any later process goes on. */

import type { BatchJob } from '../../platforms/aws/s3-batch.ts';
import type { BatchAccount } from './s3-batch-plane.ts';

/**
 * What CreateJob is asked, kept until the job has ended: asked again it must be asked the same, whatever the
 * settings say by then, and the report lies where it was told to.
 */
export interface JobRequest {
  readonly job: BatchJob;
  readonly account: BatchAccount;
  /** URL of the place of manifest and report. */
  readonly place: string;
}

export interface EndedJob {
  /** As S3 names it; `Gone` for a job that S3 no longer knows. */
  readonly status: string;
  /** Tasks that succeeded or failed, where S3 told. */
  readonly tasksDone?: number | undefined;
  /** When the job was made and when it ended, by the clock of S3, where it told. */
  readonly span?: { readonly fromMs: number; readonly toMs: number } | undefined;
}

/** Plain data. */
export interface GroupState {
  readonly group: number;
  /** Counts jobs: one that failed is followed by another. */
  readonly attempt: number;
  /** Recorded before CreateJob: with it, and no `jobId`, there may be a job. */
  readonly request?: JobRequest | undefined;
  readonly jobId?: string | undefined;
  readonly ended?: EndedJob | undefined;
  /** Also where there was none to read. */
  readonly reportRead?: boolean | undefined;
}

export interface GroupRecord {
  /** The run's name; with it the tokens of jobs are made. */
  readonly run: string;
  /** Whether this process looked at the targets when it chose the tasks. */
  readonly fresh: boolean;
  /** The function of the jobs, where the settings name none any more. */
  readonly functionArn: string | undefined;
  load(): readonly GroupState[];
  save(groups: readonly GroupState[]): void;
}

/** Whether a job of the group may still write. */
export function isUnderWay({ request, ended }: GroupState): boolean {
  return request !== undefined && ended === undefined;
}
