/** Sorts a batch of changes by how their rows are found, and keeps one change a row. */

import type { ColumnFacts, RowChange } from './database.ts';

/** A batch as the databases apply it: rows found by their key, and rows found by the value that they hold. */
export interface DistinctChanges {
  readonly byKey: readonly RowChange[];
  readonly byValue: readonly RowChange[];
}

/**
 * The first change of each row; later ones of the same row are left out, and so are not in a rewrite's result.
 * Where the table has no key, or a change names none, the row is known by its old value.
 */
export function distinctChanges(column: ColumnFacts, changes: readonly RowChange[]): DistinctChanges {
  const keyed = column.primaryKey.length > 0;
  const seenKeys = new Set<string>();
  const seenValues = new Set<string>();
  const byKey: RowChange[] = [];
  const byValue: RowChange[] = [];
  for (const change of changes) {
    const key = change.primaryKey;
    if (keyed && key.length > 0) {
      const identity = key.length === 1 ? key[0]! : JSON.stringify(key);
      if (seenKeys.has(identity)) continue;
      seenKeys.add(identity);
      byKey.push(change);
    } else {
      if (seenValues.has(change.oldValue)) continue;
      seenValues.add(change.oldValue);
      byValue.push(change);
    }
  }
  return { byKey, byValue };
}
