/** Turns an S3 error answer into a LongshoreError. Codes: "Error responses" of the S3 API reference. */

import { type ErrorCode, LongshoreError } from '../../errors.ts';
import type { WireRequest, WireResponse } from './wire.ts';
import { elementText } from './xml.ts';

/** What was tried, for the message: the IAM action that it needs and the object it is about. */
export interface Attempt {
  readonly action: string;
  readonly bucket: string;
  readonly request: WireRequest;
}

/** The `<Code>` of an error answer; an empty body (HEAD) is named by its status. */
export function errorCodeOf(response: WireResponse): string {
  return elementText(response.body, 'Code') ?? STATUS_NAMES[response.status] ?? `HTTP ${response.status}`;
}

/** The error that an answer which is not a success stands for; also for an `<Error>` inside a 200. */
export function responseError(response: WireResponse, attempt: Attempt): LongshoreError {
  const s3Code = errorCodeOf(response);
  const { action, bucket, request } = attempt;
  const what = request.key === undefined ? bucket : `${bucket}/${request.key}`;
  const detail = elementText(response.body, 'Message') ?? '';
  const { code, hint } = classify(s3Code, response.status, action, bucket);
  return new LongshoreError(
    code,
    `${request.method} ${what}: ${s3Code}${detail === '' ? '' : ` (${detail})`}`,
    {
      hint,
      context: {
        bucket,
        ...(request.key === undefined ? {} : { key: request.key }),
        action,
        s3Code,
        status: response.status,
      },
    },
  );
}

/** A 200 that does not say what it must: cut short, empty, or of another shape. Whether the work was done is open. */
export function brokenAnswer(attempt: Attempt, why: string): LongshoreError {
  const { bucket, request } = attempt;
  const what = request.key === undefined ? bucket : `${bucket}/${request.key}`;
  return new LongshoreError('STORE_UNAVAILABLE', `${request.method} ${what}: answered 200 with ${why}`, {
    context: { bucket, ...(request.key === undefined ? {} : { key: request.key }) },
  });
}

function classify(
  s3Code: string,
  status: number,
  action: string,
  bucket: string,
): { code: ErrorCode; hint?: string } {
  if (SLOW_DOWN.has(s3Code) || status === 429) return { code: 'STORE_SLOW_DOWN' };
  if (PASSING.has(s3Code) || (status >= 500 && status !== 501)) return { code: 'STORE_UNAVAILABLE' };
  switch (s3Code) {
    case 'AccessDenied':
    case 'AllAccessDisabled':
    case 'Forbidden':
      return {
        code: 'STORE_DENIED',
        hint: `allow ${action} on ${bucket} to these credentials; \`longshore grants\` prints the whole policy`,
      };
    case 'ExpiredToken':
    case 'TokenRefreshRequired':
    case 'InvalidToken':
      return {
        code: 'STORE_CREDENTIALS',
        hint: 'renew the AWS credentials and run the same command again: it goes on where it stopped',
      };
    case 'InvalidAccessKeyId':
    // Of versitygw, for a key id that nobody has.
    case 'XAdminUserNotFound':
    case 'SignatureDoesNotMatch':
      return {
        code: 'STORE_CREDENTIALS',
        hint: 'check key id and secret (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile, or the file of --credentials), and that they are of this endpoint',
      };
    case 'InvalidBucketName':
      return {
        code: 'BUCKET_NOT_FOUND',
        hint: `correct the name ${bucket}: 3 to 63 small letters, digits, dots and hyphens, no underscore`,
      };
    case 'NoSuchBucket':
      return {
        code: 'BUCKET_NOT_FOUND',
        hint: `create the bucket ${bucket}, or correct its name or the endpoint`,
      };
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'TemporaryRedirect':
    case 'IllegalLocationConstraintException':
      return { code: 'BUCKET_REGION', hint: `set AWS_REGION to the region of ${bucket}` };
    case 'InvalidObjectState':
    case 'ObjectNotInActiveTierError':
      return { code: 'OBJECT_ARCHIVED', hint: 'restore the object (s3:RestoreObject) and run again' };
    case 'NotImplemented':
    case 'MethodNotAllowed':
    case 'AccessControlListNotSupported':
      return { code: 'STORE_UNSUPPORTED' };
    default:
      return { code: 'OBJECT_FAILED' };
  }
}

const SLOW_DOWN = new Set([
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'RequestLimitExceeded',
  'BandwidthLimitExceeded',
  'TooManyRequests',
  'ServiceUnavailable',
]);
const PASSING = new Set([
  'InternalError',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'OperationAborted',
  'ConditionalRequestConflict',
  'BadDigest',
]);
const STATUS_NAMES: Readonly<Record<number, string>> = {
  301: 'PermanentRedirect',
  400: 'BadRequest',
  403: 'AccessDenied',
  404: 'NoSuchKey',
  405: 'MethodNotAllowed',
  412: 'PreconditionFailed',
  429: 'TooManyRequests',
  500: 'InternalError',
  501: 'NotImplemented',
  503: 'SlowDown',
};
