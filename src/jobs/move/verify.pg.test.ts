import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createWorld, FROM, TO, type World } from '../../../test/e2e/world.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { move } from './run.ts';
import type { MoveOptions } from './settings.ts';
import { moveStatus } from './status.ts';
import { verifyMove } from './verify.ts';

const put = (store: ObjectStore, key: string, text = 'x') =>
  store.put({
    key,
    body: Buffer.from(text),
    sizeBytes: Buffer.byteLength(text),
    attributes: { metadata: {} },
    ifAbsent: false,
  });

describe('verifyMove', () => {
  let world: World;
  let stateFolder: string;
  beforeAll(async () => {
    world = await createWorld(40);
  });
  afterAll(() => world[Symbol.asyncDispose]());
  beforeEach(() => {
    stateFolder = mkdtempSync(join(tmpdir(), 'longshore-verify-'));
    return () => rmSync(stateFolder, { recursive: true, force: true });
  });

  const options = (more: Partial<MoveOptions> = {}): MoveOptions => ({
    from: FROM,
    to: TO,
    rows: world.rows,
    delete: 'proven',
    ...more,
  });
  const run = (more?: Partial<MoveOptions>) => move(options(more), { env: world.env, stateFolder });
  const verify = (more?: Partial<MoveOptions>) => verifyMove(options(more), { env: world.env, stateFolder });

  test('before, during and after a move everything holds', async () => {
    await put(world.legacy, 'image/c%20d.png');
    await put(world.legacy, 'image/e f.png');
    await world.pool.query("INSERT INTO avatars (path) VALUES ('image/c%20d.png'), ('/image/e%20f.png')");
    const before = await verify();
    expect(before).toMatchObject({ rowsRead: 42, referencesChecked: 42, violationsCount: 0, run: undefined });
    const moving = run();
    const during = await verify();
    expect(during.violations).toEqual([]);
    const summary = await moving;
    const after = await verify();
    expect(after.violations).toEqual([]);
    expect(after).toMatchObject({
      deletionsChecked: 22,
      overwrittenSince: 0,
      goneSince: 0,
      run: summary.run,
    });
  });

  test('a row that names nothing is found with its key, also in a table without one', async () => {
    await world.pool.query('CREATE TABLE keyless (path text)');
    await world.pool.query(
      "INSERT INTO keyless VALUES ('avatar/nowhere.png'), ('https://other.example/avatar/x.png')",
    );
    const { rows } = await world.pool.query<{ id: string }>(
      "INSERT INTO avatars (path) VALUES ('image/nothing.png'), ('avatar/nothing.png') RETURNING id",
    );
    const result = await verify({ rows: [world.rows, world.rows.replace('avatars', 'keyless')] });
    expect(result.violationsCount).toBe(3);
    const byKey = [...result.violations].sort((a, b) => (a.key < b.key ? 1 : -1));
    expect(byKey).toEqual([
      {
        promise: 1,
        what: 'names s3://legacy-s3/image/nothing.png, which does not exist',
        key: 'image/nothing.png',
        column: 'public.avatars.path',
        row: [rows[0]!.id],
      },
      expect.objectContaining({
        promise: 1,
        key: 'avatar/nowhere.png',
        column: 'public.keyless.path',
        row: [],
      }),
      expect.objectContaining({ promise: 1, key: 'avatar/nothing.png', row: [rows[1]!.id] }),
    ]);
    await world.pool.query("DELETE FROM avatars WHERE path LIKE '%nothing.png'; DROP TABLE keyless");
  });

  test('what was deleted and is gone from the target breaks the second promise, what was overwritten does not', async () => {
    for (const n of [1, 2, 3, 4]) await put(world.legacy, `image/more/${n}.png`, `text ${n}`);
    const bucketOnly = { from: `${FROM}more/`, to: `${TO}more/`, rows: [] };
    await run(bucketOnly);
    expect(await verify(bucketOnly)).toMatchObject({ deletionsChecked: 4, violationsCount: 0 });
    await world.production.delete([{ key: 'avatar/more/2.png' }]);
    await put(world.production, 'avatar/more/3.png', 'newer');
    const result = await verify(bucketOnly);
    expect(result).toMatchObject({ deletionsChecked: 4, overwrittenSince: 1, goneSince: 0 });
    expect(result.violations).toEqual([
      {
        promise: 2,
        what: 'was deleted from the source and is not on the target as avatar/more/2.png',
        key: 'image/more/2.png',
      },
    ]);
    // With columns, of which no row names it, the application may have taken it away.
    const run2 = moveStatus(stateFolder)[0]!.run;
    const withRows = await verifyMove(options({ ...bucketOnly, rows: world.rows }), {
      env: world.env,
      stateFolder,
      run: run2,
    });
    expect(withRows).toMatchObject({ goneSince: 1, violationsCount: 0 });
  });

  test('what stays in the source is compared with its copy, each object once', async () => {
    for (const n of [1, 2, 3]) await put(world.legacy, `image/kept/${n}.png`, `text ${n}`);
    const kept: MoveOptions = { from: `${FROM}kept/`, to: `${TO}kept/`, rows: [], delete: 'never' };
    await run(kept);
    expect(await verify(kept)).toMatchObject({ movedChecked: 3, deletionsChecked: 0, violationsCount: 0 });
    await put(world.legacy, 'image/kept/1.png', 'changed since');
    await world.production.delete([{ key: 'avatar/kept/2.png' }]);
    const result = await verify(kept);
    expect(result).toMatchObject({ movedChecked: 3, overwrittenSince: 1 });
    expect(result.violations).toEqual([
      {
        promise: 2,
        what: 'counts as moved and is not on the target as avatar/kept/2.png',
        key: 'image/kept/2.png',
      },
    ]);
  });
});
