/** A service at work during a move: a reader that resolves rows, a writer that changes rows and objects. */

import type { World } from './world.ts';

export interface Traffic {
  /** Stops and tells what was seen and done. */
  stop(): Promise<{
    reads: number;
    missing: string[];
    writes: number;
    contents: ReadonlyMap<number, string>;
  }>;
}

/**
 * @param random seeded, so that a failure can be played again
 */
export function startTraffic(world: World, random: () => number): Traffic {
  let stopping = false;
  let reads = 0;
  let writes = 0;
  const missing: string[] = [];
  const contents = new Map<number, string>();

  const reader = async (): Promise<void> => {
    while (!stopping) {
      const { rows } = await world.pool.query<{ id: string; path: string }>(
        'SELECT id, path FROM avatars ORDER BY random() LIMIT 5',
      );
      for (const { path } of rows) {
        const store = path.startsWith('image/') ? world.legacy : world.production;
        if ((await store.head(path)) === undefined && (await stillNamed(world, path))) missing.push(path);
        reads++;
      }
    }
  };

  const writer = async (): Promise<void> => {
    for (let n = 0; !stopping; n++) {
      const dice = random();
      const text = `content ${n} ${random()}`;
      if (dice < 0.4) {
        // A new avatar from a part of the service that still writes to the old place: object first, then the row.
        const path = `image/new-${n}.png`;
        await put(world.legacy, path, text);
        const { rows } = await world.pool.query<{ id: string }>(
          'INSERT INTO avatars (path) VALUES ($1) RETURNING id',
          [path],
        );
        contents.set(Number(rows[0]!.id), text);
      } else if (dice < 0.6) {
        // A user uploads another picture: the new object first, then the row names it.
        const path = `avatar/changed-${n}.png`;
        await put(world.production, path, text);
        const { rows } = await world.pool.query<{ id: string }>(
          'UPDATE avatars SET path = $1 WHERE id = (SELECT id FROM avatars ORDER BY random() LIMIT 1) RETURNING id',
          [path],
        );
        if (rows[0] !== undefined) contents.set(Number(rows[0].id), text);
      } else if (dice < 0.75) {
        const { rows } = await world.pool.query<{ id: string }>(
          'DELETE FROM avatars WHERE id = (SELECT id FROM avatars ORDER BY random() LIMIT 1) RETURNING id',
        );
        if (rows[0] !== undefined) contents.delete(Number(rows[0].id));
      }
      writes++;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  const lanes = Promise.all([reader(), reader(), writer()]);
  return {
    async stop() {
      stopping = true;
      await lanes;
      return { reads, missing, writes, contents };
    },
  };
}

/** A row may have been deleted, with its object, between the two looks. */
async function stillNamed(world: World, path: string): Promise<boolean> {
  const { rows } = await world.pool.query('SELECT 1 FROM avatars WHERE path = $1', [path]);
  return rows.length > 0;
}

async function put(store: World['legacy'], key: string, text: string): Promise<void> {
  const body = Buffer.from(text);
  await store.put({
    key,
    body,
    sizeBytes: body.byteLength,
    attributes: { contentType: 'image/png', metadata: {} },
    ifAbsent: false,
  });
}

/** A small seeded generator (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
