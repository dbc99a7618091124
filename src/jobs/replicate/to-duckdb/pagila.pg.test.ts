/** The sample database pagila, loaded by psql, into DuckDB: every value of every table, loaded and changed. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../../test/servers/postgres.ts';
import {
  loadPagila,
  PAGILA_ROWS_MIN,
  PAGILA_TABLES_MIN,
  pagilaAvailable,
} from '../../../../test/worlds/pagila.ts';
import { PostgresOracle } from '../../../../test/worlds/postgres-oracle.ts';
import { expectWarehouse, WarehouseReader } from '../../../../test/worlds/warehouse.ts';
import { planReplication } from '../plan.ts';
import { dropReplicationOf, replicate } from '../run.ts';
import { verifyReplica } from '../verify.ts';

describe.skipIf(!pagilaAvailable())('pagila', () => {
  let postgres: PostgresServer;
  let oracle: PostgresOracle;
  let tables: readonly string[];
  const folder = mkdtempSync(join(tmpdir(), 'longshore-duckdb-'));
  const reader = new WarehouseReader(join(folder, 'pagila.duckdb'));
  const options = () =>
    ({ from, to: `duckdb://${reader.path}`, name: 'pagila', untilCaughtUp: true }) as const;
  let from: string;

  beforeAll(async () => {
    postgres = await postgresServer();
    from = (await postgres.createDatabase()).url;
    await loadPagila(from);
    oracle = await PostgresOracle.open(from);
    const { tables: planned, problems } = await planReplication(options());
    for (const { fix } of problems) await oracle.ask(fix.split(', or ')[0]!);
    tables = planned.map(({ name }) => name.slice(name.indexOf('.') + 1));
    await replicate(options());
  });
  afterAll(async () => {
    if (from !== undefined) await dropReplicationOf(options());
    await oracle?.[Symbol.asyncDispose]();
    await postgres?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('loaded', async () => {
    expect(tables.length).toBeGreaterThan(PAGILA_TABLES_MIN);
    await expectWarehouse(reader, oracle, tables, { rowsMin: PAGILA_ROWS_MIN });
  });

  test('changed', async () => {
    await oracle.ask(`UPDATE film SET title = title || ' II', special_features = ARRAY['Trailers'] WHERE film_id % 3 = 0;
      UPDATE customer SET activebool = NOT activebool; DELETE FROM payment WHERE payment_id % 5 = 0;
      UPDATE rental SET return_date = NULL WHERE rental_id % 2 = 0;
      INSERT INTO language (name) SELECT 'language ' || i FROM generate_series(1, 100) i`);
    await replicate(options());
    await expectWarehouse(reader, oracle, tables, { rowsMin: PAGILA_ROWS_MIN - 5000 });
    expect((await verifyReplica(options())).differences).toBe(0);
  });
});
