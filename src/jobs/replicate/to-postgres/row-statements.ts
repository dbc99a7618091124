/** The SQL that changes rows of the target: many rows a statement, as arrays of texts that become values of their types. Pure. */

import { quoteName } from '../../../databases/postgres/sql.ts';
import type { Values } from './net-rows.ts';
import { arrayText, columnText, type TargetColumn, type TargetTable, valueText } from './target-table.ts';

export interface RowStatement {
  readonly text: string;
  readonly values: readonly (string | number)[];
}

export function insertStatement(table: TargetTable, rows: readonly Values[]): RowStatement {
  const { columns, plainText } = table;
  if (columns.length === 0)
    return {
      text: `INSERT INTO ${plainText} SELECT FROM generate_series(1, $1::int)`,
      values: [rows.length],
    };
  const names = columns.map((_, i) => `s${i}`);
  const text = `INSERT INTO ${plainText} (${columns.map(columnText).join(', ')}) OVERRIDING SYSTEM VALUE
SELECT ${columns.map((column, i) => valueText(column, names[i]!)).join(', ')} FROM ${unnested(columns, names)}`;
  return { text, values: columns.map((_, i) => arrayOf(rows, i)) };
}

/** @param keys of the rows, as they are in the target */
export function deleteStatement(table: TargetTable, keys: readonly Values[]): RowStatement {
  const { columns, names } = keyOf(table);
  const text = `DELETE FROM ${table.text} AS t USING ${unnested(columns, names)} WHERE ${sameKey(columns, names)}`;
  return { text, values: columns.map((_, i) => arrayOf(keys, i)) };
}

/**
 * @param places of the columns that are set; those whose values only the server gives are not, and must be the same
 * @param into another table of the same columns, where every column may be set
 */
export function updateStatement(
  table: TargetTable,
  places: readonly number[],
  rows: readonly { readonly key: Values; readonly values: Values }[],
  into?: string,
): RowStatement {
  const { columns, names } = keyOf(table);
  const given = places.map((place) => table.columns[place]!);
  const givenNames = places.map((_, i) => `s${i}`);
  const isSet = (column: TargetColumn): boolean => into !== undefined || !column.always;
  const assigned = given.flatMap((column, i) =>
    isSet(column) ? [`${columnText(column)} = ${valueText(column, givenNames[i]!)}`] : [],
  );
  const same = given.flatMap((column, i) =>
    isSet(column) ? [] : [`t.${columnText(column)} = ${valueText(column, givenNames[i]!)}`],
  );
  const from = unnested([...columns, ...given], [...names, ...givenNames]);
  const where = [sameKey(columns, names), ...same].join(' AND ');
  const text =
    assigned.length === 0
      ? `SELECT FROM ${table.text} AS t, ${from} WHERE ${where}`
      : `UPDATE ${into ?? table.text} AS t SET ${assigned.join(', ')}\nFROM ${from} WHERE ${where}`;
  const keys = rows.map(({ key }) => key);
  const values = rows.map((row) => row.values);
  return {
    text,
    values: [...columns.map((_, i) => arrayOf(keys, i)), ...places.map((place) => arrayOf(values, place))],
  };
}

/** Copies rows into a table of the same columns. */
export function selectIntoStatement(table: TargetTable, into: string, keys: readonly Values[]): RowStatement {
  const { columns, names } = keyOf(table);
  const list = table.columns.map(columnText);
  const text = `INSERT INTO ${into} (${list.join(', ')}) SELECT ${list.map((name) => `t.${name}`).join(', ')}
FROM ${table.text} AS t JOIN ${unnested(columns, names)} ON ${sameKey(columns, names)}`;
  return { text, values: columns.map((_, i) => arrayOf(keys, i)) };
}

/** One row that is like the one given, where the whole row alone says which it is. @param after undefined to delete it */
export function wholeRowStatement(
  table: TargetTable,
  before: Values,
  after: Values | undefined,
): RowStatement {
  const values: string[] = [];
  const parameter = (value: string, type: string): string => {
    values.push(value);
    return `$${values.length}::${type}`;
  };
  const conditions = table.columns.map((column, i) => {
    const value = before[i];
    const name = `o.${columnText(column)}`;
    if (value === null || value === undefined) return `${name} IS NOT DISTINCT FROM NULL`;
    if (column.exact) return `${name}${toBase(column)} = ${parameter(value, column.type)}${toBase(column)}`;
    return `format('%s', ${name}) = ${parameter(value, 'text')}`;
  });
  const like = `(t.tableoid, t.ctid) = (SELECT o.tableoid, o.ctid FROM ${table.text} AS o${
    conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  } LIMIT 1)`;
  if (after === undefined) return { text: `DELETE FROM ${table.text} AS t WHERE ${like}`, values };
  const set = table.columns.flatMap((column, i) => {
    const value = after[i];
    if (value === undefined || value === before[i]) return [];
    return [`${columnText(column)} = ${value === null ? 'NULL' : parameter(value, column.type)}`];
  });
  // An update that changes nothing still finds its row.
  if (set.length === 0) return { text: `SELECT FROM ${table.text} AS t WHERE ${like}`, values };
  return { text: `UPDATE ${table.text} AS t SET ${set.join(', ')} WHERE ${like}`, values };
}

function keyOf({ columns, key }: TargetTable): { columns: readonly TargetColumn[]; names: string[] } {
  return { columns: key.map((place) => columns[place]!), names: key.map((_, i) => `k${i}`) };
}

function unnested(columns: readonly TargetColumn[], names: readonly string[]): string {
  return `unnest(${columns.map((column, i) => arrayText(column, i + 1)).join(', ')}) AS v (${names.map(quoteName).join(', ')})`;
}

function sameKey(columns: readonly TargetColumn[], names: readonly string[]): string {
  return columns
    .map((column, i) => {
      const base = toBase(column);
      return `t.${columnText(column)}${base} ${column.equals} ${valueText(column, names[i]!)}${base}`;
    })
    .join(' AND ');
}

function toBase({ base }: TargetColumn): string {
  return base === null ? '' : `::${base}`;
}

/** The array of one column's values, as the server reads it. */
function arrayOf(rows: readonly Values[], place: number): string {
  let text = '{';
  for (let i = 0; i < rows.length; i++) {
    const value = rows[i]![place];
    if (i > 0) text += ',';
    if (value === null || value === undefined) text += 'NULL';
    else text += `"${value.includes('"') || value.includes('\\') ? value.replace(/["\\]/g, '\\$&') : value}"`;
  }
  return `${text}}`;
}
