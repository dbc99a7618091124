/** What the catalogue says of a transaction that the server has sent, and that others do not see yet. */

import { expect, test } from 'vitest';
import { postgresServer } from '../../../test/servers/postgres.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import type { Relation } from '../../databases/postgres/pgoutput.ts';
import { TableRegistry } from './table-registry.ts';

test('it is waited for', async () => {
  await using server = await postgresServer();
  const database = await server.createDatabase();
  await database.sql(
    `CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL); ALTER TABLE t REPLICA IDENTITY FULL`,
  );
  await database.sql(`SELECT pg_create_logical_replication_slot('registry', 'pgoutput')`);
  const doing = { action: 'test', database: 'test', user: undefined };
  await using session = await openSession(parseDatabaseUrl(database.url).connection, { doing });
  await using other = await openSession(parseDatabaseUrl(database.url).connection, { doing });
  await other.client.query('BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (v)');
  const { rows } = await other.client.query<{ xid: number; oid: number }>(
    `SELECT (txid_current() & 4294967295)::float8 AS xid, 't'::regclass::oid::int8::float8 AS oid`,
  );
  const { xid, oid } = rows[0]!;
  const columns = ['id', 'v'].map((name) => ({ name, typeOid: 23, typeModifier: -1, key: true }));
  const relation: Relation = { oid, schema: 'public', table: 't', replicaIdentity: 'f', columns };
  const registry = new TableRegistry(session.client, [], 'registry');
  let learned = false;
  const learning = registry.learn(relation, xid).then(() => {
    learned = true;
  });
  for (let i = 0; i < 20; i++) await database.sql('SELECT 1');
  expect(learned).toBe(false);
  await other.client.query('COMMIT');
  await learning;
  // The new key is younger than the slot: it says nothing of changes before.
  expect(registry.identityOf(relation)).toEqual([]);
  await registry.learn(relation, 3);
  await database.sql(`SELECT pg_drop_replication_slot('registry')`);
});
