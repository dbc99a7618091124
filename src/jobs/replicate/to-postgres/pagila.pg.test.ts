/** The sample database pagila, loaded by psql, copied into another database and followed: both are the same. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../../test/servers/postgres.ts';
import {
  loadPagila,
  PAGILA_ROWS_MIN,
  PAGILA_TABLES_MIN,
  pagilaAvailable,
} from '../../../../test/worlds/pagila.ts';
import { schemaFacts } from '../../../../test/worlds/schema-facts.ts';
import { TwoDatabases } from '../../../../test/worlds/two-databases.ts';
import { verifyReplica } from '../verify.ts';

describe.skipIf(!pagilaAvailable())('pagila', () => {
  let server: PostgresServer;
  let pair: TwoDatabases;
  let tables: string[];

  beforeAll(async () => {
    server = await postgresServer();
    pair = await TwoDatabases.create(server);
    await loadPagila(pair.source.url);
    // Partitions of before there were any have no key of their own.
    await pair.source.sql(`DO $$ DECLARE t regclass; BEGIN
      FOR t IN SELECT oid FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) LOOP
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', t); END LOOP; END $$`);
    tables = (
      await pair.source.sql(`SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'S')
        AND relnamespace = 'public'::regnamespace ORDER BY 1`)
    ).map(({ name }) => String(name));
  });
  afterAll(async () => {
    await pair?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  async function expectSame(): Promise<void> {
    for (const table of tables) {
      const [source, target] = await pair.rows(
        `ONLY ${table}`,
        table.endsWith('_seq') ? 'last_value, is_called' : '*',
      );
      expect(target, table).toEqual(source);
    }
  }

  test('loaded: every row of every table, every sequence, every definition', async () => {
    const { loaded } = await pair.replicate();
    expect(loaded.rows).toBeGreaterThan(PAGILA_ROWS_MIN);
    expect(tables.length).toBeGreaterThan(PAGILA_TABLES_MIN);
    await expectSame();
    const [source, target] = [await schemaFacts(pair.source.url), await schemaFacts(pair.target.url)];
    expect({ ...target, functions: [] }).toEqual({ ...source, functions: [] });
  });

  test('followed', async () => {
    await pair.source.sql(`UPDATE customer SET email = lower(email), active = 0 WHERE customer_id % 3 = 0;
      DELETE FROM payment_p2007_02 WHERE payment_id % 10 = 0; UPDATE payment_p2007_03 SET amount = amount + 1 WHERE payment_id % 50 = 0;
      UPDATE film SET special_features = special_features || 'Subtitles'::text, rating = 'R' WHERE film_id % 5 = 0;
      INSERT INTO actor (first_name, last_name) SELECT 'A' || i, 'B' FROM generate_series(1, 50) i; DELETE FROM film_actor WHERE actor_id = 1;
      UPDATE film SET title = title || ' II' WHERE film_id < 10`);
    expect((await pair.replicate()).changes).toBeGreaterThan(300);
    await expectSame();
    const { differences, tables: verified } = await verifyReplica(pair.options());
    expect([differences, verified.length]).toEqual([
      0,
      tables.filter((name) => !name.endsWith('_seq')).length,
    ]);
  });
});
