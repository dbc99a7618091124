/**
 * An S3 server that holds nothing: it answers listings, copies and deletions of numbered objects from a generator and
 * two bits an object, so that a move of a million objects measures the mover and not the server. Markers are refused.
 * `node bench/move/generator-server.ts --objects 1000000` prints its URL.
 */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { objects: { type: 'string', default: '1000000' } } });
const objects = Number(values.objects);
const DIGITS = 9;
/** Per object: 1 it is on the target, 2 it is gone from the source. */
const state = new Uint8Array(objects);

const server = createServer({ keepAliveTimeout: 60_000, noDelay: true }, (request, response) => {
  void answer(request, response);
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}` })}\n`);
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url!, 'http://localhost');
  const [, bucket, ...rest] = url.pathname.split('/');
  const key = decodeURIComponent(rest.join('/'));
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const number = numberOf(key);
  if (request.method === 'GET' && url.searchParams.get('list-type') === '2')
    return send(response, 200, listing(bucket!, url));
  if (request.method === 'POST' && url.searchParams.has('delete')) return send(response, 200, deletion(body));
  if (number === undefined) return send(response, 403, '<Error><Code>AccessDenied</Code></Error>');
  if (request.method === 'PUT' && request.headers['x-amz-copy-source'] !== undefined) {
    state[number] = state[number]! | 1;
    return send(response, 200, `<CopyObjectResult><ETag>"${etagOf(number)}"</ETag></CopyObjectResult>`);
  }
  if (request.method === 'HEAD') {
    const there = bucket === 'legacy-s3' ? (state[number]! & 2) === 0 : (state[number]! & 1) === 1;
    const headers = ['ETag', `"${etagOf(number)}"`, 'Content-Length', String(1000 + (number % 63_000))];
    response.writeHead(there ? 200 : 404, there ? headers : []).end();
    return;
  }
  send(response, 501, '<Error><Code>NotImplemented</Code></Error>');
}

function send(response: ServerResponse, status: number, body: string): void {
  response
    .writeHead(status, ['Content-Type', 'application/xml', 'Content-Length', String(Buffer.byteLength(body))])
    .end(body);
}

function listing(bucket: string, url: URL): string {
  const legacy = bucket === 'legacy-s3';
  const folder = legacy ? 'image/' : 'avatar/';
  const prefix = url.searchParams.get('prefix') ?? '';
  const startAfter = url.searchParams.get('start-after') ?? '';
  const limit = Number(url.searchParams.get('max-keys') ?? 1000);
  let contents = '';
  let found = 0;
  let number = firstAfter(folder, startAfter);
  for (; number < objects && found < limit; number++) {
    const there = legacy ? (state[number]! & 2) === 0 : (state[number]! & 1) === 1;
    const key = `${folder}avatar-${String(number).padStart(DIGITS, '0')}.png`;
    if (!there || !key.startsWith(prefix)) continue;
    found++;
    contents += `<Contents><Key>${key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;${etagOf(number)}&quot;</ETag><Size>${1000 + (number % 63_000)}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
  }
  return `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${number < objects}</IsTruncated>${contents}</ListBucketResult>`;
}

/** The first number whose key sorts after `startAfter`. */
function firstAfter(folder: string, startAfter: string): number {
  let low = 0;
  let high = objects;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (`${folder}avatar-${String(middle).padStart(DIGITS, '0')}.png` > startAfter) high = middle;
    else low = middle + 1;
  }
  return low;
}

function deletion(body: string): string {
  let result = '';
  for (const [, key] of body.matchAll(/<Key>([^<]*)<\/Key>/g)) {
    const number = numberOf(key!);
    if (number === undefined)
      result += `<Error><Key>${key}</Key><Code>AccessDenied</Code><Message></Message></Error>`;
    else {
      state[number] = state[number]! | 2;
      result += `<Deleted><Key>${key}</Key></Deleted>`;
    }
  }
  return `<DeleteResult>${result}</DeleteResult>`;
}

function numberOf(key: string): number | undefined {
  const digits = /avatar-(\d+)\.png$/.exec(key)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function etagOf(number: number): string {
  // A checksum of the number is as good as one of content that nobody reads.
  return createHash('md5').update(String(number)).digest('hex');
}
