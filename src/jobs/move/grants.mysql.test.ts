/** What only reads, and the printed grants, on MariaDB. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mariadbAvailable, mariadbServer } from '../../../test/servers/mariadb.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { auditReferences } from './audit.ts';
import { checkMove } from './check.ts';
import { describeColumns } from './describe-columns.ts';
import { grantsFor } from './grants.ts';
import { planMove } from './plan.ts';
import { move } from './run.ts';
import { type MoveOptions, resolveMoveOptions } from './settings.ts';
import { verifyMove } from './verify.ts';

const FROM = 's3://legacy-s3/image/';
const TO = 's3://production-s3/avatar/';
const OBJECTS = 30;

describe.skipIf(!mariadbAvailable())('MariaDB', () => {
  test('plan, check, move, verify and audit with exactly the printed grants', async () => {
    await using server = await mariadbServer();
    const database = await server.createDatabase();
    await database.sql(`
      CREATE TABLE avatars (id BIGINT AUTO_INCREMENT PRIMARY KEY, path VARCHAR(100) NOT NULL, secret TEXT, KEY (path));
      CREATE TABLE keyless (path VARCHAR(14));
      INSERT INTO avatars (path) SELECT CONCAT('image/', seq, '.png') FROM seq_1_to_${OBJECTS};
      INSERT INTO avatars (id, path) VALUES (1000, 'image/gone.png');
      INSERT INTO keyless VALUES ('image/1.png');`);
    await using s3 = await startS3Server({ buckets: ['legacy-s3', 'production-s3'] });
    const env = {
      AWS_ENDPOINT_URL: s3.url,
      AWS_ACCESS_KEY_ID: s3.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
      AWS_REGION: 'us-east-1',
    };
    await using legacy = await openStore(parseStoreUrl(FROM), { env, clock: systemClock });
    for (let n = 1; n <= OBJECTS; n++) {
      await legacy.store.put({
        key: `image/${n}.png`,
        body: Buffer.from(`${n}`),
        sizeBytes: Buffer.byteLength(`${n}`),
        attributes: { metadata: {} },
        ifAbsent: false,
      });
    }
    const admin = { from: FROM, to: TO, rows: `${database.url}#avatars.path,keyless.path` };
    const settings = resolveMoveOptions(admin);
    const role = `least_${process.pid}`;
    const { sql } = grantsFor(settings, await describeColumns(settings, {}), { role });
    for (const statement of sql[0]!.statements) await database.sql(statement.replace('<password>', 'least'));
    const stateFolder = mkdtempSync(join(tmpdir(), 'longshore-mariadb-'));
    try {
      const own = new URL(database.url);
      [own.username, own.password] = [role, 'least'];
      const options: MoveOptions = {
        ...admin,
        rows: `${own.href}#avatars.path,keyless.path`,
        delete: 'proven',
      };

      const checked = await checkMove(options, { env });
      expect(checked.findings.map(({ level, what }) => `${level} ${what}`)).toEqual([
        expect.stringMatching(/^warning .*\.keyless has no primary key/),
        expect.stringMatching(/^info .*\.keyless\.path has no index/),
      ]);
      const plan = await planMove(options, { env });
      expect(plan.objects).toMatchObject({ count: OBJECTS, toCopy: OBJECTS, orphans: 0 });
      expect(plan.columns.map(({ rows }) => rows)).toEqual([OBJECTS + 1, 1]);
      expect(plan.missing).toMatchObject({ count: 1, listed: [{ key: 'image/gone.png', row: ['1000'] }] });
      const summary = await move(options, { env, stateFolder });
      expect(summary.failures).toBe(0);
      const verified = await verifyMove(options, { env, stateFolder });
      expect(verified.violations).toEqual([
        expect.objectContaining({ promise: 1, key: 'image/gone.png', row: ['1000'] }),
      ]);
      expect(verified).toMatchObject({ deletionsChecked: OBJECTS, rowsRead: OBJECTS + 2 });
      const audited = await auditReferences({ store: TO, rows: [String(options.rows)] }, { env });
      expect(audited).toMatchObject({ objects: OBJECTS, counts: { missing: 0, orphan: 0, shared: 1 } });
    } finally {
      rmSync(stateFolder, { recursive: true, force: true });
      await database.sql(`DROP USER '${role}'@'%'`);
    }
  });
});
