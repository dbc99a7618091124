/** A clone made from a backup: the newest one that a drill found good. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { installedPgDump } from '../../test/servers/pg-dump.ts';
import { postgresServer } from '../../test/servers/postgres.ts';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { drillBackup } from '../jobs/backup/drill.ts';
import { runBackup } from '../jobs/backup/run.ts';
import { cloneDatabase, planClone } from '../jobs/clone/clone-database.ts';
import { backupSource } from './backup-source.ts';

const pgDump = await installedPgDump();

test.skipIf(pgDump === undefined)(
  'the rows of the newest backup that was drilled, and of no other',
  async () => {
    await using server = await postgresServer();
    const database = await server.createDatabase();
    const folder = mkdtempSync(join(tmpdir(), 'longshore-backups-'));
    const to = `file://${folder}/shop/`;
    const { env } = process;
    const backups = () => backupSource(to, env, {});
    const options = { from: database.url, name: `from_backup_${process.pid}`, how: 'backup' as const };
    try {
      await database.sql(`CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)`);
      const backUp = () =>
        runBackup({ database: database.url, to, log: join(folder, 'log') }, {}, () => undefined);
      await backUp();
      const plan = await planClone(options, { backups: backups() });
      expect(plan.findings.map(({ text }) => text).join()).toContain('there is no drilled backup');
      await drillBackup({ from: to });
      await database.sql('INSERT INTO t VALUES (2)');
      await backUp();
      const other = await server.createDatabase();
      const wrong = await planClone({ ...options, from: other.url }, { backups: backups() });
      expect(wrong.findings.map(({ text }) => text).join()).toContain('there is no drilled backup');
      const right = await planClone(options, { backups: backups() });
      expect(right.findings.map(({ text }) => text).join()).toContain(
        `of ${parseDatabaseUrl(database.url).name}, taken`,
      );
      const { clone } = await cloneDatabase(options, { backups: backups() });
      expect(clone).toMatchObject({ how: 'backup', existed: false });
      const [row] = await database.sql(
        `SELECT count(*)::int AS n FROM pg_database WHERE datname = '${options.name}'`,
      );
      expect(row).toEqual({ n: 1 });
      const { default: pg } = await import('pg');
      const url = new URL(server.url);
      url.pathname = `/${options.name}`;
      const client = new pg.Client({ connectionString: url.href });
      await client.connect();
      expect((await client.query('SELECT id FROM t')).rows).toEqual([{ id: 1 }]);
      await client.end();
      await database.sql(`DROP DATABASE ${options.name}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
