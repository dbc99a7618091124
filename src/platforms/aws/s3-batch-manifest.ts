/**
 * Lines of a job's manifest, format `S3BatchOperations_CSV_20180820`: bucket and percent-encoded key. For a Lambda
 * function the place of the key holds a percent-encoded JSON document with what the function needs.
 * Reference: "Specifying a manifest" and "Providing task-level information" of the Amazon S3 User Guide.
 */

/** What the function is told of an object. Short names: the field may hold 1,024 characters. */
export interface LambdaTask {
  /** Source key. */
  readonly k: string;
  /** Target key. */
  readonly t: string;
  /** ETag that the source must still have. */
  readonly e: string;
  /** Storage class, unless it is STANDARD. */
  readonly s?: string;
}

export const MANIFEST_FORMAT = 'S3BatchOperations_CSV_20180820';
export const MANIFEST_FIELDS = ['Bucket', 'Key'] as const;

const FIELD_LENGTH_MAX = 1024;

/** For the copy operation. */
export function copyLine(bucket: string, key: string): string {
  return `${bucket},${encoded(key).replaceAll('%2F', '/')}\n`;
}

/** For the function; undefined where the document is longer than a manifest takes. */
export function lambdaLine(bucket: string, task: LambdaTask): string | undefined {
  const field = encoded(JSON.stringify(task));
  return field.length > FIELD_LENGTH_MAX ? undefined : `${bucket},${field}\n`;
}

/** The source key of a line of a report, which repeats the key of the manifest. */
export function sourceKeyOf(field: string, operation: 'S3PutObjectCopy' | 'LambdaInvoke'): string {
  const text = decoded(field);
  return operation === 'LambdaInvoke' ? (JSON.parse(text) as LambdaTask).k : text;
}

/** Everything but unreserved characters: nothing is left to the taste of a decoder, quotes and commas neither. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** We never write a plus sign or a bare brace, so that both tell how the report encodes. */
function decoded(field: string): string {
  return field.startsWith('{') ? field : decodeURIComponent(field.replaceAll('+', ' '));
}
