/**
 * The Lambda function that copies one object of a job, for rules that the copy operation of S3 Batch cannot express.
 * Invocation schema 2.0; runs on Node.js 22 with the AWS SDK that the runtime brings.
 * Reference: "Invoke AWS Lambda function" of the Amazon S3 User Guide.
 */

export interface LambdaBounds {
  readonly sourceBucket: string;
  readonly targetBucket: string;
  /** The function writes nowhere else. */
  readonly targetPrefixes: readonly string[];
  readonly keepTags: boolean;
}

/** The source of the function, bound to one move: an ES module, `index.mjs` with the handler `index.handler`. */
export function lambdaSource(bounds: LambdaBounds): string {
  return `// Copies one object of a Longshore move. Runtime: Node.js 22. Handler: index.handler. Written by longshore.
// Its role needs s3:GetObject${bounds.keepTags ? ' and s3:GetObjectTagging' : ''} on ${bounds.sourceBucket}, s3:PutObject${bounds.keepTags ? ' and s3:PutObjectTagging' : ''} on ${bounds.targetBucket}.
import { CopyObjectCommand, S3Client } from '@aws-sdk/client-s3';

const SOURCE_BUCKET = ${literal(bounds.sourceBucket)};
const TARGET_BUCKET = ${literal(bounds.targetBucket)};
const TARGET_PREFIXES = ${literal(bounds.targetPrefixes)};
const KEEP_TAGS = ${literal(bounds.keepTags)};
${HANDLER}`;
}

/** U+2028 and U+2029 are the two characters that JSON allows and careless readers of source text do not. */
function literal(value: unknown): string {
  return JSON.stringify(value).replaceAll('\\u2028', '\\\\u2028').replaceAll('\\u2029', '\\\\u2029');
}

const HANDLER = `
const client = new S3Client({ maxAttempts: 5 });

/** Errors that may pass: S3 Batch tries these tasks again. */
const PASSING = new Set([
  'SlowDown', 'InternalError', 'ServiceUnavailable', 'RequestTimeout', 'RequestTimeTooSkewed', 'TimeoutError',
  'ConditionalRequestConflict', 'ThrottlingException', 'Throttling', 'RequestLimitExceeded', 'TooManyRequestsException',
]);

export async function handler(event) {
  const results = [];
  for (const task of event.tasks) results.push(await answer(task));
  return {
    invocationSchemaVersion: event.invocationSchemaVersion,
    treatMissingKeysAs: 'PermanentFailure',
    invocationId: event.invocationId,
    results,
  };
}

async function answer(task) {
  const { taskId } = task;
  try {
    const etag = await copy(task);
    return { taskId, resultCode: 'Succeeded', resultString: JSON.stringify({ etag }) };
  } catch (error) {
    const name = error?.name ?? 'Error';
    const passing = PASSING.has(name) || (error?.$metadata?.httpStatusCode ?? 0) >= 500 || error?.code === 'ECONNRESET';
    return {
      taskId,
      resultCode: passing ? 'TemporaryFailure' : 'PermanentFailure',
      resultString: name + ': ' + (error?.message ?? error),
    };
  }
}

async function copy(task) {
  const bucket = task.s3Bucket ?? task.s3BucketArn?.split(':::').pop();
  // k: source key, t: target key, e: ETag of the source, s: storage class.
  const { k, t, e, s } = JSON.parse(task.s3Key.startsWith('{') ? task.s3Key : decodeURIComponent(task.s3Key));
  if (bucket !== SOURCE_BUCKET || !TARGET_PREFIXES.some((prefix) => t.startsWith(prefix))) {
    throw new Error('this function was made for another move: ' + bucket + ' to ' + t);
  }
  const command = new CopyObjectCommand({
    Bucket: TARGET_BUCKET,
    Key: t,
    CopySource: SOURCE_BUCKET + '/' + k.split('/').map(encode).join('/'),
    CopySourceIfMatch: '"' + e + '"',
    MetadataDirective: 'COPY',
    TaggingDirective: KEEP_TAGS ? 'COPY' : 'REPLACE',
    ...(s === undefined ? {} : { StorageClass: s }),
  });
  // As a header: the SDK of the runtime may be older than the condition.
  command.middlewareStack.add(
    (next) => (args) => {
      args.request.headers['if-none-match'] = '*';
      return next(args);
    },
    { step: 'build', name: 'onlyToAbsentTargets' },
  );
  const { CopyObjectResult } = await client.send(command);
  return CopyObjectResult?.ETag?.replaceAll('"', '');
}

function encode(part) {
  return encodeURIComponent(part).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
}
`;
