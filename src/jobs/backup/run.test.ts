import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BackupEvent } from './events.ts';
import { runBackup } from './run.ts';

test('a schedule says when it is next, before it waits', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-schedule-'));
  try {
    const events: BackupEvent[] = [];
    const stop = new AbortController();
    const running = runBackup(
      {
        watch: join(folder, 'datadump.sql'),
        to: `file://${folder}/store/`,
        schedule: '0 3 1 1 *',
        timeZone: 'Europe/Berlin',
        log: join(folder, 'log'),
      },
      {
        env: {},
        signal: stop.signal,
        emit: (event) => {
          events.push(event);
          stop.abort(new Error('enough'));
        },
      },
      () => undefined,
    );
    await expect(running).rejects.toThrow('enough');
    expect(events).toEqual([
      {
        type: 'started',
        what: expect.stringMatching(/^the schedule 0 3 1 1 \*: next at \d{4}-01-01 03:00:00 Europe\/Berlin$/),
      },
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
