/** Every type with its extreme values, loaded, inserted, updated, moved to another key and deleted: both databases show the same. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../../test/servers/postgres.ts';
import {
  AS_TEXT,
  arraysOf,
  LARGE,
  MADE,
  MADE_TYPES,
  NATIVE,
  type TypedColumn,
} from '../../../../test/worlds/every-type.ts';
import { quotedName, type ReadRow } from '../../../../test/worlds/lake-readers.ts';
import { PostgresOracle } from '../../../../test/worlds/postgres-oracle.ts';
import { TortureTable } from '../../../../test/worlds/torture-table.ts';
import { dropReplicationOf, replicate } from '../run.ts';
import { verifyReplica } from '../verify.ts';

/** Of these no program can give a server a value. */
const UNWRITABLE =
  /^(pg_node_tree|pg_ndistinct|pg_dependencies|pg_mcv_list|pg_brin_\w+|gtsvector)|^(pg_snapshot|txid_snapshot)\[\]$/;
/** What a server prints and does not read again. */
const UNREADABLE = /^E?'-9223372036854\.775808 s'/;
const writable = (columns: readonly TypedColumn[]) =>
  columns
    .filter(({ type }) => !UNWRITABLE.test(type))
    .map((column) => ({ ...column, values: column.values.filter((value) => !UNREADABLE.test(value)) }));

const GROUPS = {
  native: NATIVE,
  as_text: writable(AS_TEXT),
  made: MADE,
  arrays: writable(arraysOf(writable([...NATIVE, ...AS_TEXT]))),
  large: LARGE,
};
const TABLES = Object.entries(GROUPS).flatMap(([name, typed]) => [
  new TortureTable(name, typed, { full: false }),
  ...(name === 'large' ? [] : [new TortureTable(`${name}_full`, typed, { full: true })]),
]);

let postgres: PostgresServer;
let source: PostgresOracle;
let target: PostgresOracle;
let options: Parameters<typeof replicate>[0];

beforeAll(async () => {
  postgres = await postgresServer();
  const from = (await postgres.createDatabase()).url;
  const to = (await postgres.createDatabase()).url;
  options = {
    from,
    to,
    name: 'every_type',
    tables: TABLES.map(({ name }) => `public.${name}`),
    untilCaughtUp: true,
  };
  source = await PostgresOracle.open(from);
  target = await PostgresOracle.open(to);
  await source.ask(MADE_TYPES);
  for (const table of TABLES) await source.ask(`${table.create()} ${table.insert(0)}`);
  await replicate(options);
});
afterAll(async () => {
  if (options !== undefined) await dropReplicationOf(options);
  await source?.[Symbol.asyncDispose]();
  await target?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

function rowsOf(oracle: PostgresOracle, { name, columns }: TortureTable): Promise<ReadRow[]> {
  const texts = columns.map((column) => {
    const v = quotedName(column.name);
    return `CASE WHEN ${v} IS DISTINCT FROM NULL THEN md5(format('%s', ${v})) END`;
  });
  return oracle.ask(`SELECT id, ${texts.join(', ')} FROM ${name} ORDER BY id`);
}

async function expectSame(): Promise<void> {
  for (const table of TABLES)
    expect(await rowsOf(target, table), table.name).toEqual(await rowsOf(source, table));
}

describe('every type', () => {
  test('loaded', expectSame);

  test.each<[string, (table: TortureTable) => string]>([
    ['inserted', (table) => table.insert(table.rows)],
    ['updated', (table) => table.update()],
    [
      'updated in one column',
      ({ name, columns }) => `UPDATE ${name} SET ${quotedName(columns[0]!.name)} = NULL`,
    ],
    ['moved to another key', ({ name }) => `UPDATE ${name} SET id = id + 1000 WHERE id % 3 = 0`],
    ['deleted', ({ name }) => `DELETE FROM ${name} WHERE id % 2 = 0`],
  ])('%s', async (_, change) => {
    for (const table of TABLES) await source.ask(change(table));
    await replicate(options);
    await expectSame();
  });

  test('without a key, in the order of the source', async () => {
    for (const { name } of TABLES.filter(({ full }) => full))
      await source.ask(`ALTER TABLE ${name} DROP CONSTRAINT ${name}_pkey`);
    for (const { name } of TABLES.filter(({ full }) => full))
      await target.ask(`ALTER TABLE ${name} DROP CONSTRAINT ${name}_pkey`);
    for (const { name, columns } of TABLES.filter(({ full }) => full))
      await source.ask(`INSERT INTO ${name} SELECT * FROM ${name} WHERE id < 10;
        UPDATE ${name} SET ${quotedName(columns.at(-1)!.name)} = NULL WHERE id % 5 = 0;
        UPDATE ${name} SET id = -id WHERE id % 7 = 0; DELETE FROM ${name} WHERE id % 4 = 1`);
    await replicate(options);
    await expectSame();
  });

  test('verified', async () => {
    expect((await verifyReplica(options)).differences).toBe(0);
  });
});
