/** Numbers of backups in a bucket that has many already, and what processes that died left there. */

import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import { processSpace } from '../../flow/process-space.ts';
import { listKeys } from '../../stores/list-keys.ts';
import { claimNumber } from './claim.ts';
import { DEFAULT_TEMPLATE, parseTemplate } from './dated-keys.ts';
import { momentOf } from './run-moment.ts';

test('the number behind 1,001 and behind 2,500 keys of a day', async () => {
  await using server = await startS3Server({ buckets: ['backups'] });
  await using store = testStore(server, 'backups');
  const place = { store, prefix: 'shop/' };
  const moment = momentOf(Date.UTC(2026, 10, 20, 3), 'UTC');
  const signal = new AbortController().signal;
  let there = 0;
  for (const count of [1001, 2500]) {
    const more = Array.from({ length: count - there }, (_, i) => there + i + 1);
    await forEachConcurrent(more, 16, async (index) => {
      const key = `shop/2026-11-20/datadump${index}.dump.zst`;
      await store.put({
        key,
        body: Buffer.of(1),
        sizeBytes: 1,
        attributes: { metadata: {} },
        ifAbsent: true,
      });
    });
    there = count;
    for (const next of [count + 1, count + 2]) {
      // The first claim stays: the second one comes behind it.
      const claim = await claimNumber(place, parseTemplate(DEFAULT_TEMPLATE), moment, signal);
      expect(claim.base).toBe(`2026-11-20/datadump${next}`);
    }
  }
});

test('what a process that died left is taken away, and nothing of others', async () => {
  await using server = await startS3Server({ buckets: ['backups'] });
  await using store = testStore(server, 'backups');
  const place = { store, prefix: 'shop/' };
  const moment = momentOf(Date.UTC(2026, 10, 20, 3), 'UTC');
  const signal = new AbortController().signal;
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  const space = await processSpace();
  const put = async (key: string, body: unknown, metadata = {}) => {
    const bytes = Buffer.from(JSON.stringify(body));
    const attributes = { metadata };
    await store.put({ key: `shop/${key}`, body: bytes, sizeBytes: bytes.length, attributes, ifAbsent: true });
  };
  const uploaded = (key: string) => put(key, 1, { 'longshore-run': 'x' });
  const claimed = (index: number, holder: object) =>
    put(`_longshore/backup/claims/2026-11-20/datadump${index}`, holder);
  // Died before its manifest; behind it; another machine; a process that lives.
  await claimed(1, { space, pid: gone });
  for (const name of ['1.dump.zst', '1/1.copy.zst']) await uploaded(`2026-11-20/datadump${name}`);
  await put('2026-11-20/datadump1.notes.txt', 'of somebody else');
  await uploaded('2026-11-20/datadump10.dump.zst');
  await claimed(2, { space, pid: gone });
  await uploaded('2026-11-20/datadump2.dump.zst');
  await put('2026-11-20/datadump2.manifest.json', {});
  await claimed(3, { space: 'elsewhere', pid: gone });
  await uploaded('2026-11-20/datadump3.dump.zst');
  await claimed(4, { space, pid: process.ppid });
  await uploaded('2026-11-20/datadump4.dump.zst');
  await using claim = await claimNumber(place, parseTemplate(DEFAULT_TEMPLATE), moment, signal);
  expect(claim.base).toBe('2026-11-20/datadump11');
  const keys = await Array.fromAsync(listKeys(store, 'shop/'));
  expect(
    keys.map((key) => key.replace(/^shop\/(_longshore\/backup\/)?(claims\/)?2026-11-20\/datadump/, '$2')),
  ).toEqual([
    '1.notes.txt',
    '10.dump.zst',
    '2.dump.zst',
    '2.manifest.json',
    '3.dump.zst',
    '4.dump.zst',
    'claims/11',
    'claims/3',
    'claims/4',
  ]);
});
