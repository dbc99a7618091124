/** The statements that mask a PostgreSQL database: pure functions; the key of hashes is a setting of the session. */

import type { ForeignKey } from '../masking/catalogue.ts';
import { FIRST_NAMES, LAST_NAMES } from '../masking/fake-names.ts';
import { hidesAll } from '../masking/outcome.ts';
import type { MaskedColumn, MaskedTable, SubsetRule } from '../masking/work.ts';
import { quoteText } from './schema-object.ts';
import { quoteName } from './sql.ts';

/** Of the session; in no statement, so that it is in no log. */
export const KEY_SETTING = 'longshore.mask_key';
/** Rows that go, by where they are stored: nothing else has every row of a database told apart. */
export const GONE = 'pg_temp.longshore_gone';
/** Digests of values that were there before, of a column. */
export const BEFORE = 'pg_temp.longshore_before';
const SAMPLE_ROWS = 10_000;

export const GONE_TABLE = `CREATE TEMP TABLE longshore_gone (o oid, t tid, PRIMARY KEY (o, t)) ON COMMIT DROP`;
export const BEFORE_TABLE = `CREATE TEMP TABLE longshore_before (c int, digest text, PRIMARY KEY (c, digest)) ON COMMIT DROP`;

/** One statement for all columns of a table: each row is written once. */
export function updateText({ table, columns }: MaskedTable): string {
  const shuffled = columns.filter(({ rule }) => rule.kind === 'shuffle');
  const assignments = columns.map(({ column, rule }) => {
    const value =
      rule.kind === 'shuffle'
        ? `s.s${shuffled.findIndex((other) => other.column === column)}`
        : valueText({ column, rule });
    return `${quoteName(column.name)} = ${value}`;
  });
  const update = `UPDATE ${table.id} AS t SET ${assignments.join(', ')}`;
  if (shuffled.length === 0) return update;
  const values = shuffled.map(
    ({ column }, index) =>
      `JOIN (SELECT ${quoteName(column.name)} AS v, row_number() OVER (ORDER BY random()) AS n FROM ${table.id}) s${index} USING (n)`,
  );
  return `${update} FROM (SELECT a.o, a.r, ${shuffled.map((_, index) => `s${index}.v AS s${index}`).join(', ')}
    FROM (SELECT tableoid AS o, ctid AS r, row_number() OVER () AS n FROM ${table.id}) a ${values.join(' ')}) s
    WHERE t.tableoid = s.o AND t.ctid = s.r`;
}

/** What a value becomes; NULL stays NULL, except where it becomes a constant. */
function valueText({ column, rule }: MaskedColumn): string {
  switch (rule.kind) {
    case 'null':
      return 'NULL';
    case 'constant':
      return quoteText(rule.value);
    case 'hash':
      return column.holds === 'uuid' ? uuidText(hexText(column)) : `left(${hexText(column)}, ${rule.length})`;
    case 'email':
      return `'u' || left(${hexText(column)}, ${rule.digits}) || '@example.com'`;
    case 'name':
      return cut(nameText(rule.part, hashText(column)), rule.lengthMax);
    case 'shuffle':
      return `t.${quoteName(column.name)}`;
  }
}

function nameText(part: 'full' | 'first' | 'last', hash: string): string {
  const first = `(ARRAY[${FIRST_NAMES.map(quoteText).join(', ')}])[1 + get_byte(${hash}, 0) % ${FIRST_NAMES.length}]`;
  const last = `(ARRAY[${LAST_NAMES.map(quoteText).join(', ')}])[1 + get_byte(${hash}, 1) % ${LAST_NAMES.length}]`;
  return part === 'first' ? first : part === 'last' ? last : `${first} || ' ' || ${last}`;
}

function cut(text: string, lengthMax: number | undefined): string {
  return lengthMax === undefined ? text : `left(${text}, ${lengthMax})`;
}

/** Of version 4. */
function uuidText(hex: string): string {
  return `overlay(overlay(left(${hex}, 32) PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid`;
}

function hexText(column: MaskedColumn['column']): string {
  return `encode(${hashText(column)}, 'hex')`;
}

/** Keyed, inside and outside: whoever knows a hash and its value cannot go on from there. */
function hashText(column: MaskedColumn['column']): string {
  const key = `convert_to(current_setting('${KEY_SETTING}'), 'UTF8')`;
  const text = `t.${quoteName(column.name)}::text`;
  const bytes = `convert_to(${column.caseless ? `lower(${text})` : text}, 'UTF8')`;
  return `sha256(${key} || sha256(${key} || ${bytes}))`;
}

/** Rows that a rule does not keep. */
export function goneText({ table, keep }: SubsetRule): string {
  return `INSERT INTO ${GONE} SELECT tableoid, ctid FROM ${table.id} WHERE (${keep ?? 'true'}\n) IS NOT TRUE ON CONFLICT DO NOTHING`;
}

/** Rows whose parent goes, and that are not known to go. */
export function spreadText(key: ForeignKey, partitioned: (id: string) => boolean): string {
  return `INSERT INTO ${GONE} SELECT c.tableoid, c.ctid FROM ${from(key.child, partitioned)} c
    JOIN ${from(key.parent, partitioned)} p ON ${joined(key)}
    JOIN ${GONE} g ON g.o = p.tableoid AND g.t = p.ctid ON CONFLICT DO NOTHING`;
}

export function deleteText(root: string): string {
  return `DELETE FROM ${root} t USING ${GONE} g WHERE t.tableoid = g.o AND t.ctid = g.t`;
}

/** References to rows that are not there any more become NULL. */
export function cutText(key: ForeignKey, partitioned: (id: string) => boolean): string {
  const nulls = key.childColumns.map((name) => `${quoteName(name)} = NULL`).join(', ');
  return `UPDATE ${from(key.child, partitioned)} c SET ${nulls} WHERE ${orphaned(key, partitioned)}`;
}

export function orphansText(key: ForeignKey, partitioned: (id: string) => boolean): string {
  return `SELECT count(*)::text FROM ${from(key.child, partitioned)} c WHERE ${orphaned(key, partitioned)}`;
}

function orphaned(key: ForeignKey, partitioned: (id: string) => boolean): string {
  const refers = key.childColumns.map((name) => `c.${quoteName(name)} IS NOT NULL`).join(' AND ');
  return `${refers} AND NOT EXISTS (SELECT FROM ${from(key.parent, partitioned)} p WHERE ${joined(key)})`;
}

function joined(key: ForeignKey): string {
  return key.childColumns
    .map((name, index) => `p.${quoteName(key.parentColumns[index]!)} = c.${quoteName(name)}`)
    .join(' AND ');
}

/** A foreign key holds for the rows of a table, and not for those of tables that inherit from it. */
function from(table: string, partitioned: (id: string) => boolean): string {
  return partitioned(table) ? table : `ONLY ${table}`;
}

/** Remembers what some of the values were. */
export function sampleText({ table }: MaskedTable, { column }: MaskedColumn, number: number): string {
  const name = quoteName(column.name);
  const some = `SELECT ${name} FROM ${table.id} WHERE ${name} IS NOT NULL LIMIT ${SAMPLE_ROWS}`;
  return `INSERT INTO ${BEFORE} SELECT DISTINCT ${number}, ${digest(column)} FROM (${some}) t`;
}

/** How many values break their rule: they are what was there before, are not NULL, or not the constant. */
export function leftText(
  { table }: MaskedTable,
  { column, rule }: MaskedColumn,
  number: number,
): string | undefined {
  const count = `SELECT count(*)::text FROM ${table.id} t`;
  const name = `t.${quoteName(column.name)}`;
  if (hidesAll(rule)) return `${count} JOIN ${BEFORE} b ON b.c = ${number} AND b.digest = ${digest(column)}`;
  if (rule.kind === 'null') return `${count} WHERE ${name} IS NOT NULL`;
  return rule.kind === 'constant' ? `${count} WHERE ${name} IS NULL` : undefined;
}

function digest(column: MaskedColumn['column']): string {
  return `encode(sha256(convert_to(t.${quoteName(column.name)}::text, 'UTF8')), 'hex')`;
}

export function countText({ table, columns }: MaskedTable): string {
  const counts = columns.map(({ column }) => `count(${quoteName(column.name)})::text`);
  return `SELECT ${['count(*)::text', ...counts].join(', ')} FROM ${table.id}`;
}
