/** Fills the source bucket and the table for one tool's run. */

import { randomBytes } from 'node:crypto';
import { parseDatabaseUrl } from '../../src/config/database-url.ts';
import { openSeeder } from '../../src/databases/seed-rows.ts';
import { systemClock } from '../../src/flow/clock.ts';
import { mapConcurrent } from '../../src/flow/for-each-concurrent.ts';
import { openStore } from '../../src/stores/open-store.ts';

export const FROM = { bucket: 'legacy-s3', prefix: 'image/' };
export const TO = { bucket: 'production-s3', prefix: 'avatar/' };

const KEYS_AT_ONCE = 1000;

/** Objects of 1 to 64 KB with content type, cache control and user metadata; one key ends in a slash. */
export async function fillBuckets(
  env: Record<string, string>,
  objects: number,
  rowsUrl: string | undefined,
  directoryBytes: number,
): Promise<void> {
  await using opened = await openStore({ kind: 's3', ...FROM }, { env, clock: systemClock });
  const url = rowsUrl === undefined ? undefined : parseDatabaseUrl(rowsUrl, {});
  await using seeder = url === undefined ? undefined : await openSeeder(url, url.columns[0]!);
  await seeder?.createTable();
  const noise = randomBytes(128 * 1024);
  for (let first = 0; first < objects; first += KEYS_AT_ONCE) {
    const numbers = Array.from({ length: Math.min(KEYS_AT_ONCE, objects - first) }, (_, i) => first + i);
    const keys = await mapConcurrent(numbers, 32, async (n) => {
      const key = keyOf(n);
      const sizeBytes = n === 0 ? directoryBytes : 1000 + ((n * 7919) % 63_000);
      const offset = (n * 104_729) % (64 * 1024);
      await opened.store.put({
        key,
        sizeBytes,
        body: noise.subarray(offset, offset + sizeBytes),
        attributes: {
          contentType: 'image/png',
          cacheControl: 'max-age=86400',
          metadata: { user: String(n) },
        },
        ifAbsent: false,
      });
      return key;
    });
    await seeder?.insert(keys);
  }
  await seeder?.finish();
}

/** Object 0 is a "directory", which may hold bytes on S3 and may not on a file system. */
export function keyOf(n: number): string {
  return n === 0 ? `${FROM.prefix}folder/` : `${FROM.prefix}avatar-${n}.png`;
}
