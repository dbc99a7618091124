/**
 * The completion report of a job: what became of each task.
 * Format: `Report_CSV_20180820`, "Examples: S3 Batch Operations completion reports" of the Amazon S3 User Guide.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { LongshoreError } from '../../errors.ts';
import { type CsvRecord, readCsv } from '../../formats/csv.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { sourceKeyOf } from './s3-batch-manifest.ts';

/** What a job did with an object. */
export interface BatchResult {
  readonly sourceKey: string;
  readonly succeeded: boolean;
  /** ETag of the copy, where the function says it. */
  readonly etag: string | undefined;
  /** Why it failed. */
  readonly error: string | undefined;
}

/**
 * Results in batches, in any order; none where the job wrote no report. A file's results come before its MD5 is
 * known to be right, so the caller keeps them only once the generator ends.
 * @throws STORE_RESPONSE for what is no report, or not whole
 */
export async function* readBatchReport(
  store: ObjectStore,
  report: { readonly prefix: string; readonly jobId: string },
  operation: 'S3PutObjectCopy' | 'LambdaInvoke',
  signal?: AbortSignal,
): AsyncGenerator<BatchResult[]> {
  const key = `${report.prefix}/job-${report.jobId}/manifest.json`;
  const opened = await store.get({ key }, signal);
  if (opened === undefined) return;
  const manifest = parseManifest(key, await textOf(opened.body as AsyncIterable<Buffer>));
  for (const file of manifest.Results) {
    const results = await store.get({ key: file.Key }, signal);
    if (results === undefined) throw bad(file.Key, 'it does not exist');
    const md5 = createHash('md5');
    const bytes = hashed(results.body as AsyncIterable<Buffer>, md5);
    for await (const records of readCsv(bytes)) {
      yield records.map((record) => resultOf(record, manifest.columns, operation, file.Key));
    }
    const digest = md5.digest('hex');
    if (file.MD5Checksum !== undefined && digest !== file.MD5Checksum.toLowerCase()) {
      throw bad(file.Key, 'its MD5 is not the one that the report says');
    }
  }
}

const manifestSchema = z.object({
  ReportSchema: z.string(),
  Results: z.array(z.object({ Key: z.string(), MD5Checksum: z.string().optional() })).default([]),
});

interface ReportManifest {
  readonly columns: ReadonlyMap<string, number>;
  readonly Results: readonly { readonly Key: string; readonly MD5Checksum?: string | undefined }[];
}

function parseManifest(key: string, text: string): ReportManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw bad(key, 'it is not JSON');
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) throw bad(key, 'it is not the manifest of a report');
  const names = parsed.data.ReportSchema.split(',').map((name) => name.trim());
  const columns = new Map(names.map((name, i) => [name, i]));
  if (!columns.has('Key') || !columns.has('TaskStatus')) throw bad(key, 'it names no key or no status');
  return { columns, Results: parsed.data.Results };
}

function resultOf(
  record: CsvRecord,
  columns: ReportManifest['columns'],
  operation: 'S3PutObjectCopy' | 'LambdaInvoke',
  file: string,
): BatchResult {
  const field = (name: string): string => record[columns.get(name) ?? -1] ?? '';
  const succeeded = field('TaskStatus').toLowerCase() === 'succeeded';
  const message = field('ResultMessage');
  let sourceKey: string;
  try {
    sourceKey = sourceKeyOf(field('Key'), operation);
  } catch {
    throw bad(file, 'a key in it is not one of the manifest');
  }
  const error = [field('ErrorCode'), field('HTTPStatusCode'), message]
    .filter((text) => text !== '')
    .join(' ');
  return {
    sourceKey,
    succeeded,
    etag: succeeded ? /"etag"\s*:\s*"([^"]+)"/.exec(message)?.[1] : undefined,
    error: succeeded ? undefined : error,
  };
}

async function* hashed(
  chunks: AsyncIterable<Buffer>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
}

async function textOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString('utf8');
}

function bad(key: string, why: string): LongshoreError {
  return new LongshoreError('STORE_RESPONSE', `${key} is not a report of S3 Batch Operations: ${why}`, {
    hint: 'run again; with --copy-with store Longshore copies what is left itself',
  });
}
