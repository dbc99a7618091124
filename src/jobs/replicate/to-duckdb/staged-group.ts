/** Staged changes of one set of columns, and what they are to a table that has other columns by now. Pure. */

import { type Alteration, earlierColumns, renamedUnfitSql } from './alter-table.ts';
import type { StagedChanges } from './change-sql.ts';
import { columnChanges, type WarehouseColumn } from './column-changes.ts';

export interface StagedGroup {
  /** The table in which they wait. */
  readonly staged: string;
  readonly columns: readonly WarehouseColumn[];
  /** Names of the columns that say which row a change is of; undefined where the whole row does. */
  readonly identity: readonly string[] | undefined;
  /** Whether some change has values that DuckDB cannot hold. */
  readonly unfit: boolean;
}

/** @param next the columns of the table */
export function stagedChanges(
  { staged, columns, unfit }: StagedGroup,
  next: readonly WarehouseColumn[],
  plan: Alteration,
): Pick<StagedChanges, 'staged' | 'columns' | 'unfit'> {
  if (columns === next)
    return { staged, columns: next.map((column) => ({ ...column, sentAs: column.name })), unfit };
  const earlier = earlierColumns(columns, next, plan);
  const changes = columnChanges(columns, next);
  const aside = (changes && renamedUnfitSql('u', changes)) ?? 'u';
  const values = earlier.map(({ value }, i) => `${value} AS v${i}`).join(', ');
  return {
    staged: `(SELECT ${values}, ${aside} AS u, op, lsn, ord, reread FROM ${staged})`,
    columns: next.map((column, i) => ({ ...column, sentAs: earlier[i]!.sentAs })),
    unfit,
  };
}
