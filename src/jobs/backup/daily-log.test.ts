/** The log of backups: a file a day, a line an attempt. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LOG_MESSAGES, logAttempt } from './daily-log.ts';
import { momentOf } from './run-moment.ts';

test('lines of two days, of several programs at once, and of errors in several lines', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-log-'));
  try {
    const log = join(folder, 'logs');
    const late = momentOf(Date.UTC(2026, 10, 20, 23, 59, 59), 'UTC');
    const early = momentOf(Date.UTC(2026, 10, 21, 0, 0, 1), 'UTC');
    await logAttempt(log, late, LOG_MESSAGES.nothing);
    await Promise.all(Array.from({ length: 50 }, () => logAttempt(log, early, LOG_MESSAGES.uploaded)));
    await logAttempt(log, early, 'cannot write:\n  access denied\r\n');
    expect(readFileSync(join(log, '2026-11-20.log'), 'utf8')).toBe(
      '2026-11-20,23:59:59,there is no file to upload\n',
    );
    const lines = readFileSync(join(log, '2026-11-21.log'), 'utf8').split('\n');
    expect(lines.slice(0, 50)).toEqual(Array(50).fill('2026-11-21,00:00:01,file successfully uploaded'));
    expect(lines.slice(50)).toEqual(['2026-11-21,00:00:01,cannot write: access denied', '']);
    const file = join(log, '2026-11-20.log');
    await expect(logAttempt(file, early, 'x')).rejects.toThrow(`cannot write ${file}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
