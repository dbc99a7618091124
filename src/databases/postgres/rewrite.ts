/** Changes the value of rows that still hold the old one, in one transaction. */

import type { ColumnFacts, RowChange } from '../database.ts';
import { distinctChanges } from '../distinct-changes.ts';
import { storedAnother } from '../stored-another.ts';
import type { Client } from './connections.ts';
import { readBack, type WrittenRow } from './read-back.ts';
import { queryRows } from './scan.ts';
import { arrayLiteral, rewriteText } from './sql.ts';

/**
 * Waiting longer for a lock would queue behind a change of the table's definition, and the application's own
 * statements behind us.
 */
const BEGIN =
  "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '60s'";

/**
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
  await client.query(BEGIN);
  let changed: RowChange[];
  try {
    const written: WrittenRow[] = [];
    if (byKey.length > 0) written.push(...(await update(client, column, byKey, false)));
    if (byValue.length > 0) written.push(...(await update(client, column, byValue, true)));
    // The UPDATE tells what rows held before the triggers that fire after it.
    if (column.updateTriggers.length > 0) await readBack(client, column, written);
    changed = written.map(({ change }) => change);
    beforeCommit(changed);
  } catch (error) {
    // On a broken connection this fails as well, and the server rolls back by itself.
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
  await client.query('COMMIT');
  return changed;
}

async function update(
  client: Client,
  column: ColumnFacts,
  changes: readonly RowChange[],
  byValue: boolean,
): Promise<WrittenRow[]> {
  const keys = byValue
    ? []
    : column.primaryKey.map((_, index) => changes.map((change) => change.primaryKey[index]!));
  const arrays = [
    ...keys,
    changes.map((change) => change.oldValue),
    changes.map((change) => change.newValue),
  ];
  const values = arrays.map(arrayLiteral);
  const rows = await queryRows(client, { text: rewriteText(column, byValue), values });
  const written: WrittenRow[] = [];
  const seen = new Set<number>();
  for (const [place, stored, ...key] of rows) {
    const change = changes[Number(place) - 1]!;
    if (!byValue) {
      // A key can occur again in a table that inherits.
      if (seen.has(Number(place))) continue;
      seen.add(Number(place));
    }
    const newValue = stored === null ? change.newValue : storedValue(column, String(stored));
    if (newValue === change.oldValue && newValue !== change.newValue) continue;
    const same = !byValue && newValue === change.newValue;
    const primaryKey = byValue ? (key as string[]) : change.primaryKey;
    written.push({
      change: same ? change : { primaryKey, oldValue: change.oldValue, newValue },
      asked: change.newValue,
    });
  }
  return written;
}

/** JSON documents and arrays are stored in a form of the database's own; anything else is a trigger's doing. */
function storedValue(column: ColumnFacts, stored: string): string {
  if (column.within === 'json' || column.within === 'array') return stored;
  throw storedAnother(column);
}
