/** Changes the value of rows that still hold the old one, in one transaction. */

import { LongshoreError } from '../../errors.ts';
import type { ColumnFacts, RowChange } from '../database.ts';
import { distinctChanges } from '../distinct-changes.ts';
import type { Client } from './connections.ts';
import { type LockedRow, rowIdentity, stored } from './read-back.ts';
import { namingRows } from './scan.ts';
import { rewriteText, rowsByKeyText, rowsWithValueText } from './sql.ts';

/** A statement stays well below the smallest `max_allowed_packet` in use. */
const STATEMENT_CHARACTERS_MAX = 1_000_000;

/**
 * There is no UPDATE that says which rows it changed. The rows are therefore locked and read first
 * (`SELECT … FOR UPDATE`), compared here byte for byte, changed by one statement, and read again: a role may not
 * see the triggers that change what it writes.
 *
 * What a crash or a cut connection leaves behind:
 * - before COMMIT is sent: nothing, the server rolls back;
 * - after it is sent, before its answer: either nothing or all of it. The caller hears DATABASE_UNREACHABLE and
 *   asks the rows again.
 */
export async function rewriteRows(
  client: Client,
  column: ColumnFacts,
  changes: readonly RowChange[],
  beforeCommit: (changed: readonly RowChange[]) => void,
): Promise<RowChange[]> {
  const { byKey, byValue } = distinctChanges(column, changes);
  await client.change('START TRANSACTION');
  const locked = [
    ...(await lockByKey(client, column, byKey)),
    ...(await lockByValue(client, column, byValue)),
  ];
  for (const part of statements(column, locked)) await update(client, column, part);
  const changed = await stored(client, column, locked);
  beforeCommit(changed);
  await client.change('COMMIT');
  return changed;
}

async function lockByKey(
  client: Client,
  column: ColumnFacts,
  changes: readonly RowChange[],
): Promise<LockedRow[]> {
  if (changes.length === 0) return [];
  const keys = changes.map((change) => keyToFindBy(column, change));
  const rows = namingRows(await client.rows(rowsByKeyText(column, keys, ' FOR UPDATE')));
  const valueOfKey = new Map(rows.map((row) => [rowIdentity(row.primaryKey), row.value]));
  return changes
    .map((change, index) => ({ key: keys[index]!, change }))
    .filter(({ key, change }) => valueOfKey.get(rowIdentity(key)) === change.oldValue);
}

/** Where the column is itself part of the key, the row is found by its old value in place of that part. */
function keyToFindBy(column: ColumnFacts, change: RowChange): readonly string[] {
  const place = column.primaryKey.findIndex((key) => key.name === column.ref.column);
  return place < 0 ? change.primaryKey : change.primaryKey.with(place, change.oldValue);
}

async function lockByValue(
  client: Client,
  column: ColumnFacts,
  changes: readonly RowChange[],
): Promise<LockedRow[]> {
  if (changes.length === 0) return [];
  const changeOfValue = new Map(changes.map((change) => [change.oldValue, change]));
  const text = rowsWithValueText(column, [...changeOfValue.keys()], ' FOR UPDATE');
  return namingRows(await client.rows(text)).flatMap(({ primaryKey, value }) => {
    const change = changeOfValue.get(value);
    return change === undefined ? [] : [{ key: primaryKey, change: { ...change, primaryKey } }];
  });
}

/**
 * Cuts the rows so that in each part an old value has one new value, all the rows with an old value are in one
 * part where rows have no key, and the statement is not too long.
 */
function* statements(column: ColumnFacts, rows: readonly LockedRow[]): Generator<LockedRow[]> {
  const keyed = column.primaryKey.length > 0;
  const ordered = keyed
    ? rows
    : rows.toSorted((left, right) => (left.change.oldValue < right.change.oldValue ? -1 : 1));
  let part: LockedRow[] = [];
  let newOf = new Map<string, string>();
  let characters = 0;
  for (const row of ordered) {
    const { oldValue, newValue } = row.change;
    const other = newOf.get(oldValue);
    const full = characters > STATEMENT_CHARACTERS_MAX && (keyed || other === undefined);
    if (full || (other !== undefined && other !== newValue)) {
      yield part;
      part = [];
      newOf = new Map();
      characters = 0;
    }
    part.push(row);
    newOf.set(oldValue, newValue);
    characters += 2 * oldValue.length + newValue.length;
  }
  if (part.length > 0) yield part;
}

async function update(client: Client, column: ColumnFacts, rows: readonly LockedRow[]): Promise<void> {
  const rewrites = rows.map(({ key, change }) => ({
    key,
    oldValue: change.oldValue,
    newValue: change.newValue,
  }));
  const matched = await client.change(rewriteText(column, rewrites));
  if (matched === rows.length) return;
  throw new LongshoreError(
    'DATABASE_CONFLICT',
    `Cannot rewrite rows of ${column.name}: rows came meanwhile`,
    {
      hint: 'nothing was changed; the same is tried again',
      context: { column: column.name },
    },
  );
}
