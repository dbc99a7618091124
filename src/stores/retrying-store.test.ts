import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { HastyClock } from '../../test/fakes/manual-clock.ts';
import { type ErrorCode, LongshoreError } from '../errors.ts';
import type { CopyOutcome, ObjectStore } from './object-store.ts';
import { RetryingStore } from './retrying-store.ts';

const COPIED: CopyOutcome = { kind: 'copied', etag: 'e', how: 'server' };
const COPY = { sourceKey: 'a', targetKey: 'b', ifAbsent: true, keep: { tags: false } };
const POLICY = { attemptsMax: 4, baseMs: 100, waitMsMax: 1_000 };

/** A store whose copies end as told, one after another, and that tells what was called. */
function scripted(copies: (CopyOutcome | ErrorCode)[], targetExists = false) {
  const calls: string[] = [];
  const next = async (name: string) => {
    calls.push(name);
    const outcome = copies.shift() ?? COPIED;
    if (typeof outcome === 'string') throw new LongshoreError(outcome, outcome);
    return outcome;
  };
  const inner = {
    copyFrom: () => next('copy'),
    put: () => next('put'),
    async head() {
      calls.push('head');
      return targetExists ? { key: 'b' } : undefined;
    },
  } as unknown as ObjectStore;
  const clock = new HastyClock();
  const retries: string[] = [];
  const store = new RetryingStore(inner, POLICY, {
    clock,
    random: () => 0.5,
    onRetry: (error) => retries.push((error as LongshoreError).code),
  });
  return { store, calls, clock, retries, inner };
}

test.each(['STORE_TIMEOUT', 'STORE_UNAVAILABLE'] as const)(
  'after %s the target is asked before the copy is repeated',
  async (code) => {
    const done = scripted([code], true);
    expect(await done.store.copyFrom(done.inner, COPY)).toEqual({ kind: 'target-exists' });
    expect(done.calls).toEqual(['copy', 'head']);
    const undone = scripted([code], false);
    expect(await undone.store.copyFrom(undone.inner, COPY)).toEqual(COPIED);
    expect(undone.calls).toEqual(['copy', 'head', 'copy']);
  },
);

test('an open copy stays open though the next attempt is refused', async () => {
  const { store, calls, inner } = scripted(['STORE_TIMEOUT', 'STORE_SLOW_DOWN']);
  expect(await store.copyFrom(inner, COPY)).toEqual(COPIED);
  expect(calls).toEqual(['copy', 'head', 'copy', 'head', 'copy']);
});

test('a refused copy is repeated as it is, after growing waits', async () => {
  const { store, calls, clock, retries, inner } = scripted(['STORE_SLOW_DOWN', 'STORE_SLOW_DOWN']);
  expect(await store.copyFrom(inner, COPY)).toEqual(COPIED);
  expect(calls).toEqual(['copy', 'copy', 'copy']);
  expect(clock.waits).toEqual([50, 100]);
  expect(retries).toEqual(['STORE_SLOW_DOWN', 'STORE_SLOW_DOWN']);
});

test('a copy that may overwrite is repeated without asking', async () => {
  const { store, calls, inner } = scripted(['STORE_TIMEOUT'], true);
  expect(await store.copyFrom(inner, { ...COPY, ifAbsent: false })).toEqual(COPIED);
  expect(calls).toEqual(['copy', 'copy']);
});

test.each([
  'STORE_DENIED',
  'STORE_CREDENTIALS',
  'STORE_UNSUPPORTED',
  'OBJECT_FAILED',
  'BUCKET_NOT_FOUND',
] as const)('%s is not tried again', async (code) => {
  const { store, calls, inner } = scripted([code, code]);
  await expect(store.copyFrom(inner, COPY)).rejects.toMatchObject({ code });
  expect(calls).toEqual(['copy']);
});

test('the last error is thrown when the attempts are used up', async () => {
  const { store, calls, inner } = scripted(Array.from({ length: 9 }, () => 'STORE_SLOW_DOWN' as const));
  await expect(store.copyFrom(inner, COPY)).rejects.toMatchObject({ code: 'STORE_SLOW_DOWN' });
  expect(calls).toHaveLength(POLICY.attemptsMax);
});

test('bytes are put again, a stream is not', async () => {
  const put = { key: 'a', sizeBytes: 1, attributes: { metadata: {} }, ifAbsent: true };
  const bytes = scripted(['STORE_SLOW_DOWN']);
  expect(await bytes.store.put({ ...put, body: Buffer.from('a') })).toEqual(COPIED);
  const stream = scripted(['STORE_SLOW_DOWN']);
  await expect(stream.store.put({ ...put, body: Readable.from(['a']) })).rejects.toMatchObject({
    code: 'STORE_SLOW_DOWN',
  });
  expect(stream.calls).toEqual(['put']);
});
