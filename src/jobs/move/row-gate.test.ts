import { describe, expect, test } from 'vitest';
import { HastyClock, ManualClock } from '../../../test/fakes/manual-clock.ts';
import { BatchSize, msUntilWindow, RowGate } from './row-gate.ts';

const never = new AbortController().signal;

describe('the size of a batch', () => {
  test('grows while full batches are quick, up to a bound', () => {
    const size = new BatchSize();
    const start = size.rows;
    size.took(start - 1, 5);
    expect(size.rows).toBe(start);
    size.took(start, 5);
    expect(size.rows).toBeGreaterThan(start);
    for (let i = 0; i < 50; i++) size.took(size.rows, 5);
    expect(size.rows).toBe(2000);
  });

  test('halves when commits are slow or lose, and never reaches nothing', () => {
    const size = new BatchSize();
    const start = size.rows;
    size.took(start, 1000);
    expect(size.rows).toBe(start / 2);
    size.conflicted();
    expect(size.rows).toBe(Math.floor(start / 4));
    for (let i = 0; i < 50; i++) size.conflicted();
    expect(size.rows).toBe(10);
  });
});

describe('the gate', () => {
  test('holds rows back while replicas lag, and asks seldom', async () => {
    const clock = new HastyClock(1_000_000);
    const lags = [30_000, 12_000, 4_000];
    let asked = 0;
    const waits: number[] = [];
    const gate = new RowGate({
      clock,
      lagMsMax: 5_000,
      lagMs: async () => lags[Math.min(asked++, lags.length - 1)],
      onWait: (untilMs) => waits.push(untilMs),
    });
    await gate.pass(10, never);
    expect(asked).toBe(3);
    expect(waits).toHaveLength(2);
    await gate.pass(10, never);
    expect(asked).toBe(3);
  });

  test('no replica, no wait', async () => {
    const clock = new HastyClock();
    const gate = new RowGate({ clock, lagMsMax: 1, lagMs: async () => undefined, onWait: () => undefined });
    await gate.pass(10, never);
    expect(clock.waits).toEqual([]);
  });

  test('keeps to the rows a second', async () => {
    const clock = new HastyClock(1_000_000);
    const gate = new RowGate({
      clock,
      rowsPerSecond: 100,
      lagMs: async () => undefined,
      onWait: () => undefined,
    });
    for (let i = 0; i < 10; i++) await gate.pass(100, never);
    expect(clock.now() - 1_000_000).toBeGreaterThanOrEqual(8_000);
  });

  test('waits for its window, and can be stopped meanwhile', async () => {
    const clock = new ManualClock(new Date(2026, 10, 21, 12, 0).getTime());
    const untils: number[] = [];
    const gate = new RowGate({
      clock,
      window: '22:00-06:00',
      lagMs: async () => undefined,
      onWait: (untilMs) => untils.push(untilMs),
    });
    const stop = new AbortController();
    const passed = gate.pass(1, stop.signal);
    await new Promise((resolve) => setImmediate(resolve));
    expect(untils).toEqual([new Date(2026, 10, 21, 22, 0).getTime()]);
    stop.abort(new Error('stopped'));
    await expect(passed).rejects.toThrow('stopped');
  });
});

test('the time until a window, also over midnight', () => {
  const at = (hours: number, minutes: number, seconds = 0) => new Date(2026, 10, 21, hours, minutes, seconds);
  expect(msUntilWindow('22:00-06:00', at(23, 0))).toBe(0);
  expect(msUntilWindow('22:00-06:00', at(5, 59, 59))).toBe(0);
  expect(msUntilWindow('22:00-06:00', at(6, 0))).toBe(16 * 3_600_000);
  expect(msUntilWindow('22:00-06:00', at(21, 59, 30))).toBe(30_000);
  expect(msUntilWindow('01:00-05:00', at(6, 0))).toBe(19 * 3_600_000);
  expect(msUntilWindow('01:00-05:00', at(1, 0))).toBe(0);
});
