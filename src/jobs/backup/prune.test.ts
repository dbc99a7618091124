/** Listing and pruning a bucket: what goes, what stays whatever a policy says, and what a kill in the middle leaves. */

import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { backupListText, pruneText } from '../../report/backup-text.ts';
import { listKeys } from '../../stores/list-keys.ts';
import type { DeleteOutcome, DeleteRequest, ObjectHead, ObjectStore } from '../../stores/object-store.ts';
import { staticCredentials } from '../../stores/s3/credentials.ts';
import { S3Wire } from '../../stores/s3/wire.ts';
import { StoreWrapper } from '../../stores/store-wrapper.ts';
import { putDrillRecord } from './drill-record.ts';
import { noteAttempt } from './last-attempt.ts';
import { listBackups } from './list.ts';
import { type BackupManifest, encodeManifest, manifestKey } from './manifest.ts';
import { prunePlace } from './prune.ts';
import { parseRetention } from './retention.ts';

let store: ObjectStore;
let env: Record<string, string>;
beforeEach(async () => {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startS3Server({ buckets: ['backups'] }));
  store = stack.use(testStore(server, 'backups'));
  env = {
    AWS_ENDPOINT_URL: server.url,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
  };
  return () => stack.disposeAsync();
});

const TO = 's3://backups/shop/';
const place = (of: ObjectStore = store) => ({ store: of, prefix: 'shop/' });
const put = async (key: string, body: Buffer) =>
  await store.put({ key, body, sizeBytes: body.byteLength, attributes: { metadata: {} }, ifAbsent: true });

/** A dump of two objects on that day, at three o'clock. */
async function backUp(date: string, more: Partial<BackupManifest> = {}, prefix = 'shop/'): Promise<string> {
  const base = `${date}/datadump1`;
  const contents = {
    [`${base}.dump.zst`]: Buffer.from(`dump of ${date}`),
    [`${base}.globals.sql`]: Buffer.from('roles'),
  };
  const files = Object.entries(contents).map(([key, body]) => ({
    key,
    bytes: body.byteLength,
    sha256: createHash('sha256').update(body).digest('hex'),
  }));
  const manifest: BackupManifest = {
    version: 1,
    takenAt: `${date}T03:00:00Z`,
    timeZone: 'UTC',
    key: files[0]!.key,
    ...{ format: 'custom', compression: 'zstd', encryption: 'none' },
    files,
    globals: files[1]!.key,
    durationMs: 1000,
    dump: {
      ...{ engine: 'postgres', product: 'PostgreSQL', serverVersion: '15.19', client: 'pg_dump 15.19' },
      ...{
        source: 'postgres://db/shop',
        database: 'shop',
        bytes: 100,
        accounts: [],
        extensions: [],
        notices: [],
      },
      facts: {
        tables: [
          { schema: 'public', name: 'a', rows: 1200, digest: '0' },
          { schema: 'public', name: 'b', rows: 34, digest: '0' },
        ],
        ...{ sequences: {}, objects: [], largeObjects: 0 },
      },
    },
    ...more,
  };
  for (const [key, body] of Object.entries(contents)) await put(prefix + key, body);
  await put(prefix + manifestKey(base), encodeManifest(manifest));
  return base;
}

async function keys(): Promise<string[]> {
  const all: string[] = [];
  for await (const key of listKeys(store, '')) if (!key.includes('_longshore/')) all.push(key);
  return all;
}
const ofBackup = (base: string, prefix = 'shop/') =>
  ['.dump.zst', '.globals.sql', '.manifest.json'].map((extension) => `${prefix}${base}${extension}`);
const prune = (policy: string, of: ObjectStore = store, plan = false) =>
  prunePlace(place(of), parseRetention(policy), { plan });
const ends = async (pruning: ReturnType<typeof prune>) =>
  (await pruning).backups.map(({ removed }) => removed?.end ?? 'stays');

/** What differs from the store below. */
class Changed extends StoreWrapper {
  beforeDelete: (key: string) => void = () => undefined;
  headOf: (head: ObjectHead) => ObjectHead = (head) => head;
  readonly deleted: string[] = [];
  protected override around<T>(_cost: unknown, _key: string, call: () => Promise<T>): Promise<T> {
    return call();
  }
  override async head(key: string): Promise<ObjectHead | undefined> {
    const head = await super.head(key);
    return head === undefined ? undefined : this.headOf(head);
  }
  override async delete(requests: readonly DeleteRequest[]): Promise<DeleteOutcome[]> {
    const outcomes: DeleteOutcome[] = [];
    for (const request of requests) {
      this.beforeDelete(request.key);
      outcomes.push(...(await super.delete([request])));
      this.deleted.push(request.key);
    }
    return outcomes;
  }
}

describe('the list', () => {
  test('of a bucket, by its URL alone', async () => {
    expect(backupListText(await listBackups(TO, { env }))).toBe(`there are no backups in ${TO}`);
    const first = await backUp('2026-11-19');
    const second = await backUp('2026-11-20', { timeZone: 'Europe/Berlin' });
    await putDrillRecord(place(), manifestKey(first), {
      ...{ at: '2026-11-20T08:00:00Z', ok: true, recoveryMs: 65_000, problems: [] },
    });
    await store.delete([{ key: `shop/${second}.globals.sql` }]);
    await put('shop/2026-11-20/other.manifest.json', Buffer.from('{"version": 2}'));
    await noteAttempt(place(), { at: '2026-11-21T03:00:00Z', ended: 'failed', what: 'no route to host' });
    const list = await listBackups(TO, { env });
    expect(list.backups).toMatchObject([
      {
        key: `${first}.dump.zst`,
        files: 2,
        missing: [],
        dump: { tables: 2, rows: 1234 },
        drill: { ok: true },
      },
      { key: `${second}.dump.zst`, missing: [`${second}.globals.sql`] },
    ]);
    expect(list.backups[1]!.drill).toBeUndefined();
    expect(list.unreadable).toEqual([expect.stringContaining('other.manifest.json is no manifest')]);
    expect(list.lastAttempt).toMatchObject({ ended: 'failed', what: 'no route to host' });
    const around = await listBackups(TO.replace(/[^/]*\/$/, ''), { env });
    expect(around).toMatchObject({ backups: [], elsewhere: [TO] });
    expect(backupListText(around)).toContain(`there are backups of another job in ${TO}`);
    const lines = backupListText(list).split('\n');
    expect(lines[1]).toMatch(
      /^2026-11-19\/datadump1\.dump\.zst {2}2026-11-19 03:00:00 UTC +PostgreSQL 15\.19 shop +2 +1,234 .* all there, restored in 1m 05s by the drill of 2026-11-20$/,
    );
    expect(lines[2]).toContain('2026-11-20 04:00:00 Europe/Berlin');
    expect(lines[2]).toContain('1 of 2 objects missing: 2026-11-20/datadump1.globals.sql');
    expect(lines.slice(3)).toEqual([
      expect.stringMatching(/^✗ .*other\.manifest\.json/),
      '✗ the newest attempt, of 2026-11-21T03:00:00Z, failed: no route to host',
    ]);
  });
});

describe('pruned', () => {
  test('what a policy does not keep, with its drill; a plan changes nothing, and a second time there is nothing to do', async () => {
    const [old, kept] = [await backUp('2026-11-18'), await backUp('2026-11-19')];
    const newest = await backUp('2026-11-20');
    await putDrillRecord(place(), manifestKey(old), {
      at: '2026-11-19T00:00:00Z',
      ok: true,
      recoveryMs: 1,
      problems: [],
    });
    const before = await keys();
    const planned = await prune('daily=2', store, true);
    expect(pruneText(planned)).toMatch(
      /goes\n.*stays: daily 2026-11-19\n.*stays: newest good one, daily 2026-11-20\n1 backup of 23 B would go, 2 would stay$/,
    );
    expect(await keys()).toEqual(before);
    const done = await prune('daily=2');
    expect(done.backups.map(({ removed }) => removed)).toEqual([
      { end: 'gone', objects: 4, bytes: expect.any(Number), markers: 0 },
      undefined,
      undefined,
    ]);
    expect(await keys()).toEqual([kept, newest].flatMap((base) => ofBackup(base)));
    expect(await ends(prune('daily=2'))).toEqual(['stays', 'stays']);
  });

  test('nothing that Longshore did not write, and nothing of another job', async () => {
    const old = await backUp('2026-11-19');
    const strays = [
      ...[
        'shop/2026-11-19/datadump1.dump.zst.bak',
        'shop/2026-11-19/datadump10.dump.zst',
        'shop/2026-11-19/datadump1.sql',
      ],
      ...[
        'shop/2026-11-19/datadump1',
        'shop/2026-11-19/datadump1/a',
        'backups/2026-11-19/datadump1.dump.zst',
      ],
    ];
    for (const key of strays) await put(key, Buffer.from('of somebody else'));
    const nested = await backUp('2026-11-01', {}, 'shop/eu/');
    const outside = await backUp('2026-11-01', {}, 'shop2/');
    await put(
      'shop/eu/2026-11-02/datadump1.manifest.json',
      Buffer.from('{"version": 9, "key": "2026-11-02/datadump1.x"}'),
    );
    await backUp('2026-11-20');
    await prune('last=1');
    const left = await keys();
    expect(left).toEqual(
      expect.arrayContaining([...strays, ...ofBackup(nested, 'shop/eu/'), ...ofBackup(outside, 'shop2/')]),
    );
    for (const key of ofBackup(old)) expect(left).not.toContain(key);
  });

  test.each([
    ['another folder', '../2026-11-20/datadump1.dump.zst'],
    ['a way out', '2026-11-19/datadump1/../datadump2.dump'],
    ['the bucket of another', '2026-11-20/datadump1.dump.zst'],
    ['a manifest', '2026-11-19/datadump1.x.manifest.json'],
  ])('nothing of a manifest that names %s', async (_, key) => {
    const old = await backUp('2026-11-19', {
      files: [
        { key: '2026-11-19/datadump1.dump.zst', bytes: 18, sha256: '' },
        { key, bytes: 18, sha256: '' },
      ],
    });
    await backUp('2026-11-20');
    const before = await keys();
    expect((await prune('last=1')).backups[0]!.removed).toMatchObject({
      end: 'failed',
      objects: 0,
      why: expect.stringContaining('not its own'),
    });
    expect(await keys()).toEqual(before);
    expect(before).toEqual(expect.arrayContaining(ofBackup(old)));
  });

  test('never the last good one, nor for one that is broken or that a drill could not bring back', async () => {
    const good = await backUp('2026-11-18');
    const drilled = await backUp('2026-11-19');
    const broken = await backUp('2026-11-20');
    await putDrillRecord(place(), manifestKey(drilled), {
      at: '2026-11-20T00:00:00Z',
      ok: false,
      recoveryMs: 1,
      problems: ['x'],
    });
    await store.delete([{ key: `shop/${broken}.dump.zst` }]);
    const { backups } = await prune('last=1');
    expect(backups.map(({ key, good, reasons }) => [key.slice(0, 10), good, reasons[0]])).toEqual([
      ['2026-11-18', true, 'newest good one'],
      ['2026-11-19', false, 'newer than any good one'],
      ['2026-11-20', false, 'newer than any good one'],
    ]);
    expect(await keys()).toEqual(expect.arrayContaining(ofBackup(good)));
  });

  test('nothing while the newest attempt has failed or a manifest cannot be read', async () => {
    await backUp('2026-11-18');
    await backUp('2026-11-19');
    const before = await keys();
    await noteAttempt(place(), { at: '2026-11-20T03:00:00Z', ended: 'failed', what: 'disk full' });
    await expect(prune('last=1')).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringContaining('disk full'),
    });
    expect((await prune('last=1', store, true)).refusals).toEqual([expect.stringContaining('disk full')]);
    expect(await keys()).toEqual(before);
    const later = await backUp('2026-11-21');
    expect(await ends(prune('last=2'))).toEqual(['gone', 'stays', 'stays']);
    await store.delete([{ key: `shop/${later}.dump.zst` }]);
    await expect(prune('last=1')).rejects.toMatchObject({ code: 'CHECK_FAILED' });

    await noteAttempt(place(), { at: '2026-11-22T03:00:00Z', ended: 'done', what: 'x' });
    await put('shop/2026-11-22/datadump1.manifest.json', Buffer.from('{"version": 1, "takenAt'));
    await expect(prune('last=1')).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringContaining('2026-11-22/datadump1'),
    });
  });

  test('killed between any two deletes and run again: the same, and a manifest is never gone before its files', async () => {
    const dates = ['2026-11-17', '2026-11-18', '2026-11-19', '2026-11-20'];
    for (let kill = 0; kill < 7; kill++) {
      for (const key of await keys()) await store.delete([{ key }]);
      const bases: string[] = [];
      for (const date of dates) bases.push(await backUp(date));
      await putDrillRecord(place(), manifestKey(bases[0]!), {
        at: '2026-11-19T00:00:00Z',
        ok: true,
        recoveryMs: 1,
        problems: [],
      });
      const killed = new Changed(store);
      let deletes = 0;
      killed.beforeDelete = () => {
        if (deletes++ === kill) throw new Error('killed');
      };
      await expect(prune('daily=2', killed)).rejects.toThrow('killed');
      const left = await keys();
      expect(killed.deleted).toHaveLength(kill);
      for (const base of bases) {
        if (left.includes(`shop/${manifestKey(base)}`)) continue;
        expect(left.filter((key) => key.startsWith(`shop/${base}`))).toEqual([]);
      }
      await prune('daily=2');
      expect(await keys()).toEqual(bases.slice(2).flatMap((base) => ofBackup(base)));
    }
  });

  test('what object lock holds is told with its date, and all of it stays; what the store refuses too', async () => {
    const [locked, refused] = [await backUp('2026-11-18'), await backUp('2026-11-19')];
    await backUp('2026-11-20');
    const changed = new Changed(store);
    const untilMs = Date.UTC(2100, 0, 1);
    changed.headOf = (head) =>
      head.key === `shop/${locked}.globals.sql` ? { ...head, lock: { mode: 'COMPLIANCE', untilMs } } : head;
    changed.beforeDelete = (key) => {
      if (key.startsWith(`shop/${refused}.globals`))
        throw new LongshoreError('STORE_DENIED', 'AccessDenied by a legal hold');
    };
    const result = await prune('last=1', changed);
    const [first, second, third] = result.backups.map(({ removed }) => removed);
    expect(first).toMatchObject({ end: 'held', heldUntil: '2100-01-01T00:00:00.000Z', objects: 0 });
    expect(second).toMatchObject({ end: 'failed', why: expect.stringContaining('legal hold') });
    expect(third).toBeUndefined();
    expect(pruneText(result)).toContain('left: an object lock holds it until 2100-01-01T00:00:00.000Z');
    const left = await keys();
    expect(left).toEqual(expect.arrayContaining(ofBackup(locked)));
    expect(left).toContain(`shop/${manifestKey(refused)}`);
    changed.headOf = (head) => ({ ...head, lock: { mode: 'COMPLIANCE', untilMs: Date.UTC(2020, 0, 1) } });
    changed.beforeDelete = () => undefined;
    expect(await ends(prune('last=1', changed))).toEqual(['gone', 'gone', 'stays']);
  });

  test('what a bucket with object lock really holds', async () => {
    await using server = await startS3Server({ buckets: ['backups'], versioning: true });
    await using versioned = testStore(server, 'backups');
    store = versioned;
    const locked = await backUp('2026-11-18');
    await backUp('2026-11-19');
    const newest = await backUp('2026-11-20');
    const set = async (query: string, body: string, key?: string) => {
      const md5 = createHash('md5').update(body).digest('base64');
      const headers: [string, string][] = [['content-md5', md5]];
      await using wire = new S3Wire({
        ...{ bucket: 'backups', endpoint: new URL(server.url), region: 'us-east-1', addressing: 'path' },
        credentials: staticCredentials(server.accessKeyId, server.secretAccessKey),
        ...{ clock: systemClock, connectionsMax: 1, timeoutMs: 10_000, requesterPays: false },
      });
      const request = {
        method: 'PUT',
        query: [[query, '']],
        headers,
        body,
        ...(key === undefined ? {} : { key }),
      } as const;
      expect((await wire.send(request)).status).toBe(200);
    };
    await set(
      'object-lock',
      '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>',
    );
    const until = '2100-01-01T00:00:00.000Z';
    await set(
      'retention',
      `<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`,
      `shop/${locked}.dump.zst`,
    );
    const { backups } = await prune('last=1');
    expect(backups.map(({ removed }) => [removed?.end, removed?.heldUntil])).toEqual([
      ['held', until],
      ['gone', undefined],
      [undefined, undefined],
    ]);
    expect(await keys()).toEqual([locked, newest].flatMap((base) => ofBackup(base)));
  });

  test('an object that is another one by now stays', async () => {
    const old = await backUp('2026-11-19');
    await backUp('2026-11-20');
    const changed = new Changed(store);
    changed.headOf = (head) => (head.key.includes(`${old}.dump`) ? { ...head, sizeBytes: 1 } : head);
    expect((await prune('last=1', changed)).backups[0]!.removed).toMatchObject({
      end: 'failed',
      why: expect.stringContaining('not what was put'),
    });
    changed.headOf = (head) =>
      head.key.includes(`${old}.dump`) ? { ...head, etag: 'd41d8cd98f00b204e9800998ecf8427e' } : head;
    expect((await prune('last=1', changed)).backups[0]!.removed).toMatchObject({
      end: 'failed',
      why: expect.stringContaining('another one'),
    });
    expect(await keys()).toEqual(
      expect.arrayContaining([`shop/${old}.dump.zst`, `shop/${manifestKey(old)}`]),
    );
  });

  test('in a bucket that keeps versions, which is told', async () => {
    await using server = await startS3Server({ buckets: ['backups'], versioning: true });
    await using versioned = testStore(server, 'backups');
    store = versioned;
    await backUp('2026-11-19');
    await backUp('2026-11-20');
    const result = await prune('last=1');
    expect(result.backups[0]!.removed).toMatchObject({ end: 'gone', objects: 3, markers: 3 });
    expect(pruneText(result)).toContain('the bucket keeps versions');
  });
});
