/** Keys of every type that can be one: values that updates do not send are found again, in the table and in the files. */

import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { AS_TEXT, arraysOf, MADE, MADE_TYPES, NATIVE } from '../../../test/worlds/every-type.ts';
import { LakeJob } from '../../../test/worlds/lake-job.ts';
import { type FileColumn, hyparquetRows, type ReadRow } from '../../../test/worlds/lake-readers.ts';
import { PostgresOracle } from '../../../test/worlds/postgres-oracle.ts';

interface KeyedTable {
  readonly name: string;
  readonly type: string;
  readonly columns: readonly FileColumn[];
}

const TYPES = [...NATIVE, ...AS_TEXT, ...MADE, ...arraysOf(NATIVE)];
/** The server reads no text of these. */
const WITHOUT_INPUT = /^pg_(node_tree|ndistinct|dependencies|mcv_list)$/;
/** Longer than an index takes. */
const NOT_A_KEY = /hashes/;

/** No operator class; no comparison of the elements. */
const NO_ORDER = new Set(['42704', '42883']);

const OP: FileColumn = { name: 'Op', parquet: 'STRING' };
const job = new LakeJob('keys', { tables: ['public.keyed_*'], every: 60_000 });
let postgres: PostgresServer;
let oracle: PostgresOracle;
const tables: KeyedTable[] = [];

beforeAll(async () => {
  postgres = await postgresServer();
  await job.open(postgres);
  oracle = await PostgresOracle.open(job.database.url);
  await oracle.ask(MADE_TYPES);
  for (const [i, { type, parquet, values }] of TYPES.entries()) {
    if (WITHOUT_INPUT.test(type)) continue;
    const name = `keyed_${i}`;
    const keys = values.filter((value) => !NOT_A_KEY.test(value));
    if (keys.length === 0 || !(await hasTable(name, type, keys))) continue;
    const columns = [
      { name: 'k', parquet },
      { name: 'n', parquet: 'INT32' },
      { name: 'v', parquet: 'STRING' },
    ];
    tables.push({ name, type, columns });
  }
  await job.run();
});

afterAll(async () => {
  if (oracle !== undefined) await job.close();
  await oracle?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

/** Makes a table with a key of the type; not for a type without an order. */
async function hasTable(name: string, type: string, keys: readonly string[]): Promise<boolean> {
  const rows = keys.map(
    (key, n) => `INSERT INTO ${name} VALUES (${key}, ${n}, repeat('${n} ', 1500)) ON CONFLICT DO NOTHING;`,
  );
  try {
    await oracle.ask(`BEGIN; CREATE TABLE ${name} (k ${type} PRIMARY KEY, n int, v text);
      ALTER TABLE ${name} ALTER v SET STORAGE EXTERNAL; ${rows.join('')} COMMIT`);
    return true;
  } catch (error) {
    await oracle.ask('ROLLBACK');
    if (NO_ORDER.has((error as { code?: string }).code ?? '')) return false;
    throw error;
  }
}

test('an update of another column has the values that were not sent', async () => {
  expect(tables.length).toBeGreaterThan(100);
  const wanted = new Map<string, string[]>();
  for (const { name, columns } of tables) {
    await oracle.ask(`UPDATE ${name} SET n = n + 100`);
    const first = await oracle.rows(name, columns, 'n');
    await oracle.ask(`UPDATE ${name} SET n = n + 100`);
    const second = await oracle.rows(name, columns, 'n');
    // What is gone before the changes are landed is in the files alone.
    await oracle.ask(`DELETE FROM ${name} WHERE n % 2 = 0`);
    wanted.set(name, texts([...first, ...second]));
  }
  await job.run();
  const { files } = job.lake.manifests().at(-1)!;
  for (const { name, type, columns } of tables) {
    const rows: ReadRow[] = [];
    for (const file of files.filter((one) => one.table === name))
      rows.push(...(await hyparquetRows(join(job.folder, file.key), [OP, ...columns])));
    const updates = rows.filter(([op]) => op === 'U').map(([, ...row]) => row);
    expect(texts(updates), type).toEqual(wanted.get(name));
  }
});

test('the replica verifies', async () => {
  const verified = await job.verify();
  const typeOf = new Map(tables.map(({ name, type }) => [name, type]));
  expect(
    verified.tables.flatMap(({ table, differences }) => differences.map((one) => [typeOf.get(table), one])),
  ).toEqual([]);
});

function texts(rows: readonly ReadRow[]): string[] {
  return rows.map((row) => JSON.stringify(row)).toSorted();
}
