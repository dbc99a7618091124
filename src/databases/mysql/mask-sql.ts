/** The statements that mask a MySQL or MariaDB database: pure functions; the key of hashes is a variable of the session. */

import type { CatalogueTable, ForeignKey } from '../masking/catalogue.ts';
import { FIRST_NAMES, LAST_NAMES } from '../masking/fake-names.ts';
import { hidesAll } from '../masking/outcome.ts';
import type { MaskedColumn, MaskedTable, SubsetRule } from '../masking/work.ts';
import { quoteName, quoteText } from './sql.ts';

const KEY = '@longshore_mask_key';
const SAMPLE_ROWS = 10_000;

/** @param key hexadecimal digits */
export function keyText(key: string): string {
  return `SET ${KEY} = ${quoteText(key)}`;
}

/** One statement for all columns of a table: each row is written once. */
export function updateText({ table, columns }: MaskedTable): string {
  const shuffled = columns.filter(({ rule }) => rule.kind === 'shuffle');
  const masked = columns.map((each) => {
    const index = shuffled.indexOf(each);
    return `t.${quoteName(each.column.name)} = ${index >= 0 ? `s${index}.v` : valueText(each)}`;
  });
  const kept = table.columns
    .filter((column) => column.changesByItself && !columns.some((each) => each.column.name === column.name))
    .map(({ name }) => `t.${quoteName(name)} = t.${quoteName(name)}`);
  const joins = shuffled.map(
    ({ column }, index) =>
      `JOIN (SELECT ${quoteName(column.name)} AS v, ROW_NUMBER() OVER (ORDER BY RAND()) AS n FROM ${table.id}) s${index} ON s${index}.n = a.n`,
  );
  const numbered = `JOIN (SELECT ${list(table.primaryKey)}, ROW_NUMBER() OVER (ORDER BY ${list(table.primaryKey)}) AS n FROM ${table.id}) a
    ON ${same('t', 'a', table.primaryKey)}`;
  const from = shuffled.length === 0 ? '' : ` ${numbered} ${joins.join(' ')}`;
  return `UPDATE ${table.id} t${from} SET ${[...masked, ...kept].join(', ')}`;
}

/** What a value becomes; NULL stays NULL, except where it becomes a constant. */
function valueText({ column, rule }: MaskedColumn): string {
  switch (rule.kind) {
    case 'null':
      return 'NULL';
    case 'constant':
      return quoteText(rule.value);
    case 'hash':
      return column.holds === 'uuid'
        ? uuidText(hashText(column))
        : `LEFT(${hashText(column)}, ${rule.length})`;
    case 'email':
      return `CONCAT('u', LEFT(${hashText(column)}, ${rule.digits}), '@example.com')`;
    case 'name':
      return `LEFT(${nameText(rule.part, hashText(column))}, ${rule.lengthMax ?? 1000})`;
    case 'shuffle':
      return `t.${quoteName(column.name)}`;
  }
}

function nameText(part: 'full' | 'first' | 'last', hash: string): string {
  const chosen = (names: readonly string[], at: number) =>
    `ELT(1 + CONV(SUBSTRING(${hash}, ${at}, 2), 16, 10) % ${names.length}, ${names.map(quoteText).join(', ')})`;
  if (part === 'full') return `CONCAT(${chosen(FIRST_NAMES, 1)}, ' ', ${chosen(LAST_NAMES, 3)})`;
  return part === 'first' ? chosen(FIRST_NAMES, 1) : chosen(LAST_NAMES, 3);
}

/** Of version 4: some servers look at it. */
function uuidText(hash: string): string {
  const part = (start: number, length: number) => `SUBSTRING(${hash}, ${start}, ${length})`;
  return `CONCAT(${part(1, 8)}, '-', ${part(9, 4)}, '-4', ${part(13, 3)}, '-8', ${part(16, 3)}, '-', ${part(19, 12)})`;
}

/** Hexadecimal digits. Keyed, inside and outside; of values that are the same in their collation it is the same. */
function hashText({ name, caseless }: MaskedColumn['column']): string {
  const text = `t.${quoteName(name)}`;
  const bytes = caseless ? `WEIGHT_STRING(RTRIM(${text}))` : `CONVERT(${text} USING utf8mb4)`;
  return `SHA2(CONCAT(${KEY}, SHA2(CONCAT(${KEY}, HEX(${bytes})), 256)), 256)`;
}

/** Of a table: keys of rows that go, those found last, and those found now. A statement names a temporary table once. */
export type GoneTable = 'gone' | 'last' | 'now';

export function goneName(table: CatalogueTable, which: GoneTable): string {
  return quoteName(`longshore_${which}_${Buffer.from(table.name).toString('hex').slice(0, 40)}`);
}

export function goneTableText(table: CatalogueTable, which: GoneTable): string {
  const keys = list(table.primaryKey);
  const parts = table.columns.filter(({ name }) => table.primaryKey.includes(name));
  const indexed = parts.every(({ holds, lengthMax = 0 }) => holds !== 'text' || lengthMax <= 255);
  return `CREATE TEMPORARY TABLE ${goneName(table, which)}${indexed ? ` (PRIMARY KEY (${keys}))` : ''} SELECT ${keys} FROM ${table.id} WHERE FALSE`;
}

/** Rows that a rule does not keep. */
export function goneText({ table, keep }: SubsetRule): string {
  return `INSERT IGNORE INTO ${goneName(table, 'now')} SELECT ${list(table.primaryKey)} FROM ${table.id} WHERE (${keep ?? 'TRUE'}\n) IS NOT TRUE`;
}

/** Rows whose parent was found last, and that are not known to go. */
export function spreadText(key: ForeignKey, child: CatalogueTable, parent: CatalogueTable): string {
  return `INSERT IGNORE INTO ${goneName(child, 'now')} SELECT DISTINCT ${list(child.primaryKey, 'c')} FROM ${child.id} c
    JOIN ${parent.id} p ON ${joined(key)}
    JOIN ${goneName(parent, 'last')} l ON ${same('p', 'l', parent.primaryKey)}
    WHERE NOT EXISTS (SELECT 1 FROM ${goneName(child, 'gone')} g WHERE ${same('c', 'g', child.primaryKey)})`;
}

/** What was found now is what was found last, and goes. */
export function turnTexts(table: CatalogueTable): string[] {
  const [gone, last, now] = (['gone', 'last', 'now'] as const).map((which) => goneName(table, which));
  return [
    `DELETE FROM ${last}`,
    `INSERT IGNORE INTO ${last} SELECT * FROM ${now}`,
    `INSERT IGNORE INTO ${gone} SELECT * FROM ${now}`,
    `DELETE FROM ${now}`,
  ];
}

export function deleteText(table: CatalogueTable): string {
  return `DELETE t FROM ${table.id} t JOIN ${goneName(table, 'gone')} g ON ${same('t', 'g', table.primaryKey)}`;
}

/** References to rows that are not there any more become NULL. */
export function cutText(key: ForeignKey): string {
  const nulls = key.childColumns.map((name) => `c.${quoteName(name)} = NULL`).join(', ');
  return `UPDATE ${key.child} c LEFT JOIN ${key.parent} p ON ${joined(key)} SET ${nulls} WHERE ${orphaned(key)}`;
}

export function orphansText(key: ForeignKey): string {
  return `SELECT CAST(COUNT(*) AS CHAR) FROM ${key.child} c LEFT JOIN ${key.parent} p ON ${joined(key)} WHERE ${orphaned(key)}`;
}

function orphaned(key: ForeignKey): string {
  const refers = key.childColumns.map((name) => `c.${quoteName(name)} IS NOT NULL`).join(' AND ');
  return `${refers} AND p.${quoteName(key.parentColumns[0]!)} IS NULL`;
}

function joined(key: ForeignKey): string {
  return key.childColumns
    .map((name, index) => `p.${quoteName(key.parentColumns[index]!)} = c.${quoteName(name)}`)
    .join(' AND ');
}

function same(left: string, right: string, key: readonly string[]): string {
  return key.map((name) => `${left}.${quoteName(name)} = ${right}.${quoteName(name)}`).join(' AND ');
}

function list(names: readonly string[], of?: string): string {
  return names.map((name) => (of === undefined ? quoteName(name) : `${of}.${quoteName(name)}`)).join(', ');
}

export const BEFORE_TABLE =
  'CREATE TEMPORARY TABLE longshore_before (c int, digest char(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, PRIMARY KEY (c, digest))';

/** Remembers what some of the values were. */
export function sampleText({ table }: MaskedTable, { column }: MaskedColumn, number: number): string {
  const name = quoteName(column.name);
  const some = `SELECT ${name} FROM ${table.id} WHERE ${name} IS NOT NULL LIMIT ${SAMPLE_ROWS}`;
  return `INSERT IGNORE INTO longshore_before SELECT DISTINCT ${number}, ${digest(column)} FROM (${some}) t`;
}

/** How many values break their rule: they are what was there before, or not what the rule makes of everything. */
export function leftText(
  { table }: MaskedTable,
  { column, rule }: MaskedColumn,
  number: number,
): string | undefined {
  const count = `SELECT CAST(COUNT(*) AS CHAR) FROM ${table.id} t`;
  const name = `t.${quoteName(column.name)}`;
  if (hidesAll(rule))
    return `${count} JOIN longshore_before b ON b.c = ${number} AND b.digest = ${digest(column)}`;
  if (rule.kind === 'null') return `${count} WHERE ${name} IS NOT NULL`;
  return rule.kind === 'constant' ? `${count} WHERE ${name} IS NULL` : undefined;
}

function digest({ name }: MaskedColumn['column']): string {
  return `SHA2(CONVERT(t.${quoteName(name)} USING utf8mb4), 256)`;
}

export function countText({ table, columns }: MaskedTable): string {
  const counts = columns.map(({ column }) => `CAST(COUNT(${quoteName(column.name)}) AS CHAR)`);
  return `SELECT ${['CAST(COUNT(*) AS CHAR)', ...counts].join(', ')} FROM ${table.id}`;
}
