/** Schedules that several hosts share: every time is run by one of them, whoever dies, sleeps, or is cut off from the store. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../../../test/fakes/manual-clock.ts';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { LongshoreError } from '../../errors.ts';
import { processSpace } from '../../flow/process-space.ts';
import { FilesStore } from '../../stores/files/files-store.ts';
import type {
  CopyOutcome,
  ObjectHead,
  ObjectStore,
  PutRequest,
  StoreCapabilities,
} from '../../stores/object-store.ts';
import { type OperationCost, StoreWrapper } from '../../stores/store-wrapper.ts';
import { putNote } from './note.ts';
import { nextTimes } from './on-schedule.ts';
import { newestTime, runScheduled, type ScheduledOptions } from './run-scheduled.ts';
import { readMemory, type ScheduleMemory, scheduleKey } from './schedule-slot.ts';

let store: ObjectStore;
let hosts: Host[];
beforeEach(async () => {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startS3Server({ buckets: ['backups'] }));
  store = stack.use(testStore(server, 'backups'));
  hosts = [];
  stack.defer(async () => {
    for (const host of hosts) await host.stop();
  });
  return () => stack.disposeAsync();
});

/** Of one host, which may be cut off; counts what is under way. */
class HostStore extends StoreWrapper {
  underWay = 0;
  isCut = false;
  losesAnswers = false;
  protected override async around<T>(_: OperationCost, __: string, call: () => Promise<T>): Promise<T> {
    if (this.isCut) throw new LongshoreError('STORE_UNREACHABLE', 'the store cannot be reached');
    this.underWay++;
    try {
      return await call();
    } finally {
      this.underWay--;
    }
  }
  /** Every put is made, its answer lost, and made again. */
  override async put(request: PutRequest): Promise<CopyOutcome> {
    if (this.losesAnswers) await super.put(request);
    return await super.put(request);
  }
  /** With its body, which is read behind the answer. */
  override async get(request: { key: string }): Promise<{ head: ObjectHead; body: Readable } | undefined> {
    return this.around({ operation: 'get', requests: 1, bytes: 0 }, request.key, async () => {
      const found = await this.inner.get(request);
      return found && { head: found.head, body: Readable.from([await buffer(found.body)]) };
    });
  }
  override capabilities(prefix: string): Promise<StoreCapabilities> {
    return this.around({ operation: 'settings', requests: 1, bytes: 0 }, prefix, () =>
      super.capabilities(prefix),
    );
  }
}

const SOURCE = 'postgres://db/shop';
const NEVER = new AbortController().signal;

/** A schedule on a host of its own, with a clock of its own. */
class Host {
  readonly clock: ManualClock;
  readonly store = new HostStore(store);
  readonly notices: string[] = [];
  /** Times that were begun, and how each ended. */
  readonly begun: string[] = [];
  readonly ended: string[] = [];
  runMs = 30_000;
  fails = false;
  readonly #stopping = new AbortController();
  readonly #schedule: Promise<unknown>;

  constructor(name: string, at: string, more: Partial<ScheduledOptions> = {}) {
    hosts.push(this);
    this.clock = new ManualClock(Date.parse(at));
    const options: ScheduledOptions = {
      ...{ pattern: '* * * * *', timeZone: 'UTC', clock: this.clock, source: SOURCE },
      place: { store: this.store, prefix: 'shop/' },
      notice: (text) => this.notices.push(text),
      holder: { host: name, pid: 1, space: `of ${name}` },
      ...more,
    };
    this.#schedule = runScheduled(
      options,
      (slotMs, signal) => this.#run(slotMs, signal),
      this.#stopping.signal,
    ).catch((error: unknown) => error);
  }

  async #run(slotMs: number, signal: AbortSignal): Promise<void> {
    this.begun.push(new Date(slotMs).toISOString());
    running++;
    mostRunning = Math.max(mostRunning, running);
    try {
      await this.clock.wait(this.runMs, signal);
      if (this.fails) throw new Error('the disk is full');
      this.ended.push('done');
    } catch (error) {
      this.ended.push((error as Error).message);
      throw error;
    } finally {
      running--;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopped'));
    expect(await this.#schedule).toMatchObject({ message: 'stopped' });
  }
}

let running = 0;
let mostRunning = 0;
beforeEach(() => {
  running = 0;
  mostRunning = 0;
});

/** Until every host waits for its clock. */
async function quiet(): Promise<void> {
  for (let turns = 0; turns < 8; ) {
    await new Promise((resolve) => setImmediate(resolve));
    turns = hosts.every((host) => host.store.underWay === 0) ? turns + 1 : 0;
  }
}

async function pass(ms: number, stepMs = 5_000): Promise<void> {
  await quiet();
  for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
    for (const { clock } of hosts) await clock.advance(stepMs);
    await quiet();
  }
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const memoryNow = async () =>
  (await readMemory({ store, prefix: 'shop/' }, scheduleKey(SOURCE), NEVER))?.value;
const remember = (value: Partial<ScheduleMemory>) =>
  putNote({ store, prefix: 'shop/' }, scheduleKey(SOURCE), {
    ...{
      slot: '2026-11-19T03:00:00.000Z',
      state: 'done',
      host: 'gone',
      pid: 1,
      space: 'of gone',
      id: 'x',
      beat: 0,
    },
    ...value,
  });

test('two hosts, fifty times: each is run once, by one of them, and told by the other', async () => {
  const random = () => Math.random();
  const one = new Host('one', '2026-11-20T02:59:30Z', { jitterMs: 8_000, random });
  // Its clock is ahead.
  const other = new Host('other', '2026-11-20T02:59:37Z', { jitterMs: 8_000, random });
  one.runMs = other.runMs = 20_000;
  await pass(50 * MINUTE);
  const expected = Array.from({ length: 50 }, (_, i) => new Date(Date.UTC(2026, 10, 20, 3, i)).toISOString());
  expect([...one.begun, ...other.begun].toSorted()).toEqual(expected);
  expect(mostRunning).toBe(1);
  expect(one.begun.length).toBeGreaterThan(0);
  expect(other.begun.length).toBeGreaterThan(0);
  expect(one.notices.length + other.notices.length).toBeGreaterThanOrEqual(49);
  expect(one.notices.join()).toMatch(
    /the backup of 2026-11-20T03:.* (was made on other|is under way on other, and left to it)/,
  );
});

test('two processes that share a folder, at the same instant', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-schedule-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  store = new FilesStore(folder);
  const [one, other] = [new Host('one', '2026-11-20T02:59:30Z'), new Host('other', '2026-11-20T02:59:30Z')];
  await pass(20 * MINUTE);
  expect([...one.begun, ...other.begun].toSorted()).toHaveLength(20);
  expect(new Set([...one.begun, ...other.begun]).size).toBe(20);
});

test('a run that takes longer than the time between two is one, on any host', async () => {
  const one = new Host('one', '2026-11-20T02:59:30Z');
  const other = new Host('other', '2026-11-20T02:59:30Z');
  one.runMs = other.runMs = 3.5 * MINUTE;
  await pass(8 * MINUTE);
  expect(mostRunning).toBe(1);
  const minutes = [...one.begun, ...other.begun].toSorted().map((at) => at.slice(14, 16));
  expect(minutes).toEqual(['00', '04']);
});

test('a host that is gone is followed after a minute and a half, by the clock of who looks', async () => {
  const one = new Host('one', '2026-11-20T02:59:50Z', { pattern: '0 * * * *' });
  one.runMs = HOUR / 2;
  await pass(MINUTE);
  expect(one.begun).toEqual(['2026-11-20T03:00:00.000Z']);
  await one.stop();
  // Two days behind: no clock is compared with another.
  const other = new Host('other', '2026-11-18T03:00:50Z', { pattern: '0 * * * *' });
  await pass(80_000);
  expect(other.begun).toEqual([]);
  expect(other.notices).toEqual([
    'the backup of 2026-11-20T03:00:00.000Z is under way on one, and left to it',
  ]);
  await pass(60_000);
  expect(other.begun).toEqual(['2026-11-20T03:00:00.000Z']);
  expect(other.notices[1]).toContain('on one, which is gone: it is taken over');
  expect(await memoryNow()).toMatchObject({ state: 'done', host: 'other' });
});

test('a holder that renews is not followed, however long it takes', async () => {
  const one = new Host('one', '2026-11-20T02:59:50Z', { pattern: '0 3 * * *' });
  const other = new Host('other', '2026-11-20T02:59:50Z', { pattern: '0 3 * * *' });
  one.runMs = other.runMs = 10 * MINUTE;
  await pass(15 * MINUTE);
  expect(one.begun.length + other.begun.length).toBe(1);
  expect([...one.ended, ...other.ended]).toEqual(['done']);
});

test('a process of this host that is dead is followed at once; one of a namesake is not', async () => {
  const { pid } = spawnSync(process.execPath, ['--version']);
  const holder = { host: hostname(), pid: process.pid, space: await processSpace() };
  const left = { slot: '2026-11-20T03:00:00.000Z', state: 'running', host: hostname(), pid } as const;
  for (const [space, begun] of [
    ['of another', []],
    [holder.space, [left.slot]],
  ] as const) {
    await remember({ ...left, space });
    const again = new Host(hostname(), '2026-11-20T03:00:20Z', { pattern: '0 3 * * *', holder });
    await pass(20_000);
    expect(again.begun).toEqual(begun);
    await again.stop();
  }
});

test('a holder that cannot reach the store gives up before another one takes over', async () => {
  const one = new Host('one', '2026-11-20T02:59:50Z', { pattern: '0 3 * * *' });
  one.runMs = HOUR;
  await pass(45_000);
  expect(one.begun).toHaveLength(1);
  const other = new Host('other', '2026-11-20T03:00:35Z', { pattern: '0 3 * * *' });
  one.store.isCut = true;
  await pass(3 * MINUTE);
  expect(one.ended).toEqual(['the schedule was taken over by another host']);
  expect(other.begun).toEqual(['2026-11-20T03:00:00.000Z']);
  expect(mostRunning).toBe(1);
});

test('a short time without the store is survived', async () => {
  const one = new Host('one', '2026-11-20T02:59:50Z', { pattern: '0 3 * * *' });
  one.runMs = 5 * MINUTE;
  await pass(45_000);
  one.store.isCut = true;
  await pass(40_000);
  one.store.isCut = false;
  await pass(6 * MINUTE);
  expect(one.ended).toEqual(['done']);
  expect(await memoryNow()).toMatchObject({ state: 'done', slot: '2026-11-20T03:00:00.000Z' });
});

test('answers that are lost are not another holder', async () => {
  const one = new Host('one', '2026-11-20T02:59:50Z', { pattern: '0 3 * * *' });
  one.store.losesAnswers = true;
  one.runMs = 2 * MINUTE;
  await pass(4 * MINUTE);
  expect(one.ended).toEqual(['done']);
  expect(one.notices).toEqual([]);
  expect(await memoryNow()).toMatchObject({ state: 'done' });
});

describe('at the start', () => {
  test('what passed while the machine was off is made up for, once', async () => {
    await remember({ slot: '2026-11-15T03:00:00.000Z' });
    const one = new Host('one', '2026-11-20T08:00:00Z', { pattern: '0 3 * * *', jitterMs: HOUR });
    await pass(2 * MINUTE);
    expect(one.begun).toEqual(['2026-11-20T03:00:00.000Z']);
    await one.stop();
    const again = new Host('one', '2026-11-20T09:00:00Z', { pattern: '0 3 * * *' });
    await pass(2 * MINUTE);
    expect(again.begun).toEqual([]);
  });

  test('without a memory the first time is waited for', async () => {
    const one = new Host('one', '2026-11-20T08:00:00Z', { pattern: '5 8 * * *' });
    await pass(4 * MINUTE);
    expect(one.begun).toEqual([]);
    await pass(2 * MINUTE);
    expect(one.begun).toEqual(['2026-11-20T08:05:00.000Z']);
  });

  test('a run that was broken off by a stop is made again', async () => {
    const one = new Host('one', '2026-11-20T02:59:50Z', { pattern: '0 3 * * *' });
    await pass(20_000);
    await one.stop();
    expect(one.ended).toEqual(['stopped']);
    expect(await memoryNow()).toMatchObject({ state: 'running' });
    const other = new Host('other', '2026-11-20T03:01:00Z', { pattern: '0 3 * * *' });
    await pass(3 * MINUTE);
    expect(other.ended).toEqual(['done']);
  });

  test('a store that does not answer, and a pattern that means nothing', async () => {
    const cut = new HostStore(store);
    cut.isCut = true;
    const options = { pattern: '0 3 * * *', timeZone: 'UTC', source: SOURCE, notice: () => undefined };
    const run = async () => undefined;
    await expect(
      runScheduled({ ...options, place: { store: cut, prefix: '' } }, run, NEVER),
    ).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
    });
    const never = { ...options, pattern: '0 0 30 2 *', place: { store, prefix: '' } };
    await expect(runScheduled(never, run, NEVER)).rejects.toThrow('never comes again');
  });
});

test('a run that fails is told and noted, and the schedule goes on', async () => {
  const one = new Host('one', '2026-11-20T02:59:50Z');
  one.runMs = 1_000;
  one.fails = true;
  await pass(20_000);
  expect(one.notices).toEqual(['the disk is full']);
  expect(await memoryNow()).toMatchObject({ state: 'failed', slot: '2026-11-20T03:00:00.000Z' });
  one.fails = false;
  await pass(MINUTE);
  expect(one.ended).toEqual(['the disk is full', 'done']);
});

test('a store that cannot be reached at the time: as soon as it can', async () => {
  const one = new Host('one', '2026-11-20T02:59:50Z', { pattern: '0 3 * * *' });
  await pass(5_000);
  one.store.isCut = true;
  await pass(MINUTE);
  expect(one.notices[0]).toContain('is tried again: the store cannot be reached');
  one.store.isCut = false;
  await pass(MINUTE);
  expect(one.begun).toEqual(['2026-11-20T03:00:00.000Z']);
});

test.each([
  [
    'over the night that has half past two twice',
    '30 2 * * *',
    '2026-10-24T00:00:00Z',
    ['10-24T00:30', '10-25T00:30', '10-26T01:30'],
  ],
  [
    'over the night that has it not at all',
    '30 2 * * *',
    '2026-03-28T00:00:00Z',
    ['03-28T01:30', '03-29T01:00', '03-30T00:30'],
  ],
  ['at midnight', '0 0 * * *', '2026-11-19T22:00:00Z', ['11-19T23:00', '11-20T23:00', '11-21T23:00']],
])('%s: once each day', async (_, pattern, from, expected) => {
  const one = new Host('one', from, { pattern, timeZone: 'Europe/Berlin' });
  one.runMs = MINUTE;
  await pass(30 * HOUR, 10 * MINUTE);
  // A process that begins anew in the night of the change does not do it again.
  await one.stop();
  const again = new Host('one', new Date(one.clock.now()).toISOString(), {
    pattern,
    timeZone: 'Europe/Berlin',
  });
  again.runMs = MINUTE;
  await pass(32 * HOUR, 10 * MINUTE);
  expect([...one.begun, ...again.begun].map((at) => at.slice(5, 16))).toEqual(expected);
});

test('the newest time is the one that counting up finds', () => {
  const hour = fc.integer({ min: Date.UTC(2026, 9, 20) / MINUTE, max: Date.UTC(2026, 9, 30) / MINUTE });
  const patterns = fc.constantFrom('30 2 * * *', '*/7 * * * *', '0 0 * * 1', '* 3 * * *', '0 0 1 1 *');
  fc.assert(
    fc.property(patterns, hour, hour, (pattern, one, other) => {
      const next = nextTimes(pattern, 'Europe/Berlin');
      const [after, until] = [Math.min(one, other) * MINUTE, Math.max(one, other) * MINUTE];
      let newest: number | undefined;
      for (let at = next(after); at !== undefined && at <= until; at = next(at)) newest = at;
      expect(newestTime(next, after, until)).toBe(newest);
    }),
    { numRuns: 40 },
  );
});
