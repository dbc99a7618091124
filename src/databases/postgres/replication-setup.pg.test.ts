/** Slots that are made while others alter tables. */

import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { openSession } from './open-session.ts';
import { createSoundSlot } from './replication-setup.ts';

let server: PostgresServer;
let database: PostgresTestDatabase;
beforeAll(async () => {
  server = await postgresServer();
  database = await server.createDatabase();
  await database.sql('CREATE TABLE t (id int PRIMARY KEY)');
});
afterAll(() => server[Symbol.asyncDispose]());

const open = (replication = false) =>
  openSession(parseDatabaseUrl(database.url).connection, {
    doing: { action: 'test', database: 'test', user: undefined },
    replication,
  });

test('a slot begins behind a table that was altered while it was made', async () => {
  await using replication = await open(true);
  await using watch = await open();
  await using other = await open();
  const { rows } = await other.client
    .query('BEGIN')
    .then(() => other.client.query<{ xid: string }>('SELECT txid_current()::text AS xid'));
  const made = createSoundSlot(replication.client, watch.client, 'sound');
  // A slot waits for what is open.
  const waiting = `SELECT FROM pg_locks WHERE NOT granted AND transactionid = '${rows[0]!.xid}'`;
  await expect.poll(() => database.sql(waiting), { timeout: 20_000 }).toHaveLength(1);
  await database.sql(`ALTER TABLE t ADD v text; CREATE TEMPORARY TABLE passing (id int)`);
  const [altered] = await database.sql('SELECT pg_current_wal_lsn()::text AS lsn');
  await other.client.query('COMMIT');
  await made;
  const slots = await database.sql(
    `SELECT restart_lsn >= '${altered!['lsn']}' AS behind FROM pg_replication_slots WHERE slot_name = 'sound'`,
  );
  expect(slots).toEqual([{ behind: true }]);
  await database.sql(`SELECT pg_drop_replication_slot('sound')`);
});

test('where tables are altered again and again it is given up, and no slot is left', async () => {
  await using replication = await open(true);
  let n = 0;
  const watch = { query: async () => ({ rows: [{ state: String(n++) }] }) } as unknown as pg.ClientBase;
  await expect(createSoundSlot(replication.client, watch, 'restless')).rejects.toMatchObject({
    code: 'DATABASE_CONFLICT',
  });
  expect(n).toBe(60);
  expect(await database.sql('SELECT slot_name FROM pg_replication_slots')).toEqual([]);
});
