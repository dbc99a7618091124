/** Looks at bucket and table from outside and says what does not hold. */

import type { World } from './world.ts';

/** A row that names an object that does not exist, now. Promise 1. */
export async function danglingRows(world: World): Promise<string[]> {
  const { rows } = await world.pool.query<{ path: string }>('SELECT path FROM avatars ORDER BY id');
  const [legacy, production] = await Promise.all([
    allKeys(world.legacy, 'image/'),
    allKeys(world.production, 'avatar/'),
  ]);
  const dangling: string[] = [];
  for (const { path } of rows) {
    const there = path.startsWith('image/') ? legacy.has(path) : production.has(path);
    if (!there && !(await existsNow(world, path))) dangling.push(path);
  }
  return dangling;
}

/** A row may have moved on between the two looks; only what is missing at one moment counts. */
async function existsNow(world: World, path: string): Promise<boolean> {
  const store = path.startsWith('image/') ? world.legacy : world.production;
  if ((await store.head(path)) !== undefined) return true;
  const { rows } = await world.pool.query('SELECT 1 FROM avatars WHERE path = $1', [path]);
  return rows.length === 0;
}

/** Keys and ETags of everything under a prefix. */
export async function allKeys(store: World['legacy'], prefix: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  let startAfter: string | undefined;
  for (;;) {
    const page = await store.list({ prefix, startAfter });
    for (const object of page.objects) found.set(object.key, object.etag);
    if (!page.more) return found;
    startAfter = page.objects.at(-1)!.key;
  }
}
