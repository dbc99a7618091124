/**
 * Uploads one blob. It begins as one stream, which every registry and everything before it takes; what breaks off goes on
 * where the registry has got to, in chunks.
 *
 * | what fails | what is done |
 * | --- | --- |
 * | the connection, 5xx, 429, 416 | the registry is asked how far it got, and the rest is sent |
 * | it does not know any more, or cannot say | another upload is begun |
 * | 413 | the same, in chunks |
 * | anything else | thrown |
 *
 * Attempts are counted from the last one that got further.
 */

import type { Readable } from 'node:stream';
import { isRetryable, LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { backoffMs } from '../../flow/retry.ts';
import {
  bodyText,
  REGISTRY_RETRY,
  type RegistryAnswer,
  type RegistryConnection,
} from './registry-connection.ts';

export interface UploadableBlob {
  readonly digest: string;
  readonly size: number;
  /** The bytes from the first up to, and without, the second; may be called again. */
  read(from: number, to: number): Readable;
}

/** Registries are known that refuse larger ones. */
const CHUNK_BYTES = 4 * 1024 * 1024;
/** Not worth a request of its own. */
const CLOSING_BYTES_MAX = 256 * 1024;

/**
 * @param begun the location of an upload that was begun already
 * @param chunkBytes sends chunks of that size from the beginning
 */
export async function uploadBlob(
  connection: RegistryConnection,
  blob: UploadableBlob,
  {
    begun,
    chunkBytes,
  }: { readonly begun?: UploadSession | undefined; readonly chunkBytes?: number | undefined } = {},
): Promise<void> {
  const { signal, clock = systemClock, retry = REGISTRY_RETRY } = connection.options;
  let session = begun ?? (await beginUpload(connection));
  let chunk = chunkBytes === undefined ? blob.size : Math.max(chunkBytes, session.chunkBytesMin);
  let furthest = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      while (session.offset < blob.size && blob.size > CLOSING_BYTES_MAX) {
        session = await sendChunk(connection, blob, session, chunk);
        if (session.offset > furthest) [furthest, attempt] = [session.offset, 1];
      }
      await close(connection, blob, session);
      return;
    } catch (error) {
      if (!mayGoOn(error) || attempt >= retry.attemptsMax || signal?.aborted) throw error;
      await clock.wait(backoffMs(retry, attempt, Math.random), signal);
      if (await isThere(connection, blob)) return;
      session = (await resumed(connection, session)) ?? (await beginUpload(connection));
      if (session.offset > furthest) [furthest, attempt] = [session.offset, 0];
      chunk = Math.max(Math.min(chunk, chunkBytes ?? CHUNK_BYTES), session.chunkBytesMin);
    }
  }
}

export interface UploadSession {
  readonly location: string;
  /** How many bytes the registry has. */
  readonly offset: number;
  readonly chunkBytesMin: number;
}

export async function beginUpload(connection: RegistryConnection): Promise<UploadSession> {
  const answer = await connection.send({
    method: 'POST',
    url: 'blobs/uploads/',
    headers: { 'content-length': '0' },
    expected: [202],
    action: 'begin an upload to a repository',
  });
  await bodyText(answer);
  return sessionOf(answer, 0);
}

export const sessionOf = (answer: RegistryAnswer, offset: number): UploadSession => ({
  location: answer.location(),
  offset,
  chunkBytesMin: Number(answer.header('oci-chunk-min-length') ?? 0),
});

export async function isThere(
  connection: RegistryConnection,
  { digest }: { readonly digest: string },
): Promise<boolean> {
  const answer = await connection.send({
    method: 'HEAD',
    url: `blobs/${digest}`,
    expected: [200, 404],
    action: `look for ${digest}`,
  });
  await bodyText(answer);
  return answer.status === 200;
}

async function sendChunk(
  connection: RegistryConnection,
  blob: UploadableBlob,
  session: UploadSession,
  chunk: number,
): Promise<UploadSession> {
  const { offset } = session;
  const end = Math.min(offset + chunk, blob.size);
  const isAll = offset === 0 && end === blob.size;
  const answer = await connection.sendOnce({
    method: 'PATCH',
    url: session.location,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(end - offset),
      // A stream of everything has none, as Docker sends it.
      ...(isAll ? {} : { 'content-range': `${offset}-${end - 1}` }),
    },
    body: () => blob.read(offset, end),
    expected: [202],
    action: `send bytes ${offset} to ${end} of ${blob.digest} to a repository`,
  });
  await bodyText(answer);
  const next = sessionOf(answer, receivedBytes(answer.header('range')) ?? end);
  if (next.offset > end || next.offset <= offset)
    throw new LongshoreError(
      'STORE_RESPONSE',
      `the registry says that it has ${next.offset} bytes of ${blob.digest} after ${end} were sent`,
    );
  return { ...next, chunkBytesMin: Math.max(next.chunkBytesMin, session.chunkBytesMin) };
}

/** With what is left, where that is little. */
async function close(
  connection: RegistryConnection,
  blob: UploadableBlob,
  session: UploadSession,
): Promise<void> {
  const { location, offset } = session;
  const rest = blob.size - offset;
  const answer = await connection.sendOnce({
    method: 'PUT',
    url: `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(blob.digest)}`,
    headers: { 'content-length': String(rest), 'content-type': 'application/octet-stream' },
    body: rest === 0 ? undefined : () => blob.read(offset, blob.size),
    expected: [201, 204],
    action: `end the upload of ${blob.digest} to a repository`,
  });
  await bodyText(answer);
}

/** Undefined where the registry cannot go on with it. */
async function resumed(
  connection: RegistryConnection,
  session: UploadSession,
): Promise<UploadSession | undefined> {
  const answer = await connection.send({
    method: 'GET',
    url: session.location,
    // Some forget an upload that broke off within a chunk; what they answer then differs.
    expected: [204, 202, 200, 400, 404, 410, 416],
    action: 'ask for an upload to a repository',
  });
  await bodyText(answer);
  const received = receivedBytes(answer.header('range'));
  if (answer.status >= 400 || received === undefined) return undefined;
  const location = answer.header('location') === undefined ? session.location : answer.location();
  return { ...session, location, offset: received };
}

/**
 * Undefined where nobody can know: `0-0` is said of one byte, and of none.
 *
 * @param range `0-1023`, with or without its unit
 */
export function receivedBytes(range: string | undefined): number | undefined {
  const end = /^(?:bytes=)?0-(\d+)$/.exec(range ?? '')?.[1];
  return end === undefined || end === '0' ? undefined : Number(end) + 1;
}

function mayGoOn(error: unknown): boolean {
  return (
    isRetryable(error) ||
    (error instanceof LongshoreError && (error.context['status'] === 413 || error.context['status'] === 416))
  );
}
