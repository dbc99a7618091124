/** A drill says no to every backup that would not bring the database back, and yes to those that do. */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import zlib from 'node:zlib';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { installedPgDump } from '../../../test/servers/pg-dump.ts';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { FilesStore } from '../../stores/files/files-store.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { type DrillOptions, drillBackup } from './drill.ts';
import { readDrillRecord } from './drill-record.ts';
import { type BackupManifest, encodeManifest } from './manifest.ts';
import { readCatalogue } from './repository.ts';
import { type BackupOptions, takeBackup } from './take-backup.ts';

const installed = (await installedPgDump()) !== undefined;

let server: PostgresServer;
let folder: string;
let store: ObjectStore;
const all = new AsyncDisposableStack();
beforeAll(async () => {
  server = all.use(await postgresServer());
});
afterAll(() => all.disposeAsync());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-drill-test-'));
  store = new FilesStore(`${folder}/`);
  return () => rmSync(folder, { recursive: true, force: true });
});

const SHOP = `
CREATE TABLE items (id int PRIMARY KEY, name text);
INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 1000) i;
CREATE TABLE empty (id int);
`;
const backup = async (sql: string, more: Partial<BackupOptions> = {}): Promise<BackupManifest> => {
  const database = await server.createDatabase();
  await database.sql(sql);
  const options = {
    database: database.url,
    to: `file://${folder}/`,
    timeZone: 'UTC',
    log: join(folder, 'log'),
  };
  return (await takeBackup({ ...options, ...more })).manifest;
};
const drill = (more: Partial<DrillOptions> = {}) => drillBackup({ from: `file://${folder}/`, ...more });
const contentOf = async (key: string): Promise<Buffer> => buffer((await store.get({ key }))!.body);
const put = async (key: string, body: Buffer): Promise<void> => {
  await store.put({ key, body, sizeBytes: body.length, attributes: { metadata: {} }, ifAbsent: false });
};
const manifestKeyOf = (manifest: BackupManifest): string => manifest.key.replace(/\..*/, '.manifest.json');
/** Puts something else in the place of a dump, with a manifest that knows its hash. */
async function replaceDump(manifest: BackupManifest, body: Buffer): Promise<void> {
  await put(manifest.key, body);
  const sha256 = createHash('sha256').update(body).digest('hex');
  const files = manifest.files.map((file) =>
    file.key === manifest.key ? { ...file, bytes: body.length, sha256 } : file,
  );
  await put(manifestKeyOf(manifest), encodeManifest({ ...manifest, files }));
}

describe.skipIf(!installed)('a drill', () => {
  test('restores, compares, asks what is asserted, and notes how long it took', async () => {
    const manifest = await backup(SHOP);
    const assertions = ['SELECT count(*) = 1000 FROM items', "SELECT 'yes'"];
    expect(await drill({ assertions })).toMatchObject({ ok: true, tables: 2, rows: 1000, problems: [] });
    const record = await readDrillRecord({ store, prefix: '' }, manifestKeyOf(manifest));
    expect(record).toMatchObject({ ok: true, problems: [] });
    expect(record!.recoveryMs).toBeGreaterThan(0);
    const failing = await drill({ assertions: ['SELECT count(*) FROM empty', 'SELECT nonsense'] });
    expect(failing.problems).toEqual([
      'the assertion SELECT count(*) FROM empty answers 0',
      expect.stringMatching(/the assertion SELECT nonsense fails: .*nonsense/),
    ]);
    expect((await readCatalogue({ store, prefix: '' })).backups).toHaveLength(1);
    expect((await readDrillRecord({ store, prefix: '' }, manifestKeyOf(manifest)))!.ok).toBe(false);
  });

  test('fails on a dump that is cut, changed or another one', async () => {
    const manifest = await backup(SHOP);
    const whole = await contentOf(manifest.key);
    // Cut behind the bucket's back.
    await put(manifest.key, Buffer.concat([whole.subarray(0, whole.length - 9), Buffer.alloc(9)]));
    expect((await drill()).problems.join()).toMatch(/is not the file that was backed up|data/i);
    // Cut before it was stored: the archive itself ends early.
    const archive = zlib.zstdDecompressSync(whole);
    await replaceDump(manifest, zlib.zstdCompressSync(archive.subarray(0, archive.length - 100)));
    expect(await drill()).toMatchObject({
      ok: false,
      problems: ['the dump is not whole: it ends inside of a block of data'],
    });
    // Of an empty database, of one without a table, of one with another row.
    for (const [sql, said] of [
      ['SELECT 1', /table public.empty is missing; table public.items is missing/],
      [`${SHOP} DROP TABLE items`, /table public.items is missing/],
      [`${SHOP} UPDATE items SET name = 'other' WHERE id = 7`, /has 1000 rows, and they are not the same/],
    ] as const) {
      const other = await backup(sql);
      const body = await contentOf(other.key);
      await replaceDump(manifest, body);
      const drilled = await drill({ from: `file://${folder}/${manifest.key}` });
      expect(drilled.ok, sql).toBe(false);
      expect(drilled.problems.join('; ')).toMatch(said);
    }
  });

  test('fails where a role is missing, and brings those that the backup has', async () => {
    const role = `owner of ${Date.now()}`;
    const manifest = await backup(`CREATE ROLE "${role}"; ${SHOP} ALTER TABLE items OWNER TO "${role}"`);
    expect(manifest.dump!.accounts).toContain(role);
    expect(await drill()).toMatchObject({ ok: true });
    await put(manifestKeyOf(manifest), encodeManifest({ ...manifest, globals: undefined }));
    expect((await drill()).problems).toEqual([
      `the role ${role} is needed, and the backup does not bring it`,
    ]);
    const database = await server.createDatabase();
    await database.sql(`DROP ROLE IF EXISTS nobody_here`);
  });

  test('passes where there is nothing, and nothing was', async () => {
    await backup('SELECT 1');
    expect(await drill()).toMatchObject({ ok: true, tables: 0, rows: 0 });
    await backup('CREATE TABLE empty (id int)', { format: 'plain', compression: 0 });
    expect(await drill()).toMatchObject({ ok: true, tables: 1, rows: 0 });
  });

  test('that cannot be made says nothing of the backup', async () => {
    const identities = [await generateIdentity(), await generateIdentity()];
    const files = identities.map((identity, i) => {
      const path = join(folder, `identity${i}`);
      writeFileSync(path, identity);
      return path;
    });
    const manifest = await backup(SHOP, { encryptTo: [await identityToRecipient(identities[0]!)] });
    for (const more of [{}, { identity: files[1] }, { identity: files[0], jobs: 0 }, { jobs: Number.NaN }])
      await expect(drill(more)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await readDrillRecord({ store, prefix: '' }, manifestKeyOf(manifest))).toBeUndefined();
    expect(await drill({ identity: files[0] })).toMatchObject({ ok: true });
  });

  test('of the newest backup does not take an older one in its place', async () => {
    await backup(SHOP);
    const newest = await backup(SHOP);
    await store.delete([{ key: newest.key }]);
    await expect(drill()).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringContaining(newest.key),
    });
  });
});
