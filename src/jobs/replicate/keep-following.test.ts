import { expect, test } from 'vitest';
import { type ErrorCode, LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import type { ReplicateEvent, ReplicateListener } from './events.ts';
import { keepFollowing } from './keep-following.ts';

const FOLLOWING: ReplicateEvent = { type: 'following', fromLsn: '0/1' };
const LANDED: ReplicateEvent = {
  type: 'epoch-landed',
  epoch: 1,
  toLsn: '0/2',
  changes: 1,
  files: 1,
  bytes: 1,
  lagBytes: 0,
};
const failure = (code: ErrorCode, context = {}) => new LongshoreError(code, `failed: ${code}`, { context });

/** Runs that emit and fail as told, one after another; the one behind them is well. */
function scripted(
  steps: readonly { readonly events: readonly ReplicateEvent[]; readonly error: Error }[],
  onNotice = () => {},
) {
  const notices: string[] = [];
  let runs = 0;
  const clock: Clock = {
    now: () => 0,
    wait: async (_, signal) => signal?.throwIfAborted(),
  };
  const run = async (emit: ReplicateListener): Promise<string> => {
    const step = steps[runs++];
    for (const event of step?.events ?? []) emit(event);
    if (step !== undefined) throw step.error;
    return 'done';
  };
  const stop = new AbortController();
  const emit = (event: ReplicateEvent): void => {
    if (event.type !== 'notice') return;
    notices.push(event.text);
    onNotice();
  };
  return {
    stop,
    notices,
    runs: () => runs,
    outcome: () => keepFollowing(run, { clock, emit, signal: stop.signal }),
  };
}

const LOADING: ReplicateEvent = { type: 'load-started', tables: 1, chunks: 1, chunksKept: 0 };

test('what passes is tried again once tables are loaded, or changes followed', async () => {
  const script = scripted([
    { events: [LOADING], error: failure('DATABASE_UNREACHABLE') },
    { events: [], error: failure('DATABASE_UNREACHABLE') },
    { events: [], error: failure('RUN_LOCKED') },
    { events: [FOLLOWING], error: failure('STORE_SLOW_DOWN') },
  ]);
  expect(await script.outcome()).toBe('done');
  expect(script.notices).toHaveLength(4);
  expect(script.notices[0]).toMatch(/^failed: DATABASE_UNREACHABLE; goes on in \d\.\d s$/);
});

test('before that it is an error', async () => {
  const script = scripted([{ events: [], error: failure('DATABASE_UNREACHABLE') }]);
  await expect(script.outcome()).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE', context: {} });
});

test('who was in the way before that is gone the next time', async () => {
  const script = scripted([{ events: [], error: failure('DATABASE_CONFLICT') }]);
  expect(await script.outcome()).toBe('done');
});

test.each<[ErrorCode, ReplicateEvent]>([
  ['CHECK_FAILED', FOLLOWING],
  ['STORE_DENIED', FOLLOWING],
  ['STORE_DENIED', LOADING],
])('%s after %o ends the run, in the middle', async (code, event) => {
  const script = scripted([{ events: [event], error: failure(code, { key: 'k' }) }]);
  await expect(script.outcome()).rejects.toMatchObject({ code, context: { key: 'k', changed: true } });
  expect(script.runs()).toBe(1);
});

test('without an epoch landed it is given up in the end', async () => {
  const lost = { events: [FOLLOWING], error: failure('DATABASE_UNREACHABLE') };
  const script = scripted(Array.from({ length: 1000 }, () => lost));
  await expect(script.outcome()).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
  expect(script.runs()).toBeLessThan(100);
  const lasting = scripted(
    Array.from({ length: 1000 }, (_, i) => (i % 10 === 0 ? { ...lost, events: [FOLLOWING, LANDED] } : lost)),
  );
  expect(await lasting.outcome()).toBe('done');
});

test('it stops when it is told to, also while it waits', async () => {
  const reason = new Error('stopped');
  const script = scripted([{ events: [FOLLOWING], error: failure('DATABASE_UNREACHABLE') }], () =>
    script.stop.abort(reason),
  );
  await expect(script.outcome()).rejects.toBe(reason);
  expect(script.runs()).toBe(1);
});
