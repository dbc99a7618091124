/** Changes the value of rows that still hold the old one, in one transaction. */

import { LongshoreError } from '../../errors.ts';
import type { ColumnFacts, RowChange } from '../database.ts';
import { distinctChanges } from '../distinct-changes.ts';
import type { Client } from './connections.ts';
import { queryRows } from './scan.ts';
import { arrayLiteral, rewriteText } from './sql.ts';

/**
 * Waiting longer for a lock would queue behind a change of the table's definition, and the application's own
 * statements behind us.
 */
const BEGIN =
  "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '60s'";

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
  const changed: RowChange[] = [];
  try {
    if (byKey.length > 0) changed.push(...(await update(client, column, byKey, false)));
    if (byValue.length > 0) changed.push(...(await update(client, column, byValue, true)));
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
): Promise<RowChange[]> {
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
  const changed: RowChange[] = [];
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
    changed.push(same ? change : { primaryKey, oldValue: change.oldValue, newValue });
  }
  return changed;
}

/** JSON documents and arrays are stored in a form of the database's own; anything else is a trigger's doing. */
function storedValue(column: ColumnFacts, stored: string): string {
  if (column.within === 'json' || column.within === 'array') return stored;
  throw new LongshoreError(
    'DATABASE_FAILED',
    `Cannot rewrite rows of ${column.name}: the database stored another value`,
    {
      hint: 'a trigger or the type of the column changes what is written; nothing was changed',
      context: { column: column.name },
    },
  );
}
