/**
 * Jobs of S3 Batch Operations: creates them and asks how they are, through the S3 Control API.
 * Reference: `CreateJob` and `DescribeJob` of the S3 Control API.
 */

import type { CreateJobCommandInput, JobDescriptor, S3ControlClient } from '@aws-sdk/client-s3-control';
import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import { type RetryPolicy, withRetry } from '../../flow/retry.ts';
import type { CredentialSource } from '../../stores/s3/credentials.ts';
import { batchError, isRefusal, isUnknownJob, withNoJob } from './s3-batch-error.ts';
import { MANIFEST_FIELDS, MANIFEST_FORMAT } from './s3-batch-manifest.ts';
import { sdkCredentials } from './sdk-credentials.ts';

export interface BatchJob {
  /** The same token never makes a second job. */
  readonly token: string;
  readonly description: string;
  readonly priority: number;
  readonly roleArn: string;
  readonly operation: BatchJobOperation;
  readonly manifest: { readonly bucket: string; readonly key: string; readonly etag: string };
  /** The report is written to `<prefix>/job-<id>/`. */
  readonly report: { readonly bucket: string; readonly prefix: string };
}

export type BatchJobOperation =
  | {
      readonly kind: 'S3PutObjectCopy';
      readonly targetBucket: string;
      /** What is put before each key, without the slash that S3 adds; '' for nothing. */
      readonly targetFolder: string;
      /** `STANDARD` for the default of the bucket. */
      readonly storageClass: string;
    }
  | { readonly kind: 'LambdaInvoke'; readonly functionArn: string };

export interface BatchJobState {
  /** As S3 names it: New, Preparing, Ready, Active, Completing, Complete, Failed, Suspended, Cancelled, … */
  readonly status: string;
  readonly tasks: number;
  readonly succeeded: number;
  readonly failed: number;
  /** By the clock of S3, where it tells. */
  readonly createdMs?: number | undefined;
  readonly endedMs?: number | undefined;
  /** Why it failed or stands still, where S3 says so. */
  readonly reason: string | undefined;
}

/** Both methods may be called again after they failed. */
export interface BatchControl extends Disposable {
  /**
   * @returns the job's id; that of the first job when called again with the same token
   * @throws with `noJob: true` in its context where this call made no job for certain
   */
  createJob(job: BatchJob, signal?: AbortSignal): Promise<string>;
  /** @returns undefined for a job that S3 does not know: it forgets them some time after they ended */
  describeJob(jobId: string, signal?: AbortSignal): Promise<BatchJobState | undefined>;
}

export interface BatchControlOptions {
  readonly accountId: string;
  readonly region: string;
  readonly credentials: CredentialSource;
  /** Stands in for AWS. */
  readonly endpoint?: string | undefined;
  readonly clock: Clock;
  readonly retry: RetryPolicy;
}

/** The control plane of an account. The AWS SDK for it is loaded here, and nowhere else. */
export async function openBatchControl(options: BatchControlOptions): Promise<BatchControl> {
  const { CreateJobCommand, DescribeJobCommand } = await import('@aws-sdk/client-s3-control');
  const client = await openClient(options);
  const { accountId, clock, retry } = options;
  const attempt = <T>(action: string, signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> =>
    withRetry(
      async () => {
        try {
          return await call();
        } catch (error) {
          signal?.throwIfAborted();
          throw batchError(action, error);
        }
      },
      retry,
      { clock, signal },
    );
  return {
    createJob: async (job, signal) => {
      // Once an answer was lost, a later refusal no longer tells that there is no job.
      let lost = false;
      try {
        return await attempt('s3:CreateJob', signal, async () => {
          try {
            const command = new CreateJobCommand(createJobInput(accountId, job));
            const { JobId } = await client.send(command, abortable(signal));
            if (JobId === undefined) throw new Error('CreateJob answered no job id');
            return JobId;
          } catch (error) {
            lost ||= !isRefusal(error);
            throw error;
          }
        });
      } catch (error) {
        throw lost || !(error instanceof LongshoreError) ? error : withNoJob(error);
      }
    },
    describeJob: (jobId, signal) =>
      attempt('s3:DescribeJob', signal, async () => {
        const command = new DescribeJobCommand({ AccountId: accountId, JobId: jobId });
        let Job: JobDescriptor | undefined;
        try {
          ({ Job } = await client.send(command, abortable(signal)));
        } catch (error) {
          if (isUnknownJob(error)) return undefined;
          throw error;
        }
        const { ProgressSummary: progress, FailureReasons: failures } = Job ?? {};
        const reasons = (failures ?? []).map(({ FailureCode, FailureReason }) =>
          [FailureCode, FailureReason].filter((text) => text).join(': '),
        );
        return {
          status: Job?.Status ?? 'New',
          tasks: progress?.TotalNumberOfTasks ?? 0,
          succeeded: progress?.NumberOfTasksSucceeded ?? 0,
          failed: progress?.NumberOfTasksFailed ?? 0,
          createdMs: Job?.CreationTime?.getTime(),
          endedMs: Job?.TerminationDate?.getTime(),
          reason: reasons.join('; ') || Job?.SuspendedCause || Job?.StatusUpdateReason || undefined,
        };
      }),
    [Symbol.dispose]: () => client.destroy(),
  };
}

/** What CreateJob is asked. Pure. */
export function createJobInput(accountId: string, job: BatchJob): CreateJobCommandInput {
  const { operation, manifest, report } = job;
  const partition = job.roleArn.split(':')[1] ?? 'aws';
  const bucketArn = (bucket: string): string =>
    bucket.startsWith('arn:') ? bucket : `arn:${partition}:s3:::${bucket}`;
  return {
    AccountId: accountId,
    ClientRequestToken: job.token,
    ConfirmationRequired: false,
    Description: job.description,
    Priority: job.priority,
    RoleArn: job.roleArn,
    Operation:
      operation.kind === 'LambdaInvoke'
        ? { LambdaInvoke: { FunctionArn: operation.functionArn, InvocationSchemaVersion: '2.0' } }
        : {
            S3PutObjectCopy: {
              TargetResource: bucketArn(operation.targetBucket),
              MetadataDirective: 'COPY',
              ...(operation.targetFolder === '' ? {} : { TargetKeyPrefix: operation.targetFolder }),
              ...(operation.storageClass === 'STANDARD'
                ? {}
                : { StorageClass: operation.storageClass as 'STANDARD_IA' }),
            },
          },
    Manifest: {
      Spec: { Format: MANIFEST_FORMAT, Fields: [...MANIFEST_FIELDS] },
      Location: { ObjectArn: `${bucketArn(manifest.bucket)}/${manifest.key}`, ETag: manifest.etag },
    },
    Report: {
      Enabled: true,
      Bucket: bucketArn(report.bucket),
      Prefix: report.prefix,
      Format: 'Report_CSV_20180820',
      ReportScope: 'AllTasks',
    },
  };
}

async function openClient(options: BatchControlOptions): Promise<S3ControlClient> {
  const { S3ControlClient } = await import('@aws-sdk/client-s3-control');
  const { endpoint, region } = options;
  const client = new S3ControlClient({
    region,
    credentials: sdkCredentials(options.credentials),
    // The SDK puts the account before the host, which only AWS resolves: the given one replaces it below.
    ...(endpoint === undefined ? {} : { endpoint: 'https://s3-control.invalid' }),
    // Retried by us, with our clock.
    maxAttempts: 1,
  });
  if (endpoint !== undefined) {
    const { protocol, hostname, port } = new URL(endpoint);
    client.middlewareStack.add(
      (next) => (args) => {
        const { request } = args as { request: { protocol: string; hostname: string; port?: number } };
        request.protocol = protocol;
        request.hostname = hostname;
        if (port !== '') request.port = Number(port);
        return next(args);
      },
      { step: 'build', name: 'endpointAsGiven', priority: 'high' },
    );
  }
  return client;
}

function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}
