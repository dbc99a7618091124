/**
 * Every type with its extreme values, loaded, inserted, updated, moved to another key and deleted: the files, as two other
 * readers see them, hold what PostgreSQL says of its values, and the full load and the change stream store the same bytes.
 */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import {
  AS_TEXT,
  arraysOf,
  GEOMETRY,
  LARGE,
  MADE,
  MADE_TYPES,
  NATIVE,
} from '../../../test/worlds/every-type.ts';
import { Lake } from '../../../test/worlds/lake.ts';
import {
  DuckDb,
  type FileColumn,
  hyparquetRows,
  type ReadRow,
  storedRows,
} from '../../../test/worlds/lake-readers.ts';
import { PostgresOracle } from '../../../test/worlds/postgres-oracle.ts';
import { TortureTable } from '../../../test/worlds/torture-table.ts';
import { planReplication } from './plan.ts';
import { dropReplicationOf, replicate } from './run.ts';
import type { ReplicateOptions } from './settings.ts';
import { verifyReplica } from './verify.ts';

const GROUPS = {
  native: NATIVE,
  as_text: AS_TEXT,
  made: MADE,
  arrays: arraysOf([...NATIVE, ...AS_TEXT]),
  large: LARGE,
  postgis: GEOMETRY,
};

/** Those with REPLICA IDENTITY FULL have the whole old row in the change stream. */
const FULL = ['native', 'made', 'postgis'];
const TABLES = Object.entries(GROUPS).flatMap(([name, typed]) => [
  new TortureTable(name, typed, { full: false }),
  ...(FULL.includes(name) ? [new TortureTable(`${name}_full`, typed, { full: true })] : []),
]);

const STEPS = ['load', 'insert', 'update', 'move', 'delete'] as const;
type Step = (typeof STEPS)[number];

/** A row of a change file or, without an operation, of the full load. */
interface Change {
  readonly op: string;
  readonly values: ReadRow;
  /** What the side column holds, by its columns. */
  readonly unfit: Readonly<Record<string, string>>;
}

const KEY: FileColumn = { name: 'id', parquet: 'INT32' };
const OP: FileColumn = { name: 'Op', parquet: 'STRING' };
const UNFIT: FileColumn = { name: '_unfit', parquet: 'STRING' };
const MOVED_BY = 1000;
const LEFT_BY = 10_000;

let postgres: PostgresServer;
let oracle: PostgresOracle;
let duckDb: DuckDb;
let from: string;
const lake = new Lake(mkdtempSync(join(tmpdir(), 'longshore-lake-')), 'torture');
/** Of a second full load, in the middle of the changes. */
const reloaded = new Lake(mkdtempSync(join(tmpdir(), 'longshore-lake-')), 'again');
/** Without those of PostGIS where it is not there. */
let tables = TABLES;
const expected = new Map<string, Change[]>();
const files = new Map<string, string[]>();
const at = (step: Step, { name }: TortureTable) => `${step} ${name}`;

const optionsOf = ({ folder, job }: Lake, more: Partial<ReplicateOptions> = {}): ReplicateOptions => ({
  from,
  to: `file://${folder}/`,
  name: job,
  tables: tables.map(({ name }) => `public.${name}`),
  untilCaughtUp: true,
  every: 60_000,
  ...more,
});

beforeAll(async () => {
  postgres = await postgresServer();
  from = (await postgres.createDatabase()).url;
  oracle = await PostgresOracle.open(from);
  duckDb = await DuckDb.open();
  await oracle.ask(MADE_TYPES);
  const [[hasPostgis] = ['0']] = await oracle.ask(
    "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'",
  );
  if (hasPostgis === '0') {
    console.warn('skipped: no PostGIS; apt-get install postgresql-15-postgis-3, or whichever the version is');
    tables = TABLES.filter(({ name }) => !name.startsWith('postgis'));
  } else await oracle.ask('CREATE EXTENSION postgis');
  for (const table of tables) await oracle.ask(table.create());

  await take('load', async (table) => {
    await oracle.ask(table.insert(0));
    return await rowsOf(table, '');
  });
  await take('insert', async (table) => {
    await oracle.ask(table.insert(table.rows));
    return await rowsOf(table, 'I', `id >= ${table.rows}`);
  });
  await take('update', async (table) => {
    await oracle.ask(table.update());
    return await rowsOf(table, 'U');
  });
  await take('move', async (table) => {
    const before = await deletedRowsOf(table, 'id % 3 = 0');
    await oracle.ask(`UPDATE ${table.name} SET id = id + ${MOVED_BY} WHERE id % 3 = 0`);
    return [...before, ...(await rowsOf(table, 'I', `id >= ${MOVED_BY}`))];
  });
  await replicate(optionsOf(reloaded, { mode: 'full-load' }));
  await take('delete', async (table) => {
    // Rows that are gone again before values that the server does not send can be read from the table.
    const left = await deletedRowsOf(table, 'id % 5 = 0');
    await oracle.ask(`UPDATE ${table.name} SET id = id + ${LEFT_BY} WHERE id % 5 = 0`);
    const moved = await rowsOf(table, 'I', `id >= ${LEFT_BY}`);
    const gone = await deletedRowsOf(table, `id >= ${LEFT_BY} OR id % 2 = 0`);
    await oracle.ask(`DELETE FROM ${table.name} WHERE id >= ${LEFT_BY} OR id % 2 = 0`);
    return [...left, ...moved, ...gone];
  });
});

afterAll(async () => {
  if (from !== undefined) await dropReplicationOf(optionsOf(lake));
  duckDb?.[Symbol.dispose]();
  await oracle?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
  for (const { folder } of [lake, reloaded]) rmSync(folder, { recursive: true, force: true });
});

/** Changes every table, notes what that should land, lands it, and notes in which files. */
async function take(step: Step, change: (table: TortureTable) => Promise<Change[]>): Promise<void> {
  for (const table of tables) expected.set(at(step, table), await change(table));
  await replicate(optionsOf(lake));
  const landed = lake.manifests().at(-1)!;
  for (const table of tables) {
    const own = landed.files.filter((file) => file.table === table.name);
    files.set(
      at(step, table),
      own.map(({ key }) => join(lake.folder, key)),
    );
  }
}

async function rowsOf(table: TortureTable, op: string, where = 'true'): Promise<Change[]> {
  const source = `(SELECT * FROM ${table.name} WHERE ${where}) t`;
  const rows = await oracle.rows(source, [KEY, ...table.columns], 'id');
  const unfit = await oracle.unfit(source, table.columns, 'id');
  return rows.map((values, i) => ({ op, values: values.map(brief), unfit: Object.fromEntries(unfit[i]!) }));
}

async function deletedRowsOf(table: TortureTable, where: string): Promise<Change[]> {
  const rows = await rowsOf(table, 'D', where);
  if (table.full) return rows;
  return rows.map(({ op, values: [id, ...rest] }) => ({
    op,
    values: [id!, ...rest.map(() => null)],
    unfit: {},
  }));
}

/** Megabytes are neither kept nor printed. */
function brief(value: string | null): string | null {
  if (value === null || value.length <= 5000) return value;
  return `${value.slice(0, 40)}… ${value.length} ${createHash('sha256').update(value).digest('hex')}`;
}

type Reader = (path: string, columns: readonly FileColumn[]) => Promise<ReadRow[]> | ReadRow[];

/** The rows of a step as a reader sees them. */
async function readWith(reader: Reader, step: Step, table: TortureTable): Promise<Change[]> {
  const hasUnfit = table.columns.some(({ parquet }) => /^(DECIMAL|DATE|TIME)/.test(parquet));
  const columns = [...(step === 'load' ? [] : [OP]), KEY, ...table.columns, ...(hasUnfit ? [UNFIT] : [])];
  const changes: Change[] = [];
  for (const path of files.get(at(step, table))!) {
    for (const row of await reader(path, columns)) {
      const [op, values] = step === 'load' ? ['', row] : [row[0]!, row.slice(1)];
      const unfit = hasUnfit ? values.at(-1)! : null;
      changes.push({
        op,
        values: (hasUnfit ? values.slice(0, -1) : values).map(brief),
        unfit: unfit === null ? {} : (JSON.parse(unfit) as Record<string, string>),
      });
    }
  }
  return changes;
}

/** Each value that differs, in a line. */
function differences(table: TortureTable, found: readonly Change[], wanted: readonly Change[]): string[] {
  const key = ({ op, values }: Change) => `${op} ${values[0]}`;
  const byKey = new Map(found.map((change) => [key(change), change]));
  const lines = found.length === wanted.length ? [] : [`${found.length} rows instead of ${wanted.length}`];
  for (const change of wanted) {
    const other = byKey.get(key(change));
    if (other === undefined) {
      lines.push(`no ${key(change)}`);
      continue;
    }
    for (const [i, { name }] of [KEY, ...table.columns].entries()) {
      const [has, wants] = [other.values[i], change.values[i]].map((value) => JSON.stringify(value));
      if (has !== wants) lines.push(`${key(change)} ${name}: ${has} instead of ${wants}`);
      const [hasUnfit, wantsUnfit] = [other.unfit[name], change.unfit[name]];
      if (hasUnfit !== wantsUnfit)
        lines.push(`${key(change)} _unfit of ${name}: ${hasUnfit} instead of ${wantsUnfit}`);
    }
  }
  return lines;
}

const READERS: [string, Reader][] = [
  ['DuckDB', (path, columns) => duckDb.rows(path, columns)],
  ['hyparquet', hyparquetRows],
];

describe.each(READERS)('what %s reads is what PostgreSQL says', (_, reader) => {
  describe.each(STEPS)('%s', (step) => {
    test.for(TABLES)('$name', async (table, { skip }) => {
      skip(!tables.includes(table), 'no PostGIS');
      const wanted = expected.get(at(step, table))!;
      expect(wanted.length).toBeGreaterThan(2);
      expect(differences(table, await readWith(reader, step, table), wanted)).toEqual([]);
    });
  });
});

test.for(TABLES)('full load and change stream store the same bytes: $name', (table, { skip }) => {
  skip(!tables.includes(table), 'no PostGIS');
  const columns = [KEY, ...table.columns];
  const changed = new Map<string, ReadRow>();
  for (const step of ['update', 'move'] as const) {
    for (const path of files.get(at(step, table))!) {
      for (const [op, ...row] of storedRows(path, [OP, ...columns])) {
        if (Buffer.from(op!, 'hex').toString() !== 'D') changed.set(row[0]!, row);
        else changed.delete(row[0]!);
      }
    }
  }
  const loaded = reloaded
    .manifests()[0]!
    .files.filter((file) => file.table === table.name)
    .flatMap(({ key }) => storedRows(join(reloaded.folder, key), columns));
  expect(loaded).toHaveLength(changed.size);
  const unlike = loaded.flatMap((row) =>
    row.flatMap((value, i) => {
      const other = changed.get(row[0]!)?.[i];
      return value === other
        ? []
        : [`${columns[i]!.name}: ${value?.slice(0, 80)} and ${other?.slice(0, 80)}`];
    }),
  );
  expect(unlike).toEqual([]);
});

test('the plan names the type of every column, and what goes to the side column', async () => {
  const plan = await planReplication(optionsOf(lake));
  expect(plan.problems).toEqual([]);
  for (const table of tables) {
    const planned = plan.tables.find(({ name }) => name === `public.${table.name}`)!;
    expect(planned.columns.map(({ name, parquet }) => ({ name, parquet }))).toEqual([KEY, ...table.columns]);
    for (const { parquet, unfit } of planned.columns)
      expect(unfit !== undefined, parquet).toBe(/^(DECIMAL|DATE|TIME)/.test(parquet));
  }
});

test('the replica verifies', async () => {
  const { tables } = await verifyReplica(optionsOf(lake));
  expect(
    tables.flatMap(({ table, differences }) => differences.map(({ key, what }) => [table, key, what])),
  ).toEqual([]);
});

test('no type of PostgreSQL is left out', async () => {
  const known = await oracle.ask(`SELECT format_type(oid, NULL) FROM pg_type t
    WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
      AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid) ORDER BY 1`);
  const here = await oracle.ask(`SELECT DISTINCT format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid IN ('native'::regclass, 'as_text'::regclass)`);
  const covered = new Set(here.map(([type]) => type));
  expect(known.map(([type]) => type).filter((type) => !covered.has(type!))).toEqual([]);
  expect(known.length).toBeGreaterThan(70);
});
