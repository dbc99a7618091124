/** Downloads one blob; a connection that breaks goes on where it broke. */

import { isRetryable } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { backoffMs } from '../../flow/retry.ts';
import type { Descriptor } from './image.ts';
import { REGISTRY_RETRY, type RegistryConnection } from './registry-connection.ts';
import { broken } from './registry-error.ts';

/** Whoever reads it has to look at its digest. Attempts are counted from the last byte that came. */
export async function* downloadBlob(
  connection: RegistryConnection,
  { digest, size }: Descriptor,
): AsyncGenerator<Uint8Array> {
  const { signal, clock = systemClock, retry = REGISTRY_RETRY } = connection.options;
  const action = `pull ${digest}`;
  let bytes = 0;
  for (let attempt = 1; ; attempt++) {
    const answer = await connection.send({
      method: 'GET',
      url: `blobs/${digest}`,
      headers: bytes === 0 ? {} : { range: `bytes=${bytes}-` },
      expected: bytes === 0 ? [200] : [200, 206],
      action,
    });
    // Who knows no ranges begins anew.
    let known = answer.status === 206 ? 0 : bytes;
    const pieces = answer.body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const piece = await nextOf(pieces, action);
        if (piece === undefined) return;
        const rest = piece.subarray(known);
        known -= piece.length - rest.length;
        if (rest.length === 0) continue;
        [bytes, attempt] = [bytes + rest.length, 1];
        yield rest;
      }
    } catch (error) {
      if (!isRetryable(error) || bytes >= size || attempt >= retry.attemptsMax || signal?.aborted)
        throw error;
      await clock.wait(backoffMs(retry, attempt, Math.random), signal);
    } finally {
      await pieces.return?.();
    }
  }
}

/** What whoever reads throws is none of the connection's. */
async function nextOf(pieces: AsyncIterator<Uint8Array>, action: string): Promise<Uint8Array | undefined> {
  try {
    const next = await pieces.next();
    return next.done === true ? undefined : next.value;
  } catch (error) {
    throw broken(error, action);
  }
}
