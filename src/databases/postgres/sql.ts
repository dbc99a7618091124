/** Builds the SQL text that is sent to PostgreSQL: pure functions, values only ever as parameters. */

import type { ColumnFacts, KeyRange } from '../database.ts';

/** A statement and its parameters. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A name in double quotes, which keeps its capitals, dots and blanks. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The table as it stands in a statement. */
export function tableOf(column: ColumnFacts): string {
  const { schema, table } = column.ref;
  return schema === undefined ? quoteName(table) : `${quoteName(schema)}.${quoteName(table)}`;
}

/** The column's value as text, compared byte for byte. */
export function valueText(column: ColumnFacts): string {
  return `t.${quoteName(column.ref.column)}::text COLLATE "C"`;
}

/** The key columns as text, each with a comma behind it: what a list of columns starts with. */
function keyText(column: ColumnFacts): string {
  return column.primaryKey.map((key) => `t.${quoteName(key.name)}::text, `).join('');
}

/** `SELECT key columns…, value FROM table AS t`. */
function selectRows(column: ColumnFacts, from = `${tableOf(column)} AS t`): string {
  return `SELECT ${keyText(column)}t.${quoteName(column.ref.column)}::text FROM ${from}`;
}

/** `(t.a, t.b)`, or `t.a` where the key is one column. */
function keyTuple(column: ColumnFacts): string {
  const names = column.primaryKey.map((key) => `t.${quoteName(key.name)}`);
  return names.length === 1 ? names[0]! : `(${names.join(', ')})`;
}

/** Collects parameters and gives their place holders. */
class Parameters {
  readonly values: unknown[] = [];

  add(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/** The condition that a row lies in a range; undefined when every row does. Without a key, ranges are of CTIDs. */
function rangeCondition(column: ColumnFacts, range: KeyRange, parameters: Parameters): string | undefined {
  const keyed = column.primaryKey.length > 0;
  const types = keyed ? column.primaryKey.map((key) => key.type) : ['tid'];
  const left = keyed ? keyTuple(column) : 't.ctid';
  const bound = (operator: string, key: readonly string[] | undefined): string[] => {
    if (key === undefined) return [];
    const right = types.map((type, index) => `${parameters.add(key[index])}::text::${type}`);
    return [`${left} ${operator} ${right.length === 1 ? right[0] : `(${right.join(', ')})`}`];
  };
  return [...bound('>', range.after), ...bound('<=', range.upTo)].join(' AND ') || undefined;
}

function needleCondition(
  column: ColumnFacts,
  needles: readonly string[] | undefined,
  parameters: Parameters,
): string | undefined {
  if (needles === undefined) return undefined;
  if (needles.length === 0) return 'false';
  const tests = needles.map(
    (needle) => `position(${parameters.add(needle)}::text in (${valueText(column)})) > 0`,
  );
  return `(${tests.join(' OR ')})`;
}

function where(...conditions: readonly (string | undefined)[]): string {
  return ` WHERE ${conditions.filter((condition) => condition !== undefined).join(' AND ')}`;
}

/** The rows of a range, in key order and at most `limit` where there is a key. Rows without a value are left out. */
export function scanStatement(
  column: ColumnFacts,
  range: KeyRange,
  needles: readonly string[] | undefined,
  limit: number,
): Statement {
  const parameters = new Parameters();
  const text =
    selectRows(column) +
    where(
      rangeCondition(column, range, parameters),
      `t.${quoteName(column.ref.column)} IS NOT NULL`,
      needleCondition(column, needles, parameters),
    );
  const order = column.primaryKey.map((key) => `t.${quoteName(key.name)}`).join(', ');
  const page = order === '' ? '' : ` ORDER BY ${order} LIMIT ${Math.trunc(limit)}`;
  return { text: text + page, values: parameters.values };
}

/** The key of the row `rows` places after `after`: where the next range begins. */
export function boundaryStatement(
  column: ColumnFacts,
  after: readonly string[] | undefined,
  rows: number,
): Statement {
  const parameters = new Parameters();
  const condition = rangeCondition(column, { after }, parameters);
  const order = column.primaryKey.map((key) => `t.${quoteName(key.name)}`).join(', ');
  const text =
    `SELECT ${keyText(column).slice(0, -2)} FROM ${tableOf(column)} AS t` +
    (condition === undefined ? '' : where(condition)) +
    ` ORDER BY ${order} OFFSET ${Math.trunc(rows) - 1} LIMIT 1`;
  return { text, values: parameters.values };
}

/** An array of texts as PostgreSQL reads it; the driver's own writer costs several times as much. */
export function arrayLiteral(texts: readonly string[]): string {
  if (texts.length === 0) return '{}';
  const joined = texts.join('');
  if (!joined.includes('"') && !joined.includes('\\')) return `{"${texts.join('","')}"}`;
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

/** The rows that hold one of the values. Equality in the column's own type lets the index answer. */
export function rowsWithValueStatement(column: ColumnFacts, values: readonly string[]): Statement {
  const text =
    selectRows(column) +
    where(
      column.indexed
        ? `t.${quoteName(column.ref.column)} = ANY($1::text[]::${column.dataType}[])`
        : undefined,
      `${valueText(column)} = ANY($1::text[])`,
    );
  return { text, values: [arrayLiteral(values)] };
}

/** `unnest($1::text[], …) WITH ORDINALITY AS v(k1, …)` over one array a name; `n` counts from 1. */
function unnest(names: readonly string[]): string {
  const arrays = names.map((_, index) => `$${index + 1}::text[]`);
  return `unnest(${arrays.join(', ')}) WITH ORDINALITY AS v(${names.join(', ')}, n)`;
}

/** The rows with the keys, and their value now. */
export function rowsByKeyStatement(
  column: ColumnFacts,
  primaryKeys: readonly (readonly string[])[],
): Statement {
  const names = column.primaryKey.map((_, index) => `k${index + 1}`);
  const join = column.primaryKey.map(
    (key, index) => `t.${quoteName(key.name)} = v.k${index + 1}::${key.type}`,
  );
  const text =
    selectRows(column, `${unnest(names)} JOIN ${tableOf(column)} AS t ON ${join.join(' AND ')}`) +
    where(`t.${quoteName(column.ref.column)} IS NOT NULL`);
  return { text, values: names.map((_, index) => arrayLiteral(primaryKeys.map((key) => key[index]!))) };
}

/**
 * The text of the one statement that rewrites a batch. Parameters are arrays: one for each key column unless
 * `byValue`, then the old values, then the new ones.
 *
 * It answers the place of the change in the arrays (from 1), what is stored now where that is not the new value
 * as given, and, `byValue`, the row's key. Changes are taken in key order, so that two batches that meet wait
 * for one another and do not deadlock. Where the column is itself part of the key, the row is found by its old
 * value in place of that part.
 */
export function rewriteText(column: ColumnFacts, byValue: boolean): string {
  const keys = byValue ? [] : column.primaryKey;
  const name = quoteName(column.ref.column);
  const isColumn = (key: { readonly name: string }) => key.name === column.ref.column;
  const columns = [
    ...keys.map((key, index) => `${isColumn(key) ? 'old' : `k${index + 1}`}::${key.type} AS k${index + 1}`),
    'old',
    'new',
    'n',
  ];
  const order = byValue ? 'old' : keys.map((_, index) => index + 1).join(', ');
  const source = `(SELECT ${columns.join(', ')} FROM ${unnest([...keys.map((_, index) => `k${index + 1}`), 'old', 'new'])} ORDER BY ${order})`;
  const conditions = keys.map((key, index) => `t.${quoteName(key.name)} = v.k${index + 1}`);
  if (byValue && column.indexed) conditions.push(`t.${name} = v.old::${column.dataType}`);
  const stored = `CASE WHEN ${valueText(column)} = v.new THEN NULL ELSE t.${name}::text END`;
  const returned = byValue
    ? column.primaryKey.map((key) => (isColumn(key) ? 'v.old' : `t.${quoteName(key.name)}::text`))
    : [];
  return (
    `UPDATE ${tableOf(column)} AS t SET ${name} = v.new::${column.dataType} FROM ${source} AS v` +
    where(...conditions, `${valueText(column)} = v.old`) +
    ` RETURNING ${['v.n::int4', stored, ...returned].join(', ')}`
  );
}

/** The value as the column's type spells it: documents and arrays have a form of the database's own. */
function spelled(column: ColumnFacts, value: string): string {
  return `${value}::${column.dataType}::text`;
}

/**
 * The text of the statement that answers which places (from 1) of the arrays hold what they should. Parameters
 * are arrays: one for each key column, then the values.
 */
export function heldByKeyStatement(column: ColumnFacts): string {
  const names = column.primaryKey.map((_, index) => `k${index + 1}`);
  const join = column.primaryKey.map(
    (key, index) => `t.${quoteName(key.name)} = v.k${index + 1}::${key.type}`,
  );
  return (
    `SELECT DISTINCT v.n::int4 FROM ${unnest([...names, 'new'])} JOIN ${tableOf(column)} AS t ON ${join.join(' AND ')}` +
    where(`${valueText(column)} = ${spelled(column, 'v.new')}`)
  );
}

/** The text of the statement that answers, for places (from 1) of the array of values, how many rows hold them. */
export function heldByCountStatement(column: ColumnFacts): string {
  const byIndex = column.indexed
    ? `t.${quoteName(column.ref.column)} = v.new::${column.dataType}`
    : undefined;
  return (
    `SELECT v.n::int4, count(*)::text FROM ${unnest(['new'])}, ${tableOf(column)} AS t` +
    where(byIndex, `${valueText(column)} = ${spelled(column, 'v.new')}`) +
    ' GROUP BY v.n'
  );
}

/** Values for a sample: from `percent` of the table's pages, or from all of them. */
export function sampleStatement(column: ColumnFacts, count: number, percent: number | undefined): Statement {
  const sampled = percent === undefined ? '' : ` TABLESAMPLE SYSTEM (${percent})`;
  const name = quoteName(column.ref.column);
  return {
    text: `SELECT t.${name}::text FROM ${tableOf(column)} AS t${sampled} WHERE t.${name} IS NOT NULL ORDER BY random() LIMIT ${Math.trunc(count)}`,
    values: [],
  };
}
