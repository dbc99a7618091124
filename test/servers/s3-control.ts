/**
 * Stands in for the S3 Control API in tests: takes jobs of S3 Batch Operations, does their tasks on real stores when
 * they are asked about, and writes completion reports, in the documents that AWS documents.
 */

import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LongshoreError } from '../../src/errors.ts';
import type { ObjectStore } from '../../src/stores/object-store.ts';

export interface S3ControlOptions {
  /** Buckets by name: manifests, reports, sources and targets. */
  readonly stores: Readonly<Record<string, ObjectStore>>;
  /** Answers an invocation of the function of a job. */
  readonly lambda?: ((event: LambdaEvent) => Promise<LambdaAnswer>) | undefined;
  /** Why a task fails; undefined lets it be done. */
  readonly fails?: ((key: string) => string | undefined) | undefined;
  /** What happens when a job becomes active, before its tasks. */
  readonly onActive?: (() => Promise<void>) | undefined;
  /** What happens when a job is complete, its report written. */
  readonly onComplete?: (() => Promise<void>) | undefined;
  /** How the n-th request of CreateJob fares, from 0: refused, or done and its answer lost. */
  readonly onCreate?: ((n: number) => 'refused' | 'lost' | undefined) | undefined;
  /** How jobs go, each status for one DescribeJob; the last one stays. The n-th job takes the n-th course. */
  readonly courses?: readonly (readonly string[])[] | undefined;
}

export interface LambdaEvent {
  readonly invocationSchemaVersion: string;
  readonly invocationId: string;
  readonly job: { readonly id: string; readonly userArguments: Readonly<Record<string, string>> };
  readonly tasks: readonly {
    readonly taskId: string;
    readonly s3Key: string;
    readonly s3VersionId: string | null;
    readonly s3Bucket: string;
  }[];
}

export interface LambdaAnswer {
  readonly invocationSchemaVersion: string;
  readonly invocationId: string;
  readonly treatMissingKeysAs: string;
  readonly results: readonly {
    readonly taskId: string;
    readonly resultCode: 'Succeeded' | 'TemporaryFailure' | 'PermanentFailure';
    readonly resultString: string;
  }[];
}

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly answer: string;
}

export interface S3Control extends AsyncDisposable {
  readonly url: string;
  readonly requests: RecordedRequest[];
  readonly jobs: StubJob[];
}

export interface StubJob {
  readonly id: string;
  readonly token: string;
  readonly body: string;
  readonly course: string[];
  readonly createdMs: number;
  endedMs: number | undefined;
  status: string;
  succeeded: number;
  failed: number;
  total: number;
}

/** Stands for no answer. */
const LOST = 0;

const COURSE = ['New', 'Preparing', 'Active', 'Complete'];

export async function startS3Control(options: S3ControlOptions): Promise<S3Control> {
  const requests: RecordedRequest[] = [];
  const jobs: StubJob[] = [];
  let creations = 0;
  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    const [status, answer] = await handle(request, body).catch(
      (error: unknown) => [500, String(error)] as const,
    );
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    );
    requests.push({ method: request.method!, path: request.url!, headers, body, answer });
    if (status === LOST) {
      request.socket.destroy();
      return;
    }
    response.writeHead(status, { 'content-type': 'application/xml' }).end(answer);
  });
  const handle = async (request: IncomingMessage, body: string): Promise<readonly [number, string]> => {
    const path = request.url!.split('?')[0]!;
    if (request.method === 'POST' && path === '/v20180820/jobs') {
      const fares = options.onCreate?.(creations++);
      if (fares === 'refused') return [400, errorXml('BadRequestException', 'the role cannot be assumed')];
      const created = createJob(jobs, options, body);
      return fares === 'lost' ? [LOST, ''] : created;
    }
    const id = /^\/v20180820\/jobs\/([^/]+)$/.exec(path)?.[1];
    const job = jobs.find((one) => one.id === id);
    if (job === undefined) return [404, errorXml('NotFoundException', 'no such job')];
    await advance(job, options);
    return [200, describeXml(job)];
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    jobs,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function createJob(jobs: StubJob[], options: S3ControlOptions, body: string): readonly [number, string] {
  const token = element(body, 'ClientRequestToken');
  const before = jobs.find((job) => job.token === token);
  if (before !== undefined && before.body !== body) {
    return [400, errorXml('IdempotencyException', 'the token was used with other parameters')];
  }
  const job = before ?? {
    id: randomUUID(),
    token,
    body,
    course: [...(options.courses?.[jobs.length] ?? COURSE)],
    createdMs: Date.now(),
    endedMs: undefined,
    status: 'New',
    succeeded: 0,
    failed: 0,
    total: 0,
  };
  if (before === undefined) jobs.push(job);
  return [
    200,
    `<?xml version="1.0" encoding="UTF-8"?><CreateJobResult xmlns="${NAMESPACE}"><JobId>${job.id}</JobId></CreateJobResult>`,
  ];
}

async function advance(job: StubJob, options: S3ControlOptions): Promise<void> {
  job.status = job.course.length > 1 ? job.course.shift()! : job.course[0]!;
  if (job.status === 'Active') await options.onActive?.();
  const ends = job.status === 'Complete' || job.status === 'Failed' || job.status === 'Cancelled';
  if (!ends || job.total > 0) return;
  await runTasks(job, options, job.status === 'Complete');
  job.endedMs = Date.now();
  if (job.status === 'Complete') await options.onComplete?.();
}

/** Does the tasks, the first of them only where the job fails on the way. */
async function runTasks(job: StubJob, options: S3ControlOptions, all: boolean): Promise<void> {
  const { stores } = options;
  const [bucket, ...rest] = element(job.body, 'ObjectArn').split(':::')[1]!.split('/');
  const opened = await stores[bucket!]!.get({ key: rest.join('/') });
  if (opened === undefined || opened.head.etag !== element(element(job.body, 'Location'), 'ETag')) {
    job.status = 'Failed';
    return;
  }
  const lines = (await textOf(opened.body)).split('\n').filter((line) => line !== '');
  job.total = lines.length;
  const reports = { succeeded: '', failed: '' };
  for (const line of all ? lines : lines.slice(0, 1)) {
    const [source, field] = line.split(',') as [string, string];
    const { status, code, message } = await runTask(job, options, source, field);
    job[status]++;
    const columns = [source, field, '', status, code, status === 'succeeded' ? '200' : '400', message];
    reports[status] +=
      `${columns.map((column) => (/[",\n]/.test(column) ? `"${column.replaceAll('"', '""')}"` : column)).join(',')}\n`;
  }
  await writeReport(job, stores, reports);
}

async function runTask(
  job: StubJob,
  options: S3ControlOptions,
  source: string,
  field: string,
): Promise<{ status: 'succeeded' | 'failed'; code: string; message: string }> {
  const why = options.fails?.(decodeURIComponent(field));
  if (why !== undefined) return { status: 'failed', code: 'AccessDenied', message: why };
  if (!job.body.includes('<LambdaInvoke>')) return copyTask(job, options, source, decodeURIComponent(field));
  const taskId = randomUUID();
  const version = element(job.body, 'InvocationSchemaVersion');
  for (let attempt = 1; ; attempt++) {
    const answer = await options.lambda!({
      invocationSchemaVersion: version,
      invocationId: randomUUID(),
      job: { id: job.id, userArguments: {} },
      tasks: [{ taskId, s3Key: field, s3VersionId: null, s3Bucket: source }],
    });
    const result = answer.results.find((one) => one.taskId === taskId)!;
    if (result.resultCode === 'Succeeded')
      return { status: 'succeeded', code: '', message: result.resultString };
    if (result.resultCode === 'PermanentFailure' || attempt === 3) {
      return { status: 'failed', code: result.resultCode, message: result.resultString };
    }
  }
}

/** Without conditions, as S3 Batch copies. */
async function copyTask(
  job: StubJob,
  { stores }: S3ControlOptions,
  source: string,
  key: string,
): Promise<{ status: 'succeeded' | 'failed'; code: string; message: string }> {
  const target = stores[element(job.body, 'TargetResource').split(':::')[1]!]!;
  const folder = element(job.body, 'TargetKeyPrefix');
  const storageClass = element(job.body, 'StorageClass');
  try {
    await target.copyFrom(stores[source]!, {
      sourceKey: key,
      targetKey: folder === '' ? key : `${folder}/${key}`,
      ifAbsent: false,
      keep: { tags: true },
      ...(storageClass === '' ? {} : { storageClass }),
    });
    return { status: 'succeeded', code: '', message: 'Successful' };
  } catch (error) {
    return {
      status: 'failed',
      code: error instanceof LongshoreError ? error.code : 'Error',
      message: String(error),
    };
  }
}

async function writeReport(
  job: StubJob,
  stores: S3ControlOptions['stores'],
  reports: Readonly<Record<'succeeded' | 'failed', string>>,
): Promise<void> {
  const report = element(job.body, 'Report');
  const bucket = element(report, 'Bucket').split(':::')[1]!;
  const base = `${element(report, 'Prefix')}/job-${job.id}`;
  const put = async (key: string, text: string): Promise<void> => {
    const body = Buffer.from(text);
    await stores[bucket]!.put({
      key,
      body,
      sizeBytes: body.byteLength,
      attributes: { metadata: {} },
      ifAbsent: false,
    });
  };
  const results: object[] = [];
  for (const status of ['succeeded', 'failed'] as const) {
    if (reports[status] === '') continue;
    const key = `${base}/results/${createHash('sha1').update(status).digest('hex')}.csv`;
    await put(key, reports[status]);
    const md5 = createHash('md5').update(reports[status]).digest('hex');
    results.push({ TaskExecutionStatus: status, Bucket: bucket, MD5Checksum: md5, Key: key });
  }
  await put(
    `${base}/manifest.json`,
    JSON.stringify({
      Format: 'Report_CSV_20180820',
      ReportCreationDate: '2019-04-05T17:48:39.725Z',
      Results: results,
      ReportSchema: 'Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage',
    }),
  );
}

const NAMESPACE = 'http://awss3control.amazonaws.com/doc/2018-08-20/';

function describeXml(job: StubJob): string {
  const failure =
    job.status === 'Failed'
      ? '<FailureReasons><member><FailureCode>JobFailed</FailureCode><FailureReason>too many tasks failed</FailureReason></member></FailureReasons>'
      : '';
  const termination =
    job.endedMs === undefined ? '' : `<TerminationDate>${timeOf(job.endedMs)}</TerminationDate>`;
  return `<?xml version="1.0" encoding="UTF-8"?><DescribeJobResult xmlns="${NAMESPACE}"><Job><JobId>${job.id}</JobId><ConfirmationRequired>false</ConfirmationRequired><Status>${job.status}</Status><Priority>10</Priority><ProgressSummary><TotalNumberOfTasks>${job.total}</TotalNumberOfTasks><NumberOfTasksSucceeded>${job.succeeded}</NumberOfTasksSucceeded><NumberOfTasksFailed>${job.failed}</NumberOfTasksFailed></ProgressSummary>${failure}<CreationTime>${timeOf(job.createdMs)}</CreationTime>${termination}</Job></DescribeJobResult>`;
}

/** Whole seconds, as S3 tells them. */
function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function errorXml(code: string, message: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><ErrorResponse xmlns="${NAMESPACE}"><Error><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`;
}

/** The content of the first element of that name, its entities resolved where it holds text alone. */
function element(xml: string, name: string): string {
  const content = new RegExp(`<${name}(?: [^>]*)?>(.*?)</${name}>`, 's').exec(xml)?.[1] ?? '';
  return content.includes('<')
    ? content
    : content
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&quot;', '"')
        .replaceAll('&amp;', '&');
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
