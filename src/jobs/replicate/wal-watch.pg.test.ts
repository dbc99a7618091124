/** What the server keeps of its log for a slot: told, warned of, and the end of it. */

import { beforeEach, expect, test } from 'vitest';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import type { ReplicateEvent } from './events.ts';
import { WalWatch } from './wal-watch.ts';

const job = lakeJob('wal');
beforeEach(() => job.land('CREATE TABLE t (id int PRIMARY KEY, v text)'));

const slot = () => `longshore_${job.name}`;
const slots = () =>
  job.database.sql(`SELECT slot_name FROM pg_replication_slots WHERE slot_name = '${slot()}'`);

/** Watches, until something is told that the test waits for. */
async function watch(
  limits: { walWarning?: number; walLimit?: number; walLimitAction?: 'stop' | 'drop' },
  until: (events: readonly ReplicateEvent[], watch: WalWatch) => boolean,
) {
  const { connection } = parseDatabaseUrl(job.database.url);
  await using session = await openSession(connection, {
    doing: { action: 'watch', database: 'd', user: 'u' },
  });
  const events: ReplicateEvent[] = [];
  using watching = new WalWatch(
    session.client,
    slot(),
    { walWarning: 2 ** 50, walLimitAction: 'stop', ...limits },
    (event) => events.push(event),
    () => Date.now(),
    20,
  );
  await expect.poll(() => until(events, watching)).toBe(true);
  return { events, reason: watching.signal.reason as unknown, limitReached: watching.limitReached };
}

const write = () =>
  job.database.sql("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i; DELETE FROM t");

test('how much it is and how fast it grows', async () => {
  await write();
  let wrote = false;
  const { events } = await watch({}, (seen) => {
    if (!wrote && seen.length > 0) void write();
    wrote ||= seen.length > 0;
    return seen.some((event) => event.type === 'wal-retained' && event.bytesPerSecond > 0);
  });
  expect(events.every(({ type }) => type === 'wal-retained')).toBe(true);
  const [first] = events;
  expect(first?.type === 'wal-retained' && first.bytes).toBeGreaterThan(500_000);
});

test('a warning once, as long as it is above the bound', async () => {
  await write();
  const { events } = await watch({ walWarning: 1000 }, (seen) => seen.length >= 5);
  expect(events.filter(({ type }) => type === 'notice')).toEqual([
    {
      type: 'notice',
      text: expect.stringMatching(/^the server keeps .* of its log for the slot longshore_wal/),
    },
  ]);
});

test('the limit ends the job', async () => {
  await write();
  const { reason, limitReached } = await watch({ walLimit: 1000 }, (_, { signal }) => signal.aborted);
  expect(limitReached).toBe(true);
  expect(reason).toMatchObject({
    code: 'RUN_INCOMPLETE',
    message: expect.stringContaining('the limit is 1000 B'),
    hint: expect.stringContaining('--wal-limit'),
  });
  expect(await slots()).toHaveLength(1);
});

test('a slot that is gone ends the job', async () => {
  await job.database.sql(`SELECT pg_drop_replication_slot('${slot()}')`);
  const { reason } = await watch({}, (_, { signal }) => signal.aborted);
  expect(reason).toMatchObject({ code: 'CHECK_FAILED', hint: expect.stringContaining('--resync') });
});
