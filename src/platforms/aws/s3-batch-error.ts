/** What the S3 Control API refuses, and how a job may end, as errors that say what to do next. */

import { LongshoreError, messageOf } from '../../errors.ts';

/** @param action the IAM action that was tried */
export function batchError(action: string, error: unknown): LongshoreError {
  if (error instanceof LongshoreError) return error;
  const name = error instanceof Error ? error.name : '';
  const message = `S3 Batch Operations: ${messageOf(error) || name}`;
  const options = { cause: error, context: { action } };
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  if (SLOW.has(name)) return new LongshoreError('STORE_SLOW_DOWN', message, options);
  if (DENIED.has(name)) {
    const hint = `allow ${action} on the account${action === 's3:CreateJob' ? ', and iam:PassRole on the role of --batch-role' : ''}`;
    return new LongshoreError('STORE_DENIED', message, { ...options, hint });
  }
  if (CREDENTIALS.has(name)) {
    return new LongshoreError('STORE_CREDENTIALS', message, {
      ...options,
      hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE',
    });
  }
  if (status !== undefined && status < 500) {
    return new LongshoreError('CHECK_FAILED', message, {
      ...options,
      hint: 'correct --batch-account, --batch-role or --batch-lambda; or leave out --copy-with s3-batch',
    });
  }
  const code = status === undefined ? 'STORE_UNREACHABLE' : 'STORE_UNAVAILABLE';
  return new LongshoreError(code, message, options);
}

const SLOW = new Set(['TooManyRequestsException', 'SlowDown', 'ThrottlingException', 'RequestLimitExceeded']);
const DENIED = new Set(['AccessDenied', 'AccessDeniedException', 'UnauthorizedAccess']);
const CREDENTIALS = new Set([
  'CredentialsProviderError',
  'ExpiredToken',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'InvalidClientTokenId',
]);

/**
 * Whether CreateJob failed in a way that made no job: it was refused, or never reached S3. What says that the token
 * was used with other parameters means that there is one.
 */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error) || error.name === 'IdempotencyException') return false;
  const { code, syscall, $metadata } = error as {
    code?: string;
    syscall?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  if (status !== undefined) return status >= 400 && status < 500;
  return CREDENTIALS.has(error.name) || syscall === 'connect' || NOT_SENT.has(code ?? '');
}

const NOT_SENT = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']);

/** The same error, telling that no job was made. */
export function withNoJob(error: LongshoreError): LongshoreError {
  const { code, message, hint, cause, context } = error;
  return new LongshoreError(code, message, { hint, cause, context: { ...context, noJob: true } });
}

/** Whether S3 does not know the job that it was asked about. */
export function isUnknownJob(error: unknown): boolean {
  return error instanceof Error && UNKNOWN.has(error.name);
}

const UNKNOWN = new Set(['NotFoundException', 'NotFound', 'NoSuchJob']);

/** What a job that will not go on by itself means; undefined while it works or when it is complete. */
export function endedJobError(
  jobId: string,
  job: { readonly status: string; readonly reason: string | undefined },
): LongshoreError | undefined {
  const hint = HINTS[job.status];
  if (hint === undefined) return undefined;
  const why = job.reason === undefined ? '' : `: ${job.reason}`;
  return new LongshoreError(
    'RUN_INCOMPLETE',
    `S3 Batch Operations job ${jobId} is ${job.status.toLowerCase()}${why}`,
    {
      hint: hint.replace('<id>', jobId),
      context: { job: jobId, status: job.status },
    },
  );
}

const HINTS: Readonly<Record<string, string>> = {
  Failed:
    'correct what it names (the role, the function, the manifest) and run again: a new job copies what is left; or run again with --copy-with store',
  Cancelled: 'run again: a new job copies what is left; or run again with --copy-with store',
  Suspended:
    'confirm it: aws s3control update-job-status --account-id … --job-id <id> --requested-job-status Ready; then run again, and the same job is waited for',
};
