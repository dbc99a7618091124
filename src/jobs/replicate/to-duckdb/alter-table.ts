/** Brings a table of DuckDB, and changes that wait for it, to the columns that it has next. */

import { UNFIT_COLUMN } from '../../../databases/postgres/field-mapping.ts';
import type { OlderRows } from '../../../databases/postgres/older-rows.ts';
import { columnSql } from './change-sql.ts';
import { type ColumnChanges, columnChanges, pairColumns, type WarehouseColumn } from './column-changes.ts';
import { type DuckDbFile, literal, quoted, tableName } from './duckdb-file.ts';
import { duckDbType } from './duckdb-type.ts';
import type { SourceCatalogue } from './source-catalogue.ts';
import type { WarehouseTable } from './warehouse-state.ts';

export interface Alteration {
  readonly statements: readonly string[];
  /** What new columns are in older rows: literals by their names; NULL where it is left out. */
  readonly defaults: ReadonlyMap<string, string>;
}

/**
 * @param waiting columns of changes of before
 * @returns or why the table has to be loaded again: nothing tells what the columns are in its rows
 */
export async function planAlteration(
  db: DuckDbFile,
  table: WarehouseTable,
  next: readonly WarehouseColumn[],
  waiting: readonly (readonly WarehouseColumn[])[],
  options: { readonly source: SourceCatalogue; readonly reloads: boolean; readonly hasUnfit: boolean },
): Promise<Alteration | string> {
  const { source, reloads, hasUnfit } = options;
  const target = tableName(table);
  const isThere = table.columns.length > 0;
  const hasRows = isThere && (await db.rows(`SELECT 1 FROM ${target} LIMIT 1`)).length > 0;
  const older = [...(hasRows ? [table.columns] : []), ...waiting].map((columns) =>
    columnChanges(columns, next),
  );
  const [retyped] = older.flatMap((changes) => changes?.retyped ?? []);
  if (retyped !== undefined && reloads) return `its column ${retyped.name} has another type`;
  const added = new Map(
    older.flatMap((changes) => (changes?.added ?? []).map((column) => [column.name, column])),
  );
  const fills = added.size === 0 ? undefined : await source.olderRows(table.oid);
  const defaults = new Map<string, string>();
  for (const column of added.values()) {
    const fill = await defaultOf(db, column, fills!);
    if (fill === 'unknown' && reloads) return `its new column ${column.name} has a value in every row`;
    if (fill !== undefined && fill !== 'unknown') defaults.set(column.name, fill.text);
  }
  const changes = isThere ? columnChanges(table.columns, next) : undefined;
  return {
    statements: changes === undefined ? [] : statementsOf(target, changes, defaults, hasUnfit),
    defaults,
  };
}

/** What the columns are in changes of before, in SQL, and under which names these have them. */
export function earlierColumns(
  before: readonly WarehouseColumn[],
  next: readonly WarehouseColumn[],
  { defaults }: Alteration,
): { readonly value: string; readonly sentAs: string | undefined }[] {
  return pairColumns(before, next).map((one, i) => {
    const column = next[i]!;
    if (one === undefined)
      return {
        value: `CAST(${defaults.get(column.name) ?? 'NULL'} AS ${duckDbType(column)})`,
        sentAs: undefined,
      };
    const at = `v${before.indexOf(one)}`;
    const [type, now] = [duckDbType(one), duckDbType(column)];
    return { value: type === now ? at : `TRY_CAST(${at} AS ${now})`, sentAs: one.name };
  });
}

/** The side column with the names that columns have next; undefined where it stays as it is. */
export function renamedUnfitSql(
  at: string,
  { dropped, renamed }: Pick<ColumnChanges, 'dropped' | 'renamed'>,
): string | undefined {
  if (dropped.length === 0 && renamed.length === 0) return undefined;
  const gone = dropped.map(({ name }) => `e.key <> ${literal(name)}`);
  const names = renamed.map(({ from, to }) => `WHEN ${literal(from)} THEN ${literal(to)}`);
  const name = names.length === 0 ? 'e.key' : `CASE e.key ${names.join(' ')} ELSE e.key END`;
  const entries = `map_entries(CAST(${at} AS MAP(VARCHAR, VARCHAR)))`;
  const kept = gone.length === 0 ? entries : `list_filter(${entries}, lambda e: ${gone.join(' AND ')})`;
  const now = `list_transform(${kept}, lambda e: {'k': ${name}, 'v': e.value})`;
  return `CASE WHEN len(${kept}) > 0 THEN to_json(map_from_entries(${now})) END`;
}

/** What a new column is in the rows of before: a literal, since by anything else DuckDB cannot alter a table twice. */
async function defaultOf(
  db: DuckDbFile,
  column: WarehouseColumn,
  fills: ReadonlyMap<number, OlderRows>,
): Promise<{ readonly text: string } | 'unknown' | undefined> {
  // A column of our own is of later changes only; one that is gone again takes its values with it.
  const fill = column.type === '' || column.number === null ? undefined : fills.get(column.number);
  if (fill === undefined || fill.kind === 'null') return undefined;
  if (fill.kind === 'unknown') return 'unknown';
  const type = duckDbType(column);
  // Bytes are hexadecimal digits, of bytea behind `\\x`.
  const text = type === 'BLOB' ? fill.text.replace(/^\\x/, '').replace(/../g, '\\x$&') : fill.text;
  const [row] = await db.rows(`SELECT TRY_CAST(${literal(text)} AS ${type}) IS NOT NULL`);
  return row?.[0] === true ? { text: literal(text) } : 'unknown';
}

/** Columns that go, and those that exchange names, have other names in between. */
function statementsOf(
  target: string,
  { dropped, renamed, retyped, added }: ColumnChanges,
  defaults: ReadonlyMap<string, string>,
  hasUnfit: boolean,
): string[] {
  const alter = `ALTER TABLE ${target}`;
  const leaving = dropped.map(({ name }, i) => ({ name, now: `longshore_dropped_${i}` }));
  const moving = renamed.map(({ from, to }, i) => ({ from, to, now: `longshore_renamed_${i}` }));
  const unfit = hasUnfit ? renamedUnfitSql(UNFIT_COLUMN, { dropped, renamed }) : undefined;
  return [
    ...leaving.map(({ name, now }) => `${alter} RENAME ${quoted(name)} TO ${quoted(now)}`),
    ...moving.map(({ from, now }) => `${alter} RENAME ${quoted(from)} TO ${quoted(now)}`),
    ...moving.map(({ to, now }) => `${alter} RENAME ${quoted(now)} TO ${quoted(to)}`),
    ...retyped.map((column) => {
      const type = duckDbType(column);
      return `${alter} ALTER ${quoted(column.name)} TYPE ${type} USING TRY_CAST(${quoted(column.name)} AS ${type})`;
    }),
    ...added.flatMap((column) => {
      const value = defaults.get(column.name);
      if (value === undefined) return [`${alter} ADD COLUMN ${columnSql(column)}`];
      return [
        `${alter} ADD COLUMN ${columnSql(column)} DEFAULT ${value}`,
        `${alter} ALTER ${quoted(column.name)} DROP DEFAULT`,
      ];
    }),
    ...leaving.map(({ now }) => `${alter} DROP COLUMN ${quoted(now)}`),
    ...(unfit === undefined
      ? []
      : [`UPDATE ${target} SET ${UNFIT_COLUMN} = ${unfit} WHERE ${UNFIT_COLUMN} IS NOT NULL`]),
  ];
}
