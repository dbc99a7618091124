/** The sample database pagila, loaded by psql, into DuckDB: every value of every table, loaded and changed. */

import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../../test/servers/postgres.ts';
import { PostgresOracle } from '../../../../test/worlds/postgres-oracle.ts';
import { expectWarehouse, WarehouseReader } from '../../../../test/worlds/warehouse.ts';
import { planReplication } from '../plan.ts';
import { dropReplicationOf, replicate } from '../run.ts';
import { verifyReplica } from '../verify.ts';

/** `pagila-schema.sql` and `pagila-data.sql`: of `TEST_PAGILA`, or beside the repository. */
const FOLDER =
  process.env['TEST_PAGILA'] ?? fileURLToPath(new URL('../../../../../shared/data/pagila', import.meta.url));
const missing = !existsSync(join(FOLDER, 'pagila-data.sql'))
  ? 'pagila; set TEST_PAGILA to the folder of its SQL'
  : !hasPsql()
    ? 'psql; apt-get install postgresql-client'
    : undefined;
if (missing !== undefined) console.warn(`skipped: no ${missing}`);

function hasPsql(): boolean {
  try {
    execFileSync('psql', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const TABLES_MIN = 20;
const ROWS_MIN = 45_000;

describe.skipIf(missing !== undefined)('pagila', () => {
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
    for (const file of ['pagila-schema.sql', 'pagila-data.sql'])
      await promisify(execFile)('psql', ['--no-psqlrc', '--quiet', '-d', from, '-f', join(FOLDER, file)]);
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
    expect(tables.length).toBeGreaterThan(TABLES_MIN);
    await expectWarehouse(reader, oracle, tables, { rowsMin: ROWS_MIN });
  });

  test('changed', async () => {
    await oracle.ask(`UPDATE film SET title = title || ' II', special_features = ARRAY['Trailers'] WHERE film_id % 3 = 0;
      UPDATE customer SET activebool = NOT activebool; DELETE FROM payment WHERE payment_id % 5 = 0;
      UPDATE rental SET return_date = NULL WHERE rental_id % 2 = 0;
      INSERT INTO language (name) SELECT 'language ' || i FROM generate_series(1, 100) i`);
    await replicate(options());
    await expectWarehouse(reader, oracle, tables, { rowsMin: ROWS_MIN - 5000 });
    expect((await verifyReplica(options())).differences).toBe(0);
  });
});
