/** Numbers of backups in a bucket that has many already. */

import { expect, test } from 'vitest';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
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
