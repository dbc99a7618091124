/** The sample database pagila, loaded by psql: the files of its full load hold every row of every table. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { Lake } from '../../../test/worlds/lake.ts';
import { DuckDb, type FileColumn, hyparquetRows, type ReadRow } from '../../../test/worlds/lake-readers.ts';
import {
  loadPagila,
  PAGILA_ROWS_MIN,
  PAGILA_TABLES_MIN,
  pagilaAvailable,
} from '../../../test/worlds/pagila.ts';
import { PostgresOracle } from '../../../test/worlds/postgres-oracle.ts';
import { type PlannedTable, planReplication } from './plan.ts';
import { replicate } from './run.ts';

describe.skipIf(!pagilaAvailable())('pagila', () => {
  let postgres: PostgresServer;
  let oracle: PostgresOracle;
  let duckDb: DuckDb;
  let tables: readonly PlannedTable[];
  const lake = new Lake(mkdtempSync(join(tmpdir(), 'longshore-lake-')), 'pagila');

  beforeAll(async () => {
    postgres = await postgresServer();
    const { url } = await postgres.createDatabase();
    await loadPagila(url);
    oracle = await PostgresOracle.open(url);
    duckDb = await DuckDb.open();
    const options = { from: url, to: `file://${lake.folder}/`, name: lake.job, mode: 'full-load' } as const;
    ({ tables } = await planReplication(options));
    await replicate(options);
  });
  afterAll(async () => {
    duckDb?.[Symbol.dispose]();
    await oracle?.[Symbol.asyncDispose]();
    await postgres?.[Symbol.asyncDispose]();
    rmSync(lake.folder, { recursive: true, force: true });
  });

  type Reader = (path: string, columns: readonly FileColumn[]) => Promise<ReadRow[]>;

  test.each<[string, Reader]>([
    ['DuckDB', (path, columns) => duckDb.rows(path, columns)],
    ['hyparquet', hyparquetRows],
  ])('every row as %s reads it', async (_, reader) => {
    expect(tables.length).toBeGreaterThan(PAGILA_TABLES_MIN);
    let count = 0;
    for (const { name, columns } of tables) {
      const [schema, table] = name.split('.');
      const wanted = await oracle.rows(`ONLY ${name}`, columns, '1');
      const rows: ReadRow[] = [];
      for (const file of lake.manifests()[0]!.files)
        if (file.schema === schema && file.table === table)
          rows.push(...(await reader(join(lake.folder, file.key), columns)));
      expect(texts(rows), name).toEqual(texts(wanted));
      count += rows.length;
    }
    expect(count).toBeGreaterThan(PAGILA_ROWS_MIN);
  });
});

function texts(rows: readonly ReadRow[]): string[] {
  return rows.map((row) => JSON.stringify(row)).toSorted();
}
