/** What came of masking, whichever engine did it: what does not hold is an error, the rest is told. */

import { LongshoreError } from '../../errors.ts';
import { type ForeignKey, tableName } from './catalogue.ts';
import {
  type ColumnRule,
  type MaskedColumn,
  type MaskedTable,
  type MaskedTableResult,
  ruleName,
} from './work.ts';

/** Whether none of the values may be there afterwards. */
export function hidesAll({ kind }: ColumnRule): boolean {
  return kind === 'hash' || kind === 'email';
}

/** @param left values that are not what the rule makes @throws RUN_INCOMPLETE where there are some */
export function checkLeft({ table }: MaskedTable, { column, rule }: MaskedColumn, left: number): void {
  if (left === 0) return;
  throw new LongshoreError(
    'RUN_INCOMPLETE',
    `Cannot mask ${tableName(table)}.${column.name}: ${left} of its values are not what the rule ${ruleName(rule)} makes`,
  );
}

/** @param orphans rows whose reference leads nowhere @throws RUN_INCOMPLETE where there are some */
export function checkOrphans(database: string, { child, parent, name }: ForeignKey, orphans: number): void {
  if (orphans === 0) return;
  throw new LongshoreError(
    'RUN_INCOMPLETE',
    `Cannot mask ${database}: ${orphans} rows of ${child} have no row in ${parent} that they refer to by ${name}`,
  );
}

/** @param counts rows, then values of each column that are not NULL @param deleted rows that went */
export function maskedResult(
  { table, columns }: MaskedTable,
  [rows, ...values]: readonly number[],
  deleted: number,
): MaskedTableResult {
  return {
    table: tableName(table),
    rows: rows!,
    deleted,
    columns: columns.map(({ column, rule }, index) => ({
      name: column.name,
      rule: ruleName(rule),
      values: values[index]!,
    })),
  };
}
