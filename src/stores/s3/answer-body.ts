/** The body of an answer, its errors turned into ours. */

import { Readable } from 'node:stream';

/** The same bytes with the same back-pressure; what breaks `inner`, an early end included, goes through `map`. */
export function answerBody(inner: Readable, map: (error: unknown) => unknown): Readable {
  const outer = new Readable({
    read: () => {
      inner.resume();
    },
    destroy: (error, done) => {
      inner.destroy();
      done(error);
    },
  });
  inner.pause();
  inner.on('data', (chunk: Buffer) => {
    if (!outer.push(chunk)) inner.pause();
  });
  inner.on('end', () => outer.push(null));
  inner.on('error', (error) => {
    outer.destroy(map(error) as Error);
  });
  inner.on('close', () => {
    if (!inner.readableEnded && !outer.destroyed)
      outer.destroy(map(new Error('the body ended early')) as Error);
  });
  return outer;
}
