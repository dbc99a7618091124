import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createWorld, FROM, TO, type World } from '../../../test/e2e/world.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { planMove } from './plan.ts';

const put = (store: ObjectStore, key: string, text = 'x') =>
  store.put({
    key,
    body: Buffer.from(text),
    sizeBytes: Buffer.byteLength(text),
    attributes: { metadata: {} },
    ifAbsent: false,
  });

const keysOf = async (store: ObjectStore) =>
  (await store.list({ prefix: '' })).objects.map(({ key, etag }) => key + etag);

describe('planMove', () => {
  let world: World;
  beforeAll(async () => {
    world = await createWorld(60);
    await put(world.legacy, 'image/orphan.png');
    await put(world.legacy, 'image/skip/this.png');
    // Already there and identical, and there with other content.
    await put(world.legacy, 'image/same.png', 'same');
    await put(world.production, 'avatar/same.png', 'same');
    await put(world.legacy, 'image/differs.png', 'mine');
    await put(world.production, 'avatar/differs.png', 'theirs');
    await world.pool.query(
      "INSERT INTO avatars (path) VALUES ('image/same.png'), ('image/differs.png'), ('image/gone.png'), ('https://elsewhere.example/image/x.png')",
    );
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const plan = (more: object = {}) =>
    planMove(
      { from: FROM, to: TO, rows: world.rows, exclude: ['image/skip/**'], ...more },
      { env: world.env },
    );

  test('counts objects, rows and what is missing, finds collisions, and changes nothing', async () => {
    const before = [await keysOf(world.legacy), await keysOf(world.production)];
    const rowsBefore = await world.pool.query('SELECT * FROM avatars ORDER BY id');
    const result = await plan();
    expect(result.driver.by).toBe('listing');
    expect(result.objects).toMatchObject({
      count: 32,
      toCopy: 30,
      already: 2,
      excluded: 1,
      orphans: 1,
      archived: 0,
    });
    expect(result.columns).toEqual([
      { name: 'public.avatars.path', indexed: true, rowsEstimate: expect.any(Number), rows: 33 },
    ]);
    expect(result.missing.count).toBe(1);
    expect(result.missing.listed).toEqual([
      { column: 'public.avatars.path', row: [expect.any(String)], key: 'image/gone.png' },
    ]);
    expect(result.collisions).toEqual({
      count: 1,
      listed: [{ sourceKey: 'image/differs.png', targetKey: 'avatar/differs.png', why: 'target-differs' }],
    });
    expect(result.proofs).toEqual({ etag: 32, etagInSameParts: 0, checksumOrBytes: 0 });
    expect(result.requests.find(({ kind }) => kind === 'COPY')).toMatchObject({ count: 30 });
    expect(result.time.floorSeconds).toBeCloseTo((30 + 32) / 3500);
    expect(result.time.likelySeconds).toBeGreaterThan(0);
    expect(result.graceSeconds).toBe(600);
    expect(result.findings[0]).toMatchObject({ level: 'error', code: 'TARGET_COLLISION' });
    expect(Object.isFrozen(result.objects)).toBe(true);
    expect(JSON.parse(JSON.stringify(result)).objects.count).toBe(32);
    expect([await keysOf(world.legacy), await keysOf(world.production)]).toEqual(before);
    expect((await world.pool.query('SELECT * FROM avatars ORDER BY id')).rows).toEqual(rowsBefore.rows);
  });

  test('counts the same when driven by rows, without listing the source', async () => {
    const result = await plan({ by: 'rows' });
    expect(result.driver).toEqual({ by: 'rows', why: '--by rows' });
    expect(result.objects).toMatchObject({ count: 32, toCopy: 30, already: 2, orphans: undefined });
    expect(result.missing.count).toBe(1);
    expect(result.collisions.count).toBe(1);
  });

  test('orphans count when they are moved, and without rows everything is', async () => {
    expect((await plan({ orphans: 'move' })).objects).toMatchObject({ count: 33, toCopy: 31, orphans: 1 });
    const alone = await plan({ rows: [] });
    expect(alone.objects).toMatchObject({ count: 33, orphans: undefined });
    expect(alone.driver.why).toBe('no column is given');
  });

  test('rules that map two keys to one are found', async () => {
    const result = await plan({
      rules: [{ pattern: 'image/(?:orphan|same)(.*)', replacement: 'avatar/one$1' }],
    });
    expect(result.collisions.listed).toEqual([
      {
        sourceKey: 'image/same.png',
        targetKey: 'avatar/one.png',
        why: 'two-sources',
        otherSourceKey: 'image/orphan.png',
      },
    ]);
  });

  test('an unindexed column is said, and new values that do not fit', async () => {
    await world.pool.query('CREATE TABLE short (id int PRIMARY KEY, path varchar(14))');
    await world.pool.query("INSERT INTO short VALUES (1, 'image/same.png'), (2, 'image/z.png')");
    const rows = world.rows.replace('#avatars.path', '#short.path');
    const result = await plan({ rows });
    expect(result.driver.by).toBe('rows');
    expect(result.driver.why).toContain('public.short.path');
    expect(result.objects.orphans).toBe(32);
    const texts = result.findings.map(({ level, what }) => `${level} ${what}`);
    expect(texts).toContainEqual(
      expect.stringMatching(/^error 1 of 2 new values are longer than the 14 characters/),
    );
    expect(texts).toContainEqual(expect.stringMatching(/^info public.short.path has no index/));
  });
});
