/** Makes the columns of a table of the target what they have become in the source. */

import type pg from 'pg';
import type { Relation } from '../../../databases/postgres/pgoutput.ts';
import { quoteText } from '../../../databases/postgres/schema-object.ts';
import { quoteName } from '../../../databases/postgres/sql.ts';
import { quotedTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../../errors.ts';
import type { ColumnChange } from './column-changes.ts';
import { addedValue } from './source-columns.ts';

/**
 * @param target in the transaction of the changes that follow
 * @returns what to tell the user
 * @throws CHECK_FAILED for a column whose values in old rows cannot be known
 */
export async function changeColumns(
  source: pg.ClientBase,
  target: pg.ClientBase,
  relation: Relation,
  changes: readonly ColumnChange[],
): Promise<string[]> {
  const table = quotedTable({ schema: relation.schema, name: relation.table });
  const notices: string[] = [];
  for (const change of changes) {
    const name = quoteName(change.name);
    switch (change.kind) {
      case 'drop':
        await target.query(`ALTER TABLE ${table} DROP COLUMN ${name}`);
        break;
      case 'rename':
        await target.query(`ALTER TABLE ${table} RENAME COLUMN ${name} TO ${quoteName(change.to)}`);
        break;
      case 'widen':
        await target.query(`ALTER TABLE ${table} ALTER COLUMN ${name} TYPE ${change.type}`);
        break;
      case 'add':
        await addColumn(source, target, relation, change);
        notices.push(
          `${relation.schema}.${relation.table} has a new column ${change.name}: its default and constraints are not copied`,
        );
    }
  }
  return notices;
}

async function addColumn(
  source: pg.ClientBase,
  target: pg.ClientBase,
  relation: Relation,
  { name, number, type }: Extract<ColumnChange, { kind: 'add' }>,
): Promise<void> {
  const table = quotedTable({ schema: relation.schema, name: relation.table });
  const column = `ALTER TABLE ${table} ADD COLUMN ${quoteName(name)} ${type}`;
  const before = await addedValue(source, relation.oid, number);
  if (before === 'unknown') {
    const { rowCount } = await target.query(`SELECT FROM ${table} LIMIT 1`);
    if (rowCount !== 0)
      throw unclearColumns(relation, `${name} was added with another value for each row that was there`);
    await target.query(column);
  } else if (before.value === null) await target.query(column);
  else {
    await target.query(`${column} DEFAULT ${quoteText(before.value)}`);
    await target.query(`ALTER TABLE ${table} ALTER COLUMN ${quoteName(name)} DROP DEFAULT`);
  }
}

/** What cannot be followed. */
export function unclearColumns({ schema, table }: Relation, why: string): LongshoreError {
  return new LongshoreError(
    'CHECK_FAILED',
    `cannot follow the change of columns of ${schema}.${table}: ${why}`,
    {
      hint: `change the table in the target by hand and take it out with --tables '!${schema}.${table}', or load it again with --resync '${schema}.${table}'`,
      context: { changed: true },
    },
  );
}
