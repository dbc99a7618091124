/** What a tool left behind: objects still in the source, metadata that did not arrive, rows that name nothing. */

import { systemClock } from '../../src/flow/clock.ts';
import type { ObjectStore } from '../../src/stores/object-store.ts';
import { openStore } from '../../src/stores/open-store.ts';
import { FROM, keyOf, TO } from './fill.ts';

export interface Leftovers {
  readonly objects: number;
  /** `none`, or what is missing on how many of the objects looked at. */
  readonly metadata: string;
  readonly rows: string;
}

const LOOKED_AT = 50;

export async function lookAfterwards(
  env: Record<string, string>,
  objects: number,
  rowsUrl: string | undefined,
): Promise<Leftovers> {
  await using source = await openStore({ kind: 's3', ...FROM }, { env, clock: systemClock });
  await using target = await openStore({ kind: 's3', ...TO }, { env, clock: systemClock });
  const lost = new Map<string, number>();
  let seen = 0;
  for (let i = 0; i < LOOKED_AT; i++) {
    const n = Math.floor((i * objects) / LOOKED_AT);
    const head = await target.store.head(TO.prefix + keyOf(n).slice(FROM.prefix.length));
    if (head === undefined) continue;
    seen++;
    const { contentType, cacheControl, metadata } = head.attributes;
    if (contentType !== 'image/png') lost.set('content type', (lost.get('content type') ?? 0) + 1);
    if (cacheControl !== 'max-age=86400') lost.set('cache control', (lost.get('cache control') ?? 0) + 1);
    if (metadata['user'] !== String(n)) lost.set('user metadata', (lost.get('user metadata') ?? 0) + 1);
  }
  const metadata = lost.size === 0 ? 'none' : [...lost].map(([what, n]) => `${what} ${n}/${seen}`).join(', ');
  return {
    objects: await countObjects(source.store, FROM.prefix),
    metadata,
    rows: rowsUrl === undefined ? 'not touched' : await rowsText(rowsUrl),
  };
}

async function countObjects(store: ObjectStore, prefix: string): Promise<number> {
  let count = 0;
  for (let startAfter: string | undefined; ; ) {
    const page = await store.list({ prefix, startAfter });
    count += page.objects.length;
    if (!page.more) return count;
    startAfter = page.objects.at(-1)!.key;
  }
}

async function rowsText(rowsUrl: string): Promise<string> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: rowsUrl.split('#')[0]! });
  await client.connect();
  try {
    const { rows } = await client.query<{ n: string }>(
      "SELECT count(*) AS n FROM avatars WHERE path NOT LIKE 'avatar/%'",
    );
    return rows[0]!.n === '0' ? 'all rewritten' : `${rows[0]!.n} left`;
  } finally {
    await client.end();
  }
}
