/** `longshore backup list` and `prune` as a program: a bucket and a credentials file are all that they need. */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { type S3Server, startS3Server } from '../../src/embedded/s3/server.ts';
import { runProgram } from './world.ts';

let folder: string;
let server: S3Server;
beforeEach(async () => {
  const stack = new AsyncDisposableStack();
  folder = mkdtempSync(join(tmpdir(), 'longshore-backup-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  server = stack.use(await startS3Server({ buckets: ['backups'] }));
  const { accessKeyId, secretAccessKey, url } = server;
  const lines = [`key_id = ${accessKeyId}`, `secret_key = ${secretAccessKey}`, `endpoint_url = ${url}`];
  writeFileSync(join(folder, 'credentials'), [...lines, 'bucket = backups'].join('\n'), { mode: 0o600 });
  return () => stack.disposeAsync();
});

async function longshore(...args: string[]) {
  const result = await runProgram(
    { folder, env: { AWS_ACCESS_KEY_ID: 'of', AWS_SECRET_ACCESS_KEY: 'another' } },
    ['backup', ...args, ...['--credentials', 'credentials']],
  );
  expect(result.stdout + result.stderr).not.toContain(server.secretAccessKey);
  return result;
}

test('shipped, listed, planned and pruned with a credentials file alone', async () => {
  const none = await longshore('list');
  expect([none.code, none.stdout], none.stderr).toEqual([0, 'there are no backups in s3://backups/\n']);
  for (const content of ['one', 'two']) {
    writeFileSync(join(folder, 'datadump.sql'), content);
    const { code, stderr } = await longshore(
      '--watch',
      'datadump.sql',
      '--settle',
      '10ms',
      '--time-zone',
      'UTC',
    );
    expect(code, stderr).toBe(0);
  }
  const listed = await longshore('list', '--json');
  expect(JSON.parse(listed.stdout)).toMatchObject({
    to: 's3://backups/',
    backups: [
      { key: expect.stringMatching(/datadump1\.sql$/), format: 'file', bytes: 3, missing: [] },
      { key: expect.stringMatching(/datadump2\.sql$/) },
    ],
    unreadable: [],
    lastAttempt: { ended: 'done' },
  });
  const planned = await longshore('prune', '--keep', 'last=1', '--plan');
  expect([planned.code, planned.stdout], planned.stderr).toEqual([
    0,
    expect.stringContaining('1 backup of 3 B would go'),
  ]);
  const pruned = await longshore('prune', '--to', 's3://backups/', '--keep', 'last=1');
  expect([pruned.code, pruned.stdout], pruned.stderr).toEqual([
    0,
    expect.stringContaining('1 backup gone: 2 objects'),
  ]);
  const left = await longshore('list');
  expect(left.stdout).toMatch(/^key .*\n.*datadump2\.sql .* a file .* all there\n$/);
});

test('what is said wrongly is told in one line', async () => {
  const nothing = await longshore('prune');
  expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringContaining('nothing says what is kept')]);
  const policy = await longshore('prune', '--keep', 'hourly=3');
  expect([policy.code, policy.stderr]).toEqual([2, expect.stringContaining('cannot read "hourly=3"')]);
  chmodSync(join(folder, 'credentials'), 0o644);
  const open = await longshore('list');
  expect([open.code, open.stderr]).toEqual([
    2,
    expect.stringMatching(/is open to others.*run chmod 600 credentials/),
  ]);
});
