import { expect, test } from 'vitest';
import type { Session } from '../databases/postgres/open-session.ts';
import { write } from './writer.ts';

/** Ten milliseconds a transaction. */
function setUp(durationMs: number, followedAfter: number) {
  let nowMs = 1000;
  const ran: string[] = [];
  const query = async (text: string) => {
    nowMs += 10;
    ran.push(text.split('\n')[1]!);
  };
  const controller = new AbortController();
  const said: string[] = [];
  const writing = write({ client: { query } } as unknown as Session, {
    sample: {
      transactions: ['often'],
      once: [
        { what: 'does one thing', statements: 'first' },
        { what: 'does another', statements: 'second' },
      ],
    },
    durationMs,
    followedSinceMs: () => (ran.length >= followedAfter ? 1000 + followedAfter * 10 : undefined),
    nowMs: () => nowMs,
    random: () => 0.999,
    onOnce: (what) => said.push(what),
    signal: controller.signal,
  });
  return { writing, ran, said, controller };
}

test('it begins at once, and its time counts from when changes are followed', async () => {
  const { writing, ran, said } = setUp(90, 5);
  expect(await writing).toBe(14);
  expect(ran.map((text) => text.replace(';', '')).join(' ')).toBe(
    'often often often often often often often often first often often second often often',
  );
  expect(said).toEqual(['does one thing', 'does another']);
});

test('what is done once is done, however short the time', async () => {
  const { writing, ran } = setUp(1, 0);
  await writing;
  expect(ran.slice(-2)).toEqual(['first;', 'second;']);
});

test('it stops by the signal', async () => {
  const { writing, controller } = setUp(1000, 1_000_000);
  controller.abort(new Error('enough'));
  await expect(writing).rejects.toThrow('enough');
});
