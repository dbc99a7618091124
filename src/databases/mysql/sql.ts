/** Builds the SQL text that is sent to MySQL and MariaDB: pure functions; texts are quoted for any `sql_mode`. */

import type { ColumnFacts, KeyRange } from '../database.ts';
import { canHold, characterSetOf } from './character-set.ts';

/** A name in backquotes, which mean the same in every `sql_mode`. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/**
 * A text as a literal. Backslashes and control characters, which `NO_BACKSLASH_ESCAPES` and logs read in two
 * ways, put the whole text into hexadecimal digits.
 */
export function quoteText(text: string): string {
  if (/[\\\u0000-\u001f]/.test(text)) return `_utf8mb4 x'${Buffer.from(text, 'utf8').toString('hex')}'`;
  return `'${text.replaceAll("'", "''")}'`;
}

/** The table as it stands in a statement. */
export function tableOf(column: ColumnFacts): string {
  const { schema, table } = column.ref;
  return schema === undefined ? quoteName(table) : `${quoteName(schema)}.${quoteName(table)}`;
}

function columnOf(column: ColumnFacts): string {
  return `t.${quoteName(column.ref.column)}`;
}

/** The column's value as text, whatever its own character set. */
function valueText(column: ColumnFacts): string {
  return `CAST(${columnOf(column)} AS CHAR CHARACTER SET utf8mb4)`;
}

/** The column's value as the bytes of its UTF-8 text: compared with neither case folding nor padding. */
function valueBytes(column: ColumnFacts): string {
  return `CAST(${valueText(column)} AS BINARY)`;
}

type Key = ColumnFacts['primaryKey'][number];

const NUMBERS = /^(tinyint|smallint|mediumint|int|integer|bigint|decimal|numeric|float|double|real|year)\b/;
const INTEGERS = /^(tinyint|smallint|mediumint|int|integer|bigint)\b/;
const BYTES = /^(binary|varbinary|tinyblob|blob|mediumblob|longblob)\b/;
/** Ordered and compared by a number, though shown as something else. */
const NUMBERED = /^(enum|set|bit)\b/;

/** A key column as text: bytes in hexadecimal digits, enumerations by their number. */
function keyText(key: Key): string {
  const name = `t.${quoteName(key.name)}`;
  if (BYTES.test(key.type)) return `HEX(${name})`;
  if (NUMBERED.test(key.type)) return `CAST(${name} + 0 AS CHAR)`;
  return NUMBERS.test(key.type) ? `CAST(${name} AS CHAR)` : `CAST(${name} AS CHAR CHARACTER SET utf8mb4)`;
}

/** A key's text as a literal of the column's own kind, so that big integers are not compared as doubles. */
function keyLiteral(key: Key, text: string): string {
  if (BYTES.test(key.type)) {
    if (!/^(?:[0-9A-F]{2})*$/i.test(text))
      throw new TypeError(`not hexadecimal digits for the key ${key.name}`);
    return `x'${text}'`;
  }
  if (NUMBERS.test(key.type) || NUMBERED.test(key.type)) {
    if (!/^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(text))
      throw new TypeError(`not a number for the key ${key.name}`);
    return text;
  }
  return quoteText(text);
}

/** `SELECT key columns…, value FROM table AS t`. */
function selectRows(column: ColumnFacts): string {
  const keys = column.primaryKey.map((key) => `${keyText(key)}, `).join('');
  return `SELECT ${keys}${valueText(column)} FROM ${tableOf(column)} AS t`;
}

/**
 * After, or up to, a key. Spelled out column by column, since a comparison of rows is not answered from an
 * index: `(a > 1 OR (a = 1 AND b > 2))`.
 */
function boundCondition(column: ColumnFacts, key: readonly string[], direction: '>' | '<'): string {
  const last = column.primaryKey.length - 1;
  const spell = (index: number): string => {
    const part = column.primaryKey[index]!;
    const name = `t.${quoteName(part.name)}`;
    const literal = keyLiteral(part, key[index]!);
    if (index === last) return `${name} ${direction === '<' ? '<=' : '>'} ${literal}`;
    return `(${name} ${direction} ${literal} OR (${name} = ${literal} AND ${spell(index + 1)}))`;
  };
  return spell(0);
}

function rangeConditions(column: ColumnFacts, range: KeyRange): string[] {
  return [
    ...(range.after === undefined ? [] : [boundCondition(column, range.after, '>')]),
    ...(range.upTo === undefined ? [] : [boundCondition(column, range.upTo, '<')]),
  ];
}

function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
}

function keyOrder(column: ColumnFacts): string {
  return column.primaryKey.map((key) => `t.${quoteName(key.name)}`).join(', ');
}

/** The rows of a range, in key order and at most `limit` where there is a key. Rows without a value are left out. */
export function scanText(
  column: ColumnFacts,
  range: KeyRange,
  needles: readonly string[] | undefined,
  limit: number,
): string {
  const found = needles?.map(
    (needle) => `LOCATE(CAST(${quoteText(needle)} AS BINARY), ${valueBytes(column)}) > 0`,
  );
  const conditions = [
    ...(column.primaryKey.length === 0 ? [] : rangeConditions(column, range)),
    `${columnOf(column)} IS NOT NULL`,
    ...(found === undefined ? [] : [found.length === 0 ? 'FALSE' : `(${found.join(' OR ')})`]),
  ];
  const page =
    column.primaryKey.length === 0 ? '' : ` ORDER BY ${keyOrder(column)} LIMIT ${Math.trunc(limit)}`;
  return selectRows(column) + where(conditions) + page;
}

/** The key of the row `rows` places after `after`: where the next range begins. */
export function boundaryText(
  column: ColumnFacts,
  after: readonly string[] | undefined,
  rows: number,
): string {
  const keys = column.primaryKey.map(keyText).join(', ');
  const from = `SELECT ${keys} FROM ${tableOf(column)} AS t${where(rangeConditions(column, { after }))}`;
  return `${from} ORDER BY ${keyOrder(column)} LIMIT ${Math.trunc(rows) - 1}, 1`;
}

/**
 * The condition that a row holds one of the values. Equality in the column's collation uses the index; its texts
 * are those that the column's character set can hold. The bytes decide.
 */
function valueIn(column: ColumnFacts, values: readonly string[]): string {
  const exactly = (some: readonly string[]) =>
    some.length === 0
      ? 'FALSE'
      : `${valueBytes(column)} IN (${some.map((value) => `CAST(${quoteText(value)} AS BINARY)`).join(', ')})`;
  if (!column.indexed) return exactly(values);
  const characterSet = characterSetOf(column);
  const held = Map.groupBy(values, (value) => canHold(characterSet, value));
  const sure = held.get(true) ?? [];
  const unsure = held.get(undefined) ?? [];
  const byIndex =
    sure.length === 0
      ? []
      : [`${columnOf(column)} IN (${sure.map(quoteText).join(', ')}) AND ${exactly(sure)}`];
  if (byIndex.length > 0 && unsure.length === 0) return byIndex[0]!;
  return `(${[...byIndex, exactly(unsure)].join(' OR ')})`;
}

function keyIn(column: ColumnFacts, keys: readonly (readonly string[])[]): string {
  const parts = column.primaryKey;
  const tuple = (items: readonly string[]) => (items.length === 1 ? items[0]! : `(${items.join(', ')})`);
  const literals = keys.map((key) => tuple(parts.map((part, index) => keyLiteral(part, key[index]!))));
  return `${tuple(parts.map((part) => `t.${quoteName(part.name)}`))} IN (${literals.join(', ')})`;
}

/** The rows that hold one of the values. */
export function rowsWithValueText(column: ColumnFacts, values: readonly string[], lock = ''): string {
  return `${selectRows(column)} WHERE ${valueIn(column, values)}${lock}`;
}

/** The rows with the keys, and their value now. */
export function rowsByKeyText(column: ColumnFacts, keys: readonly (readonly string[])[], lock = ''): string {
  return `${selectRows(column)} WHERE ${keyIn(column, keys)} AND ${columnOf(column)} IS NOT NULL${lock}`;
}

/** A row to rewrite; the key is empty where the table has none. */
export interface Rewrite {
  readonly key: readonly string[];
  readonly oldValue: string;
  readonly newValue: string;
}

/**
 * Gives each row its new value, which is looked up by an integer key, else by the old value: then one old value
 * must have one new value in all of `rows`. Without a key, every row that holds one of the old values changes.
 */
export function rewriteText(column: ColumnFacts, rows: readonly Rewrite[]): string {
  const [part] = column.primaryKey;
  const newOf = new Map(rows.map((row) => [row.oldValue, row.newValue]));
  const olds = [...newOf.keys()].map((value) => `CAST(${quoteText(value)} AS BINARY)`).join(', ');
  const byNumber = part !== undefined && column.primaryKey.length === 1 && INTEGERS.test(part.type);
  const places = byNumber
    ? `FIELD(t.${quoteName(part.name)}, ${rows.map((row) => keyLiteral(part, row.key[0]!)).join(', ')})`
    : `FIELD(${valueBytes(column)}, ${olds})`;
  const news = byNumber ? rows.map((row) => row.newValue) : [...newOf.values()];
  const conditions =
    part === undefined
      ? valueIn(column, [...newOf.keys()])
      : `${keyIn(
          column,
          rows.map((row) => row.key),
        )} AND ${valueBytes(column)} IN (${olds})`;
  return `UPDATE ${tableOf(column)} AS t SET ${columnOf(column)} = ELT(${places}, ${news.map(quoteText).join(', ')}) WHERE ${conditions}`;
}

/** The bytes that a row holds to which the value was given. The type `json` has a form of its own. */
function storedBytes(column: ColumnFacts, value: string): string {
  return column.dataType === 'json'
    ? `CAST(CAST(CAST(${quoteText(value)} AS JSON) AS CHAR CHARACTER SET utf8mb4) AS BINARY)`
    : `CAST(${quoteText(value)} AS BINARY)`;
}

/** For places (from 1) of `values`: how many rows hold that value. */
export function heldByCountText(column: ColumnFacts, values: readonly string[]): string {
  const held = values.map((value) => storedBytes(column, value)).join(', ');
  const place = `FIELD(${valueBytes(column)}, ${held})`;
  const condition =
    column.dataType === 'json' ? `${valueBytes(column)} IN (${held})` : valueIn(column, values);
  return `SELECT CAST(${place} AS CHAR), CAST(COUNT(*) AS CHAR) FROM ${tableOf(column)} AS t WHERE ${condition} GROUP BY 1`;
}

/** A few values from one end, from after a key, or, in random order, from anywhere. */
export function sampleText(
  column: ColumnFacts,
  count: number,
  from: 'anywhere' | 'start' | 'end' | { readonly after: readonly string[] },
): string {
  const after = typeof from === 'object' ? rangeConditions(column, from) : [];
  const order =
    from === 'anywhere'
      ? 'RAND()'
      : column.primaryKey.map((key) => `t.${quoteName(key.name)}${from === 'end' ? ' DESC' : ''}`).join(', ');
  const ordered = order === '' ? '' : ` ORDER BY ${order}`;
  return `SELECT ${valueText(column)} FROM ${tableOf(column)} AS t${where([...after, `${columnOf(column)} IS NOT NULL`])}${ordered} LIMIT ${Math.trunc(count)}`;
}

/** The first and the last value of a numeric key; undefined where the key is of another kind. */
export function keyBoundsText(column: ColumnFacts): string | undefined {
  const [key] = column.primaryKey;
  if (key === undefined || column.primaryKey.length > 1 || !/int\b/.test(key.type)) return undefined;
  const name = `t.${quoteName(key.name)}`;
  return `SELECT CAST(MIN(${name}) AS CHAR), CAST(MAX(${name}) AS CHAR) FROM ${tableOf(column)} AS t`;
}
