/** Reads rows again after they were written, since no statement tells what triggers and types made of the value. */

import { isDeepStrictEqual } from 'node:util';
import type { ColumnFacts, RowChange } from '../database.ts';
import { storedAnother } from '../stored-another.ts';
import type { Client } from './connections.ts';
import { namingRows } from './scan.ts';
import { heldByCountText, rowsByKeyText } from './sql.ts';

/** A row that was found and locked, and what it is to hold. */
export interface LockedRow {
  /** As the row has it now, to find it by. */
  readonly key: readonly string[];
  readonly change: RowChange;
}

/** Counting texts of more characters than this takes several statements. */
const COUNTED_CHARACTERS_MAX = 1_000_000;

/**
 * The changes with what the rows hold now, without the rows that a trigger kept as they were. The type `json` has
 * a form of its own; anything else that differs from what was written is refused. Rows without a key are counted:
 * as many as were changed must hold each new value.
 */
export async function stored(
  client: Client,
  column: ColumnFacts,
  rows: readonly LockedRow[],
): Promise<RowChange[]> {
  if (rows.length === 0) return [];
  if (column.primaryKey.length > 0) return storedByKey(client, column, rows);
  await checkCounts(client, column, rows);
  return rows.map((row) => row.change);
}

async function storedByKey(
  client: Client,
  column: ColumnFacts,
  rows: readonly LockedRow[],
): Promise<RowChange[]> {
  const place = column.primaryKey.findIndex((part) => part.name === column.ref.column);
  const keys = rows.map(({ key, change }) => (place < 0 ? key : key.with(place, change.newValue)));
  const read = namingRows(await client.rows(rowsByKeyText(column, keys)));
  const now = new Map(read.map((row) => [rowIdentity(row.primaryKey), row.value]));
  return rows.flatMap(({ change }, index) => {
    const value = now.get(rowIdentity(keys[index]!));
    if (value === change.newValue) return [change];
    if (value === change.oldValue) return [];
    if (value !== undefined && column.dataType === 'json' && sameDocument(value, change.newValue))
      return [{ ...change, newValue: value }];
    throw storedAnother(column);
  });
}

function sameDocument(left: string, right: string): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(left), JSON.parse(right));
  } catch {
    return false;
  }
}

async function checkCounts(client: Client, column: ColumnFacts, rows: readonly LockedRow[]): Promise<void> {
  const rowsOf = Map.groupBy(rows, (row) => row.change.newValue);
  for (const values of parts([...rowsOf.keys()])) {
    const counted = await client.rows(heldByCountText(column, values));
    const counts = new Map(counted.map(([place, count]) => [Number(place), Number(count)]));
    const short = values.some((value, index) => (counts.get(index + 1) ?? 0) < rowsOf.get(value)!.length);
    if (short) throw storedAnother(column);
  }
}

function* parts(values: readonly string[]): Generator<string[]> {
  let part: string[] = [];
  let characters = 0;
  for (const value of values) {
    if (part.length > 0 && characters + value.length > COUNTED_CHARACTERS_MAX) {
      yield part;
      part = [];
      characters = 0;
    }
    part.push(value);
    characters += value.length;
  }
  if (part.length > 0) yield part;
}

/** A key as one text, to look rows up by. */
export function rowIdentity(key: readonly string[]): string {
  return key.length === 1 ? key[0]! : JSON.stringify(key);
}
