/**
 * The demo of `backup`: a PostgreSQL with a sample database, a backup of it in an S3 server, a copy in which one value is
 * damaged and found, and a drill.
 */

import { parseDatabaseUrl } from '../config/database-url.ts';
import { createDatabase, withDatabase } from '../databases/make-database.ts';
import { openSession, type Session } from '../databases/postgres/open-session.ts';
import { startS3Server } from '../embedded/s3/server.ts';
import { startDumpableServer } from '../embedded/server-like.ts';
import { type ComparedBackup, compareBackup } from '../jobs/backup/compare-backup.ts';
import { type DrilledBackup, drillBackup } from '../jobs/backup/drill.ts';
import type { EmitBackup } from '../jobs/backup/events.ts';
import { type BackupList, listBackups } from '../jobs/backup/list.ts';
import { type RestoredBackup, restoreBackup } from '../jobs/backup/restore.ts';
import { takeBackup } from '../jobs/backup/take-backup.ts';
import { pagilaSample } from './pagila-sample.ts';
import { shopSample } from './shop-sample.ts';

export interface BackupDemoOptions {
  /** With the scripts of pagila; a shop of our own where it is left out. */
  readonly sampleFolder: string | undefined;
  /** Of the log. */
  readonly folder: string;
  readonly say: (line: string) => void;
  readonly emit: EmitBackup;
  readonly signal: AbortSignal;
}

export interface BackupDemoResult {
  readonly list: BackupList;
  readonly restored: RestoredBackup;
  /** `catalogue.products` */
  readonly damagedTable: string;
  /** Of the copy, after the damage. */
  readonly compared: ComparedBackup;
  readonly drilled: DrilledBackup;
}

const TO = 's3://backups/shop/';
const COPY = 'scratch_copy';

/** Runs the whole demo; everything it starts is stopped when it resolves. */
export async function runBackupDemo(options: BackupDemoOptions): Promise<BackupDemoResult> {
  const { say, emit, signal, folder } = options;
  const sample = options.sampleFolder === undefined ? shopSample : pagilaSample(options.sampleFolder);
  say('starting a PostgreSQL and an S3 server …');
  await using postgres = await startDumpableServer();
  await using s3 = await startS3Server({ buckets: ['backups'] });
  const env = {
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
  const environment = { env, signal, emit };
  const admin = parseDatabaseUrl(postgres.url, {});
  await createDatabase(admin, 'shop');
  say(`loading ${sample.title} …`);
  {
    await using session = await open(urlOf(postgres.url, 'shop'));
    await sample.load(session, signal);
  }
  say(`backing it up to ${TO} …`);
  await takeBackup(
    { database: urlOf(postgres.url, 'shop'), to: TO, log: folder, timeZone: 'UTC' },
    environment,
  );
  say('restoring it into a scratch copy, and damaging one value there …');
  await createDatabase(withDatabase(admin, 'shop'), COPY);
  const copy = urlOf(postgres.url, COPY);
  const restored = await restoreBackup({ from: TO, to: copy }, environment);
  const { schema, table, primaryKey, columns } = sample.shown;
  const damagedTable = `${schema}.${table}`;
  {
    await using session = await open(copy);
    const [key] = primaryKey;
    const column = columns.find((name) => !primaryKey.includes(name))!;
    await session.client.query(
      `UPDATE ${damagedTable} SET ${column} = (SELECT max(${column}) FROM ${damagedTable} o WHERE o.${column} <> ${damagedTable}.${column})
       WHERE ${key} = (SELECT min(${key}) FROM ${damagedTable})`,
    );
  }
  const compared = await compareBackup({ from: TO, to: copy }, { env, signal });
  say('drilling the backup in a throw-away server …');
  const drilled = await drillBackup(
    { from: TO, assertions: [`SELECT count(*) > 100 FROM ${damagedTable}`] },
    environment,
  );
  return { list: await listBackups(TO, { env, signal }), restored, damagedTable, compared, drilled };
}

function open(url: string): Promise<Session> {
  const { connection, name } = parseDatabaseUrl(url, {});
  return openSession(connection, {
    doing: { action: `connect to ${name}`, database: name, user: connection.user },
  });
}

/** The same server with another database. */
function urlOf(url: string, database: string): string {
  const own = new URL(url);
  own.pathname = `/${database}`;
  return own.href;
}
