/** The same move over every pair of servers: embedded S3 and versitygw, PostgreSQL and MariaDB. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mariadbAvailable, mariadbServer } from '../../../test/servers/mariadb.ts';
import { postgresServer } from '../../../test/servers/postgres.ts';
import { createBuckets, startVersitygw, versitygwAvailable } from '../../../test/servers/versitygw.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { move } from './run.ts';
import { undoMove } from './undo.ts';
import { verifyMove } from './verify.ts';

const FROM = 's3://legacy-s3/image/';
const TO = 's3://production-s3/avatar/';
const BUCKETS = ['legacy-s3', 'production-s3'];

/** Names that a POSIX folder can hold too. */
const NAMES = [
  'plain.png',
  'a b+c.png',
  'a%&?#;=@:.png',
  'o\'brien"<x>.png',
  'emoji-😀.png',
  'wide-～.png',
  'e\u0301.png',
  '\u00e9.png',
  'Case.png',
  'case.png',
  '100%_x.png',
  'back\\slash.png',
];

interface TestDatabase {
  readonly url: string;
  sql(text: string): Promise<Record<string, unknown>[]>;
}

const stores = [
  { name: 'embedded S3', available: true, start: () => startS3Server({ buckets: BUCKETS }) },
  {
    name: 'versitygw',
    available: versitygwAvailable(),
    start: async () => {
      const server = (await startVersitygw())!;
      await createBuckets(server, BUCKETS);
      return server;
    },
  },
];
const databases = [
  {
    name: 'PostgreSQL',
    available: true,
    start: postgresServer,
    table:
      'CREATE TABLE avatars (id bigserial PRIMARY KEY, path text NOT NULL); CREATE INDEX ON avatars (path)',
  },
  {
    name: 'MariaDB',
    available: mariadbAvailable(),
    start: mariadbServer,
    table:
      'CREATE TABLE avatars (id BIGINT AUTO_INCREMENT PRIMARY KEY, path VARCHAR(500) NOT NULL, KEY (path)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci',
  },
];

describe.each(databases)('$name', ({ available, start, table }) => {
  const cleanup = new AsyncDisposableStack();
  let create: () => Promise<TestDatabase>;
  beforeAll(async () => {
    if (!available) return;
    const server = cleanup.use(await start());
    create = () => server.createDatabase();
  });
  afterAll(() => cleanup.disposeAsync());

  describe.each(stores)('$name', (store) => {
    test.skipIf(!available || !store.available).each(['listing', 'rows'] as const)(
      'by %s: moved, proven, undone',
      async (by) => {
        await using stack = new AsyncDisposableStack();
        const s3 = stack.use(await store.start());
        const folder = mkdtempSync(join(tmpdir(), 'longshore-move-'));
        stack.defer(() => rmSync(folder, { recursive: true, force: true }));
        const env = {
          AWS_ENDPOINT_URL: s3.url,
          AWS_ACCESS_KEY_ID: s3.accessKeyId,
          AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
          AWS_REGION: 'us-east-1',
        };
        const legacy = stack.use(await openStore(parseStoreUrl(FROM), { env, clock: systemClock })).store;
        const production = stack.use(await openStore(parseStoreUrl(TO), { env, clock: systemClock })).store;
        const database = await create();
        await database.sql(table);
        for (const name of NAMES) {
          const body = Buffer.from(`content of ${name}`);
          await legacy.put({
            key: `image/${name}`,
            body,
            sizeBytes: body.byteLength,
            attributes: { contentType: 'image/png', metadata: { user: '1' } },
            ifAbsent: false,
          });
          await database.sql(`INSERT INTO avatars (path) VALUES (${literal(`image/${name}`, database.url)})`);
        }
        const rows = `${database.url}#avatars.path`;
        const options = { from: FROM, to: TO, rows, by, delete: 'proven' } as const;
        const summary = await move(options, { env, stateFolder: folder });
        expect(summary.failures).toBe(0);
        expect(summary.total.rows.rewritten).toBe(NAMES.length);
        expect(await pathsOf(database)).toEqual(NAMES.map((name) => `avatar/${name}`));
        expect((await legacy.list({ prefix: 'image/' })).objects).toEqual([]);
        for (const name of NAMES) {
          const head = await production.head(`avatar/${name}`);
          expect(head?.sizeBytes).toBe(Buffer.byteLength(`content of ${name}`));
          expect(head?.attributes).toMatchObject({ contentType: 'image/png', metadata: { user: '1' } });
        }
        expect((await verifyMove(options, { env, stateFolder: folder })).violationsCount).toBe(0);
        const undone = await undoMove({ env, stateFolder: folder, rows: [rows] });
        expect(undone.failures).toBe(0);
        expect(await pathsOf(database)).toEqual(NAMES.map((name) => `image/${name}`));
        expect((await legacy.list({ prefix: 'image/' })).objects).toHaveLength(NAMES.length);
      },
    );
  });
});

async function pathsOf(database: TestDatabase): Promise<string[]> {
  return (await database.sql('SELECT path FROM avatars ORDER BY id')).map((row) => String(row['path']));
}

function literal(text: string, url: string): string {
  const quoted = text.replaceAll("'", "''");
  return url.startsWith('postgres') ? `'${quoted}'` : `'${quoted.replaceAll('\\', '\\\\')}'`;
}
