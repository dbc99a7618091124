/** Backups of real databases into a bucket, and back. */

import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../../test/servers/fault-proxy.ts';
import { installedPgDump } from '../../../test/servers/pg-dump.ts';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { listKeys } from '../../stores/list-keys.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { staticCredentials } from '../../stores/s3/credentials.ts';
import { S3Wire } from '../../stores/s3/wire.ts';
import { elements } from '../../stores/s3/xml.ts';
import { readLastAttempt } from './last-attempt.ts';
import { readCatalogue } from './repository.ts';
import { type RestoreJobOptions, restoreBackup } from './restore.ts';
import { type BackupEnvironment, type BackupOptions, takeBackup } from './take-backup.ts';

const installed = (await installedPgDump()) !== undefined;

let server: PostgresServer;
let folder: string;
let proxy: FaultProxy;
let store: ObjectStore;
let wire: S3Wire;
let env: Record<string, string>;
const all = new AsyncDisposableStack();
beforeAll(async () => {
  server = all.use(await postgresServer());
  folder = mkdtempSync(join(tmpdir(), 'longshore-backup-test-'));
  all.defer(() => rmSync(folder, { recursive: true, force: true }));
  const s3 = all.use(await startS3Server({ buckets: [], minPartBytes: PART_BYTES }));
  proxy = all.use(await startFaultProxy(s3.url));
  store = all.use(testStore(s3, 'backups'));
  wire = all.use(
    new S3Wire({
      endpoint: new URL(s3.url),
      region: 'us-east-1',
      addressing: 'path',
      bucket: 'backups',
      credentials: staticCredentials(s3.accessKeyId, s3.secretAccessKey),
      clock: systemClock,
      connectionsMax: 2,
      timeoutMs: 5_000,
      requesterPays: false,
    }),
  );
  env = {
    AWS_ENDPOINT_URL: proxy.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
});
afterAll(() => all.disposeAsync());

let prefix: string;
let number = 0;
beforeEach(() => {
  prefix = `shop${++number}/`;
});

const PART_BYTES = 128 * 1024;

const SHOP = `
CREATE TABLE items (id bigserial PRIMARY KEY, name text NOT NULL);
INSERT INTO items (name) SELECT 'item ' || i FROM generate_series(1, 5000) i;
CREATE VIEW few AS SELECT * FROM items WHERE id < 10;
`;

async function shop(): Promise<string> {
  const { url, sql } = await server.createDatabase();
  await sql(SHOP);
  return url;
}
const backup = (database: string, more: Partial<BackupOptions> = {}, environment: BackupEnvironment = {}) =>
  takeBackup(
    { database, to: `s3://backups/${prefix}`, timeZone: 'UTC', log: join(folder, prefix), ...more },
    { env, ...environment },
  );
const SMALL_PARTS = { store: { limits: { streamPartBytes: PART_BYTES }, timeoutMs: 1_500 } };
const status = (code: number, name: string) => ({ kind: 'status', status: code, code: name }) as const;
/** Multipart uploads that are open. */
const uploads = async () => [
  ...elements((await wire.send({ method: 'GET', query: [['uploads', '']] })).body, 'Upload'),
];
const restore = (from: string, to: string, more: Partial<RestoreJobOptions> = {}) =>
  restoreBackup({ from: `s3://backups/${from}`, to, ...more }, { env });
const keys = async (): Promise<string[]> => {
  const found: string[] = [];
  for await (const key of listKeys(store, prefix)) found.push(key.slice(prefix.length));
  return found;
};
const logged = (): string[] =>
  readFileSync(join(folder, prefix, `${new Date().toISOString().slice(0, 10)}.log`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(',').slice(2).join(','));

describe.skipIf(!installed)('a backup', () => {
  test('lies beside its manifest and its roles, and comes back', async () => {
    const url = await shop();
    const { key, manifest } = await backup(url);
    const date = manifest.takenAt.slice(0, 10);
    expect(await keys()).toEqual([
      `${date}/datadump1.dump.zst`,
      `${date}/datadump1.globals.sql.zst`,
      `${date}/datadump1.manifest.json`,
      '_longshore/backup/last-attempt.json',
    ]);
    expect(key).toBe(`${date}/datadump1.dump.zst`);
    expect(logged()).toEqual(['database dump completed', 'file successfully uploaded']);
    expect(manifest.dump?.facts.tables).toMatchObject([{ schema: 'public', name: 'items', rows: 5000 }]);
    const identity = await generateIdentity();
    writeFileSync(join(folder, 'identity'), `# a comment\n${identity}\n`);
    const second = await backup(url, {
      format: 'plain',
      encryptTo: [await identityToRecipient(identity)],
      compression: 19,
    });
    expect(second.key).toBe(`${date}/datadump2.sql.zst.age`);
    expect((await readCatalogue({ store, prefix })).backups.map(({ missing }) => missing)).toEqual([[], []]);
    for (const from of [key, `${date}/datadump1.manifest.json`, `${date}/datadump1`]) {
      const copy = await server.createDatabase();
      expect(await restore(prefix + from, copy.url)).toMatchObject({ tables: 1, rows: 5000, compared: true });
      expect(await copy.sql('SELECT count(*)::int AS few FROM few')).toEqual([{ few: 9 }]);
    }
    const copy = await server.createDatabase();
    await expect(restore(prefix, copy.url)).rejects.toMatchObject({
      hint: expect.stringContaining('--identity'),
    });
    await restore(prefix, copy.url, { identity: join(folder, 'identity') });
    await expect(restore(prefix + key, copy.url)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/is not empty: there is table public.items/),
    });
  });

  test('comes into a new database, which gets the name, the owner and the settings of the old one', async () => {
    await backup(await shop());
    const { sql } = await server.createDatabase();
    // One whose name leaves no room, and two that pg_restore would read as a connection.
    for (const name of [`${'日本'.repeat(10)}語`, 'host=nowhere', 'postgres://nobody@nowhere/x']) {
      const owner = `owner ${randomUUID()}`;
      const quoted = `"${name}"`;
      await sql(`CREATE ROLE "${owner}"`);
      await sql(`CREATE DATABASE ${quoted} OWNER "${owner}"`);
      await sql(`REVOKE CONNECT ON DATABASE ${quoted} FROM PUBLIC`);
      await sql(`ALTER DATABASE ${quoted} SET search_path = "a b", public`);
      await sql(`ALTER DATABASE ${quoted} SET my.setting = 'it''s'`);
      await sql(`ALTER ROLE "${owner}" IN DATABASE ${quoted} SET work_mem = '9MB'`);
      const facts = () =>
        sql(`SELECT pg_get_userbyid(datdba) AS owner, datacl::text AS acl,
                    array(SELECT setrole::regrole || ' ' || setconfig::text FROM pg_db_role_setting
                          WHERE setdatabase = d.oid ORDER BY 1) AS settings
             FROM pg_database d WHERE datname = '${name}'`);
      const before = await facts();
      const to = new URL(server.url);
      to.pathname = `/${encodeURIComponent(name)}`;
      const { notices } = await restore(prefix, to.href, { intoNew: true });
      const kept = /what was there before is (.*_before_\d{14}): drop it/.exec(notices.join())?.[1];
      expect(await facts()).toEqual(before);
      for (const one of [name, kept]) await sql(`DROP DATABASE "${one}"`);
      await sql(`DROP ROLE "${owner}"`);
    }
  });

  test('of a folder is in that folder, and any folder knows where it lies', async () => {
    const to = `file://${join(folder, 'files', prefix)}`;
    const { key } = await backup(await shop(), { to, compression: 0 });
    expect(key).toMatch(/datadump1\.dump$/);
    const copy = await server.createDatabase();
    await restoreBackup({ from: to + key, to: copy.url }, { env });
  });

  test('meets a store that fails for a while', async () => {
    const { url, sql } = await server.createDatabase();
    await sql(
      `CREATE TABLE random AS SELECT md5(i::text || 'a') || md5(i::text || 'b') AS v FROM generate_series(1, 20000) i`,
    );
    const part = (n: number) => new RegExp(`partNumber=${n}\\b`);
    // As often as a store that is away for half a minute fails, and without the waits.
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.005);
    proxy.add({ path: part(3), times: 8, fault: { kind: 'status', status: 500, code: 'InternalError' } });
    // Longer than the store is waited for.
    const hung = proxy.add({ path: part(4), times: 1, fault: { kind: 'stall', ms: 3_000 } });
    proxy.add({ path: part(2), times: 1, fault: { kind: 'reset-request' } });
    const slow = { kind: 'status', status: 503, code: 'SlowDown' } as const;
    proxy.add({ operation: 'CreateMultipartUpload', times: 1, fault: slow });
    proxy.add({ operation: 'PutObject', path: /globals/, times: 1, fault: slow });
    const complete = 'CompleteMultipartUpload';
    proxy.add({ operation: complete, times: 1, fault: { kind: 'status', status: 503, code: 'SlowDown' } });
    const lost = proxy.add({ operation: complete, times: 1, fault: { kind: 'lost-answer' } });
    const alsoLost = [/claims/, /globals/, /manifest/].map((path) =>
      proxy.add({ operation: 'PutObject', path, times: 1, fault: { kind: 'lost-answer' } }),
    );
    const { key, manifest } = await backup(url, {}, SMALL_PARTS);
    expect(hung()).toBe(1);
    expect([lost, ...alsoLost].map((used) => used())).toEqual([1, 1, 1, 1]);
    expect(key).toMatch(/datadump1/);
    expect(await keys()).toHaveLength(4);
    expect(manifest.files[0]!.bytes).toBeGreaterThan(4 * PART_BYTES);
    random.mockRestore();
    proxy.clear();
    const copy = await server.createDatabase();
    expect(await restore(prefix + key, copy.url)).toMatchObject({ rows: 20_000 });
  });

  test.for([
    [
      '412 PreconditionFailed',
      { operation: 'CompleteMultipartUpload', fault: status(412, 'PreconditionFailed') },
    ],
    [
      '409 ConditionalRequestConflict',
      { operation: 'CompleteMultipartUpload', fault: status(409, 'ConditionalRequestConflict') },
    ],
    ['403 AccessDenied', { path: /partNumber=2/, fault: status(403, 'AccessDenied') }],
  ] as const)('that the store refuses leaves nothing, and says why: %s', async ([said, rule]) => {
    const { url, sql } = await server.createDatabase();
    await sql(
      `CREATE TABLE random AS SELECT md5(i::text || 'a') || md5(i::text || 'b') AS v FROM generate_series(1, 20000) i`,
    );
    await backup(await shop());
    proxy.add(rule);
    const error = await backup(url, {}, SMALL_PARTS).then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    proxy.clear();
    expect(error?.message).toMatch(
      said === '412 PreconditionFailed' ? /put there by somebody else/ : said.slice(4),
    );
    expect(logged().slice(2).at(-1)).toBe(error!.message);
    expect(await keys()).toHaveLength(4);
    expect(await uploads()).toEqual([]);
    expect(await readLastAttempt({ store, prefix })).toMatchObject({ ended: 'failed', what: error!.message });
    expect(await backup(url)).toMatchObject({ key: expect.stringMatching(/datadump2/) });
  });

  test('whose dump fails leaves nothing, and says why', async () => {
    const url = await shop();
    const path = join(folder, 'clients', 'pg_dump');
    mkdirSync(join(folder, 'clients'), { recursive: true });
    writeFileSync(
      path,
      `#!/bin/sh\n[ "$1" = --version ] && echo 'pg_dump (PostgreSQL) 99.1' && exit 0\nhead -c 3000000 /dev/urandom; echo 'a row cannot be read' >&2; exit 2\n`,
      { mode: 0o755 },
    );
    const failing = backup(url, { clientFolder: join(folder, 'clients'), format: 'plain' }, SMALL_PARTS);
    await expect(failing).rejects.toThrow(/pg_dump ended with code 2: a row cannot be read/);
    expect(await keys()).toEqual(['_longshore/backup/last-attempt.json']);
    expect(await uploads()).toEqual([]);
    expect(logged().at(-1)).toMatch(/pg_dump ended with code 2: a row cannot be read/);
  });

  test('at the same second as others has a number of its own', async () => {
    const url = await shop();
    const taken = await Promise.all(Array.from({ length: 6 }, () => backup(url)));
    const numbers = taken.map(({ key }) => Number(/datadump(\d+)/.exec(key)![1]));
    expect(numbers.sort()).toEqual([1, 2, 3, 4, 5, 6]);
    expect((await readCatalogue({ store, prefix })).backups).toHaveLength(6);
  });
});

describe.skipIf(!installed)('a restore', () => {
  test('tells what was changed, cut or lost since', async () => {
    const url = await shop();
    const { key } = await backup(url);
    const at = prefix + key;
    const dump = execFileSync('head', ['-c', '20000', '/dev/zero']);
    const object = (await store.head(at))!;
    await store.put({
      key: at,
      body: dump,
      sizeBytes: dump.length,
      attributes: { metadata: {} },
      ifAbsent: false,
    });
    const copy = await server.createDatabase();
    await expect(restore(at, copy.url)).rejects.toThrow();
    expect(object.sizeBytes).not.toBe(20_000);
    await expect(restore(prefix, copy.url)).rejects.toMatchObject({
      message: expect.stringMatching(/is not whole/),
    });
    expect(await readLastAttempt({ store, prefix })).toMatchObject({ ended: 'done' });
  });
});
