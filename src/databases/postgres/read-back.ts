/** Reads rows again after they were written: a trigger that fires after the update may have changed them. */

import type { ColumnFacts, RowChange } from '../database.ts';
import { storedAnother } from '../stored-another.ts';
import type { Client } from './connections.ts';
import { queryRows } from './scan.ts';
import { arrayLiteral, heldByCountStatement, heldByKeyStatement } from './sql.ts';

/** A row as it was changed, and the value that was asked for, in the caller's spelling. */
export interface WrittenRow {
  readonly change: RowChange;
  readonly asked: string;
}

/**
 * Refuses when a row does not hold what was asked for, in the type's own spelling. Triggers that wait for the
 * commit are fired first. Rows without a key are counted: as many as were changed must hold each new value.
 */
export async function readBack(
  client: Client,
  column: ColumnFacts,
  written: readonly WrittenRow[],
): Promise<void> {
  if (written.length === 0) return;
  await client.query('SET CONSTRAINTS ALL IMMEDIATE');
  const held =
    column.primaryKey.length > 0
      ? await heldByKey(client, column, written)
      : await heldByCount(client, column, written);
  if (!held) throw storedAnother(column);
}

async function heldByKey(
  client: Client,
  column: ColumnFacts,
  written: readonly WrittenRow[],
): Promise<boolean> {
  const keys = column.primaryKey.map((key, index) =>
    written.map(({ change, asked }) => (key.name === column.ref.column ? asked : change.primaryKey[index]!)),
  );
  const arrays = [...keys, written.map(({ asked }) => asked)];
  const rows = await queryRows(client, {
    text: heldByKeyStatement(column),
    values: arrays.map(arrayLiteral),
  });
  return rows.length === written.length;
}

async function heldByCount(
  client: Client,
  column: ColumnFacts,
  written: readonly WrittenRow[],
): Promise<boolean> {
  const rowsOf = Map.groupBy(written, ({ asked }) => asked);
  const rows = await queryRows(client, {
    text: heldByCountStatement(column),
    values: [arrayLiteral([...rowsOf.keys()])],
  });
  const counts = new Map(rows.map(([place, count]) => [Number(place), Number(count)]));
  return [...rowsOf.values()].every((some, index) => (counts.get(index + 1) ?? 0) >= some.length);
}
