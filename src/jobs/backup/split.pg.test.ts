/** Databases backed up in parts while they change, brought back, and held against the snapshot; and what is not whole. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installedPgDump } from '../../../test/servers/pg-dump.ts';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { testStore } from '../../../test/servers/s3-store.ts';
import { loadPagila, pagilaAvailable } from '../../../test/worlds/pagila.ts';
import { TORTURE_DATABASE } from '../../../test/worlds/torture-database.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import type { DumpFacts } from '../../databases/dump.ts';
import { readDumpTables } from '../../databases/postgres/dump-catalogue.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import { preparePostgresDump } from '../../databases/postgres/prepare-dump.ts';
import { beginUnderSnapshot } from '../../databases/postgres/replication-setup.ts';
import { openPostgresTarget } from '../../databases/postgres/restore-target.ts';
import { type PreparedSplitDump, prepareSplitDump } from '../../databases/postgres/split-dump.ts';
import { partQuery } from '../../databases/postgres/split-parts.ts';
import { readTableFacts } from '../../databases/postgres/table-digests.ts';
import { type S3Server, startS3Server } from '../../embedded/s3/server.ts';
import { listKeys } from '../../stores/list-keys.ts';
import type { BackupManifest } from './manifest.ts';
import { type BackupPlace, readObject } from './repository.ts';
import { type UploadedSplit, uploadSplit } from './split-backup.ts';
import { decodeSplitIndex, encodeSplitIndex, type SplitIndex } from './split-index.ts';
import { type OpenBackupFile, restoreSplit } from './split-restore.ts';

const pgDump = await installedPgDump();

const signal = new AbortController().signal;
const ZSTD = { zstdLevel: 1 };
const JOBS = 3;
const BASE = '2026-11-20/datadump2';
const connection = (url: string) => parseDatabaseUrl(url).connection;

let server: PostgresServer;
let s3: S3Server;
let place: BackupPlace;
beforeAll(async () => {
  server = await postgresServer();
  s3 = await startS3Server({ buckets: ['backups'] });
  place = { store: testStore(s3, 'backups'), prefix: 'shop/' };
});
afterAll(async () => {
  await place.store[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const SMALL_PARTS = { jobs: JOBS, partBytesMin: 64 * 1024, partBytesMax: 512 * 1024 };
const BIG = `
CREATE TABLE big (id int PRIMARY KEY, v text, n int);
INSERT INTO big SELECT i, repeat('v' || i, 10), i % 100 FROM generate_series(1, 40000) i;
CREATE INDEX ON big (n); CREATE UNIQUE INDEX ON big (v, id); COMMENT ON INDEX big_n_idx IS 'of numbers';
CREATE TABLE toasted (id int REFERENCES big, t text);
ALTER TABLE toasted ALTER t SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat('t', 100000) FROM generate_series(1, 40) i;
INSERT INTO toasted (id) SELECT i FROM generate_series(1, 2000) i;
CREATE TABLE pointing (big int REFERENCES big, parted int, PRIMARY KEY (big));
INSERT INTO pointing SELECT i, i % 200 FROM generate_series(1, 500) i;
ALTER TABLE big CLUSTER ON big_pkey;
`;

async function uploaded(
  dump: PreparedSplitDump,
): Promise<{ split: UploadedSplit; manifest: BackupManifest }> {
  const split = await uploadSplit(dump, place, BASE, ZSTD, JOBS, signal);
  return { split, manifest: manifestOf(split) };
}

function manifestOf({ key, files, facts, plainBytes }: UploadedSplit): BackupManifest {
  return {
    version: 1,
    takenAt: '2026-11-20T03:00:00Z',
    timeZone: 'UTC',
    key,
    format: 'split',
    compression: 'zstd',
    encryption: 'none',
    files,
    durationMs: 1,
    dump: {
      engine: 'postgres',
      product: 'PostgreSQL',
      serverVersion: '15',
      client: 'pg_dump 15',
      source: 'postgres://localhost/x',
      database: 'x',
      bytes: plainBytes,
      accounts: [],
      extensions: [],
      notices: [],
      facts,
    },
  };
}

/** As a restore does it: plain bytes, which fail at their end where the object is another one. */
const open: OpenBackupFile = async ({ key, sha256 }) => {
  const read = async function* (): AsyncGenerator<Buffer> {
    const object = await readObject(place, key);
    if (object === undefined) throw new Error(`${key} is not there`);
    const plain = zstdDecompressSync(object.body);
    for (let at = 0; at < plain.length; at += 100_000) yield plain.subarray(at, at + 100_000);
    if (createHash('sha256').update(object.body).digest('hex') !== sha256)
      throw new Error(`${key} is not what was put there`);
  };
  return Readable.from(read(), { objectMode: false });
};

async function restored(manifest: BackupManifest, from: OpenBackupFile = open): Promise<DumpFacts> {
  const { url } = await server.createDatabase();
  await restoreSplit({ connection: connection(url), options: {} }, manifest, from, JOBS, signal);
  return factsOf(url);
}

async function factsOf(url: string): Promise<DumpFacts> {
  await using target = await openPostgresTarget(connection(url), {});
  return await target.facts({} as DumpFacts, signal);
}

async function ownersOf(url: string): Promise<string> {
  await using target = await openPostgresTarget(connection(url), {});
  const query = `SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class`;
  return (await target.ask(query, signal)) ?? '';
}

async function keys(): Promise<string[]> {
  return Array.fromAsync(listKeys(place.store, ''));
}

async function emptied(): Promise<void> {
  for (const key of await keys()) await place.store.delete([{ key }]);
}

describe.skipIf(pgDump === undefined)('a backup in parts', () => {
  test('has what every other form has, and brings it back', async () => {
    await emptied();
    const source = await server.createDatabase();
    await source.sql(TORTURE_DATABASE + BIG);
    await source.sql('CREATE ROLE split_owner; ALTER TABLE child OWNER TO split_owner');
    await using dump = await prepareSplitDump(connection(source.url), SMALL_PARTS);
    const { split, manifest } = await uploaded(dump);
    const parts = (name: string) => dump.parts.filter(({ table }) => table.name === name);
    expect(parts('big').length).toBeGreaterThanOrEqual(6);
    // What is stored apart counts: its heap alone would be one part.
    expect(parts('toasted').length).toBeGreaterThanOrEqual(4);
    expect(parts('child')).toHaveLength(1);
    await using custom = await preparePostgresDump(connection(source.url), {});
    await buffer(custom.stream(signal));
    expect(split.facts).toEqual(custom.facts());
    expect(split.files.map(({ key }) => `shop/${key}`).sort()).toEqual((await keys()).sort());
    expect(split.key).toBe(`${BASE}/split.json.zst`);
    expect(await restored(manifest)).toEqual(split.facts);
    const { url } = await server.createDatabase();
    const target = { connection: connection(url), options: { noOwner: true } };
    await restoreSplit(target, manifest, open, 1, signal);
    expect((await factsOf(url)).tables).toEqual(split.facts.tables);
    expect(await ownersOf(source.url)).toContain('split_owner');
    expect(await ownersOf(url)).not.toContain('split_owner');
    for (const part of parts('big').slice(0, 3)) {
      const text = partQuery(part).replace(/^COPY \(|\) TO STDOUT$/g, '');
      const [plan] = await source.sql(`EXPLAIN ${text}`);
      expect(plan!['QUERY PLAN']).toMatch(/Tid Range Scan on big/);
    }
  });

  test('is of one instant while rows come and go', async () => {
    await emptied();
    const source = await server.createDatabase();
    await source.sql(BIG);
    const stop = new AbortController();
    let rounds = 0;
    const writing = (async () => {
      await using session = await source.session();
      for (let i = 0; !stop.signal.aborted; i++, rounds++) {
        const at = (i * 977) % 40_000;
        await session.sql(`UPDATE big SET n = n + 1, v = v || 'x' WHERE id BETWEEN ${at} AND ${at + 500};
          DELETE FROM big WHERE id IN (SELECT id FROM big WHERE id > 2000 ORDER BY id DESC LIMIT 20);
          INSERT INTO big SELECT 100000 + ${i} * 50 + j, 'new', j FROM generate_series(1, 50) j`);
      }
    })();
    await using dump = await prepareSplitDump(connection(source.url), SMALL_PARTS);
    const before = rounds;
    await using reader = await openSession(connection(source.url), {
      doing: { action: 'read', database: '', user: '' },
    });
    await beginUnderSnapshot(reader.client, dump.snapshot);
    const { split, manifest } = await uploaded(dump);
    const { client } = reader;
    const seen = await readTableFacts([client], await readDumpTables(client), signal);
    stop.abort();
    await writing;
    expect(rounds).toBeGreaterThan(before);
    expect(split.facts.tables).toEqual(seen);
    expect((await factsOf(source.url)).tables).not.toEqual(seen);
    expect(await restored(manifest)).toEqual(split.facts);
  });

  test('that is not whole is an error', async () => {
    await emptied();
    const source = await server.createDatabase();
    await source.sql(BIG);
    await using dump = await prepareSplitDump(connection(source.url), SMALL_PARTS);
    const { split, manifest } = await uploaded(dump);
    const index = decodeSplitIndex(
      zstdDecompressSync((await readObject(place, split.key))!.body).toString(),
      split.key,
    );
    const bigParts = index.parts.filter(({ name }) => name === 'big');
    const [one, other] = bigParts.map(({ key }) => key) as [string, string];
    const bodyOf = async (key: string) => (await readObject(place, key))!.body;
    const put = async (key: string, body: Buffer) => {
      await place.store.put({
        key: place.prefix + key,
        body,
        sizeBytes: body.byteLength,
        attributes: { metadata: {} },
        ifAbsent: false,
      });
    };
    const [first, second] = [await bodyOf(one), await bodyOf(other)];
    const remade = async (changed: SplitIndex): Promise<BackupManifest> => {
      const body = zstdCompressSync(encodeSplitIndex(changed));
      await put(split.key, body);
      const sha256 = createHash('sha256').update(body).digest('hex');
      const files = manifest.files.map((file) =>
        file.key === split.key ? { ...file, sha256, bytes: body.byteLength } : file,
      );
      return { ...manifest, files };
    };
    // Swapped.
    await put(one, second);
    await put(other, first);
    await expect(restored(manifest)).rejects.toThrow(/is not what was put there|rows of/);
    await put(other, second);
    // Twice the same.
    await expect(restored(manifest)).rejects.toThrow();
    // Cut, so that it can still be decompressed.
    await put(one, zstdCompressSync(zstdDecompressSync(first).subarray(0, -500)));
    await expect(restored(manifest)).rejects.toThrow();
    const lines = zstdDecompressSync(first);
    const shorter = zstdCompressSync(lines.subarray(0, lines.lastIndexOf(0x0a, -2) + 1));
    await put(one, shorter);
    await expect(restored(manifest)).rejects.toThrow(/is not what was put there/);
    // Also where its hash says nothing.
    const believed = manifest.files.map((file) =>
      file.key === one ? { ...file, sha256: createHash('sha256').update(shorter).digest('hex') } : file,
    );
    await expect(restored({ ...manifest, files: believed })).rejects.toThrow(
      /rows of \d+ that it should have/,
    );
    // Gone.
    await place.store.delete([{ key: place.prefix + one }]);
    await expect(restored(manifest)).rejects.toThrow(/is not there/);
    await put(one, first);
    const without = manifest.files.filter(({ key }) => key !== one);
    await expect(restored({ ...manifest, files: without })).rejects.toThrow(/is not among its files/);
    // Not named.
    const partless = await remade({ ...index, parts: index.parts.filter(({ key }) => key !== one) });
    await expect(restored(partless)).rejects.toThrow(/its parts do not have the 40000 rows/);
    expect(await restored(await remade(index))).toEqual(split.facts);
  });

  test('that fails leaves nothing, and what another one left is taken away', async () => {
    await emptied();
    const source = await server.createDatabase();
    await source.sql(BIG);
    for (const key of [/4\.copy/, /post-data/, /split\.json/]) {
      await using dump = await prepareSplitDump(connection(source.url), SMALL_PARTS);
      s3.faults.add({ match: { method: 'PUT', key }, fault: { kind: 'denied' }, times: 1 });
      await expect(uploadSplit(dump, place, BASE, ZSTD, JOBS, signal)).rejects.toMatchObject({
        code: 'STORE_DENIED',
      });
      expect(await keys()).toEqual([]);
    }
    // The answer is lost: the object is there.
    await using lost = await prepareSplitDump(connection(source.url), SMALL_PARTS);
    s3.faults.add({ match: { method: 'PUT', key: /6\.copy/ }, fault: { kind: 'reset-after' }, times: 1 });
    const { files } = await uploadSplit(lost, place, BASE, ZSTD, JOBS, signal);
    expect((await keys()).length).toBe(files.length);
    await emptied();
    // The database goes away.
    await using cut = await prepareSplitDump(connection(source.url), SMALL_PARTS);
    const uploading = uploadSplit(cut, place, BASE, ZSTD, JOBS, signal);
    const caught = expect(uploading).rejects.toMatchObject({ code: expect.stringMatching(/^DATABASE_/) });
    await source.sql(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    await caught;
    expect(await keys()).toEqual([]);
    // Stopped.
    await using stopped = await prepareSplitDump(connection(source.url), SMALL_PARTS);
    const stop = new AbortController();
    const begun = uploadSplit(stopped, place, BASE, ZSTD, JOBS, stop.signal);
    stop.abort(new Error('stopped by hand'));
    await expect(begun).rejects.toThrow('stopped by hand');
    expect(await keys()).toEqual([]);
    const left = `shop/${BASE}/99.copy.zst`;
    for (const key of [left, `shop/${BASE}/notes.txt`])
      await place.store.put({
        key,
        body: Buffer.from('x'),
        sizeBytes: 1,
        attributes: { metadata: {} },
        ifAbsent: true,
      });
    await using dump = await prepareSplitDump(connection(source.url), SMALL_PARTS);
    const { split } = await uploaded(dump);
    expect((await keys()).filter((key) => key === left || key.endsWith('.txt'))).toEqual([
      `shop/${BASE}/notes.txt`,
    ]);
    expect(await restored(manifestOf(split))).toEqual(split.facts);
  });

  test('does not pass over rows that it cannot hold', async () => {
    const source = await server.createDatabase();
    await source.sql(`CREATE EXTENSION pg_trgm; CREATE TABLE settings (id int); ALTER EXTENSION pg_trgm ADD TABLE settings;
      UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = ARRAY['WHERE id > 5'] WHERE extname = 'pg_trgm';
      INSERT INTO settings VALUES (1)`);
    await using dump = await prepareSplitDump(connection(source.url), {});
    expect(dump.parts).toEqual([]);
    await source.sql('INSERT INTO settings VALUES (6)');
    await expect(prepareSplitDump(connection(source.url), {})).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/pg_trgm public\.settings/),
    });
  });

  test.skipIf(!pagilaAvailable())('of pagila is pagila', async () => {
    await emptied();
    const source = await server.createDatabase();
    await loadPagila(source.url);
    await using dump = await prepareSplitDump(connection(source.url), SMALL_PARTS);
    const { split, manifest } = await uploaded(dump);
    expect(await restored(manifest)).toEqual(split.facts);
  });
});
