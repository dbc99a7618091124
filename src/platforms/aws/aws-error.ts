/** What AWS refuses, as errors that say what to do next. */

import { LongshoreError, messageOf } from '../../errors.ts';

/** @param action the IAM action that was tried */
export function awsError(action: string, error: unknown): LongshoreError {
  if (error instanceof LongshoreError) return error;
  const name = error instanceof Error ? error.name : '';
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  const message = `AWS refuses ${action}: ${messageOf(error) || name}`;
  const options = { cause: error, context: { action, awsCode: name } };
  if (SLOW.test(name)) {
    const hint = 'others ask much of this account at the moment: run again in a minute';
    return new LongshoreError('STORE_SLOW_DOWN', message, { ...options, hint });
  }
  if (DENIED.has(name)) {
    const hint = `allow ${action}; longshore grants clone prints the whole policy`;
    return new LongshoreError('STORE_DENIED', message, { ...options, hint });
  }
  if (CREDENTIALS.has(name)) {
    return new LongshoreError('STORE_CREDENTIALS', message, {
      ...options,
      hint: 'set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; aws sts get-caller-identity tries them',
    });
  }
  // Also an answer that no service of AWS gives.
  if (status !== undefined && status < 500) return new LongshoreError('CHECK_FAILED', message, options);
  return status === undefined
    ? new LongshoreError('STORE_UNREACHABLE', `cannot ask AWS for ${action}: ${messageOf(error)}`, options)
    : new LongshoreError('STORE_UNAVAILABLE', `AWS failed at ${action}: ${messageOf(error)}`, options);
}

/** Whether AWS answered with that code: `DBClusterNotFoundFault`. */
export function isAwsCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof LongshoreError && codes.includes(String(error.context['awsCode']));
}

const SLOW =
  /^(?:Throttling|ThrottlingException|ThrottledException|RequestLimitExceeded|TooManyRequestsException|SlowDown)$/;
const DENIED = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'UnauthorizedAccess',
  'UnauthorizedOperation',
  'NotAuthorized',
]);
const CREDENTIALS = new Set([
  'AuthFailure',
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'MissingAuthenticationToken',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
]);
