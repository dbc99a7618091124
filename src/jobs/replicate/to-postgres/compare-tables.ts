/**
 * Compares the rows of a table in two databases: by a sum over hashes first, which does not depend on the order of rows, and
 * where it differs by hashes of ever smaller parts, so that few rows are held at a time.
 */

import type pg from 'pg';
import { quoteName } from '../../../databases/postgres/sql.ts';
import { quotedTable } from '../../../databases/postgres/table-catalogue.ts';
import type { RowDifference } from '../rows-by-key.ts';
import type { VerifiedTable } from '../verify.ts';

export interface ComparedTable {
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
  /** Names in the source and in the target; the same ones but for renames that did not come yet. */
  readonly columns: readonly { readonly source: string; readonly target: string }[];
  /** Places of columns by which rows are told apart; none where only the whole row does. */
  readonly key: readonly number[];
}

/** Both sides in a transaction whose snapshot stands, with an empty search path. */
export interface ComparedSides {
  readonly source: pg.ClientBase;
  readonly target: pg.ClientBase;
}

const LISTED = 20;
/** Rows of a part, about; and how many parts there are at most. */
const PART_ROWS = 1_000;
const PARTS_MAX = 2 ** 17;
/** Rows that are held at a time. */
const HELD_ROWS = 100_000;
const SHOWN_CHARACTERS = 200;

export async function compareTables(sides: ComparedSides, table: ComparedTable): Promise<VerifiedTable> {
  const { schema, name } = table;
  const [source, target] = await both(sides, table, (text) => text.sum);
  const rows = Number(source[0]!['rows']);
  if (rows === Number(target[0]!['rows']) && source[0]!['sum'] === target[0]!['sum'])
    return { schema, table: name, rows, differences: [], differencesCount: 0 };
  const found = await differencesOf(sides, table, Math.max(rows, Number(target[0]!['rows'])));
  return {
    schema,
    table: name,
    rows,
    differences: found.slice(0, LISTED),
    differencesCount: found.length,
  };
}

async function differencesOf(
  sides: ComparedSides,
  table: ComparedTable,
  rows: number,
): Promise<RowDifference[]> {
  const parts = Math.min(PARTS_MAX, 2 ** Math.ceil(Math.log2(Math.max(1, rows / PART_ROWS))));
  const [source, target] = await both(sides, table, (text) => text.parts, [parts - 1]);
  const sums = new Map(target.map((row) => [row['part'], row]));
  const different: { part: unknown; rows: number }[] = [];
  for (const row of source) {
    const other = sums.get(row['part']);
    sums.delete(row['part']);
    if (other?.['rows'] === row['rows'] && other?.['sum'] === row['sum']) continue;
    different.push({ part: row['part'], rows: Number(row['rows']) + Number(other?.['rows'] ?? 0) });
  }
  for (const row of sums.values()) different.push({ part: row['part'], rows: Number(row['rows']) });
  const found: RowDifference[] = [];
  for (let at = 0; at < different.length; ) {
    const some: unknown[] = [];
    for (let held = 0; at < different.length && (some.length === 0 || held < HELD_ROWS); at++) {
      some.push(different[at]!.part);
      held += different[at]!.rows;
    }
    const [ours, theirs] = await both(sides, table, (text) => text.rows, [parts - 1, some]);
    compareRows(ours, theirs, table.key.length > 0, found);
  }
  return found;
}

/** With a key, rows of one key are one row; without, rows are the same where everything of them is. */
function compareRows(
  source: readonly Row[],
  target: readonly Row[],
  keyed: boolean,
  found: RowDifference[],
): void {
  const name = (row: Row): string => String(row[keyed ? 'key' : 'hash']);
  const left = Map.groupBy(target, name);
  for (const row of source) {
    const other = left.get(name(row))?.pop();
    const key = String(row['key']);
    if (other === undefined) found.push({ key, what: 'only in the table' });
    else if (other['hash'] !== row['hash']) found.push({ key, what: 'different' });
  }
  for (const rows of left.values())
    for (const row of rows) found.push({ key: String(row['key']), what: 'only in the target' });
}

type Row = Readonly<Record<string, unknown>>;

interface Texts {
  readonly sum: string;
  readonly parts: string;
  readonly rows: string;
}

async function both(
  { source, target }: ComparedSides,
  table: ComparedTable,
  choose: (texts: Texts) => string,
  values: readonly unknown[] = [],
): Promise<[readonly Row[], readonly Row[]]> {
  const asked = (client: pg.ClientBase, side: 'source' | 'target') =>
    client.query<Record<string, unknown>>(choose(textsOf(table, side)), [...values]);
  const [one, other] = await Promise.all([asked(source, 'source'), asked(target, 'target')]);
  return [one.rows, other.rows];
}

function textsOf(table: ComparedTable, side: 'source' | 'target'): Texts {
  const names = table.columns.map((column) => `t.${quoteName(column[side])}`);
  const from = `${table.partitioned ? '' : 'ONLY '}${quotedTable(table)} AS t`;
  const whole = `ROW(${names.join(', ')})::text`;
  const hash = `hashtextextended(${whole} COLLATE "C", 0)`;
  const key =
    table.key.length > 0
      ? `jsonb_build_array(${table.key.map((place) => `format('%s', ${names[place]})`).join(', ')})::text`
      : `left(${whole}, ${SHOWN_CHARACTERS})`;
  const part = `(hashtextextended(${table.key.length > 0 ? key : whole} COLLATE "C", 1) & $1::bigint)`;
  const sums = `count(*)::text AS rows, coalesce(sum(${hash}), 0)::text AS sum`;
  return {
    sum: `SELECT ${sums} FROM ${from}`,
    parts: `SELECT ${part}::text AS part, ${sums} FROM ${from} GROUP BY 1`,
    rows: `SELECT ${key} AS key, ${hash}::text AS hash FROM ${from} WHERE ${part}::text = ANY ($2::text[])`,
  };
}
