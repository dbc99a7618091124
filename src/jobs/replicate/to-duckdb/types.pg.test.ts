/** Every type with its extreme values, loaded, inserted, updated, moved to another key and deleted, in DuckDB. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../../test/servers/postgres.ts';
import { AS_TEXT, arraysOf, LARGE, MADE, MADE_TYPES, NATIVE } from '../../../../test/worlds/every-type.ts';
import { PostgresOracle } from '../../../../test/worlds/postgres-oracle.ts';
import { TortureTable } from '../../../../test/worlds/torture-table.ts';
import { expectWarehouse, WarehouseReader } from '../../../../test/worlds/warehouse.ts';
import { dropReplicationOf, replicate } from '../run.ts';
import { verifyReplica } from '../verify.ts';

const GROUPS = {
  native: NATIVE,
  as_text: AS_TEXT,
  made: MADE,
  arrays: arraysOf([...NATIVE, ...AS_TEXT]),
  large: LARGE,
};

/** Each twice: deletions hold the key, or the whole row. */
const TABLES = Object.entries(GROUPS).flatMap(([name, typed]) => [
  new TortureTable(name, typed, { full: false }),
  new TortureTable(`${name}_full`, typed, { full: true }),
]);
const NAMES = TABLES.map(({ name }) => name);
/** No column says which row it is. */
const KEYLESS = new TortureTable('keyless', [...NATIVE, ...MADE], { full: true });

let postgres: PostgresServer;
let oracle: PostgresOracle;
let from: string;
const folder = mkdtempSync(join(tmpdir(), 'longshore-duckdb-'));
const reader = new WarehouseReader(join(folder, 'types.duckdb'));
const options = () =>
  ({
    from,
    to: `duckdb://${reader.path}`,
    name: 'types',
    tables: [...NAMES, KEYLESS.name].map((name) => `public.${name}`),
    untilCaughtUp: true,
    every: 60_000,
  }) as const;

beforeAll(async () => {
  postgres = await postgresServer();
  from = (await postgres.createDatabase()).url;
  oracle = await PostgresOracle.open(from);
  await oracle.ask(MADE_TYPES);
  for (const table of [...TABLES, KEYLESS]) await oracle.ask(table.create() + table.insert(0));
  await oracle.ask(`ALTER TABLE ${KEYLESS.name} DROP CONSTRAINT ${KEYLESS.name}_pkey`);
  await replicate(options());
});
afterAll(async () => {
  if (from !== undefined) await dropReplicationOf(options());
  await oracle?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const expectSame = () => expectWarehouse(reader, oracle, [...NAMES, KEYLESS.name], { rowsMin: 100 });

test('loaded', expectSame);

test('inserted and updated', async () => {
  for (const table of [...TABLES, KEYLESS]) await oracle.ask(table.insert(table.rows) + table.update());
  await replicate(options());
  await expectSame();
});

test('moved to another key, and deleted', async () => {
  for (const name of [...NAMES, KEYLESS.name])
    await oracle.ask(
      `UPDATE ${name} SET id = id + 1000 WHERE id % 3 = 0; DELETE FROM ${name} WHERE id % 2 = 0`,
    );
  await replicate(options());
  await expectSame();
});

test('and verified', async () => {
  const { tables } = await verifyReplica(options());
  expect(
    tables.flatMap(({ table, differences }) => differences.map(({ what }) => `${table} ${what}`)),
  ).toEqual([]);
  expect(tables).toHaveLength(NAMES.length + 1);
});
