/** Reads from the information schema what a rewrite needs to know of a column and its table. */

import { LongshoreError } from '../../errors.ts';
import { closestNames, didYouMean } from '../closest-names.ts';
import type { ColumnFacts, ColumnRef, ReferenceForm } from '../database.ts';
import { typeName } from './character-set.ts';
import type { Client } from './connections.ts';
import { quoteText } from './sql.ts';

/** Types whose values a reference can be compared with in an index. */
const TEXTS = /^(char|varchar|tinytext|text|mediumtext|longtext|varbinary)$/;
/** Engines that keep their rows elsewhere. */
const FOREIGN_ENGINES = /^(FEDERATED|CONNECT|SPIDER|NDB.*)$/i;

interface ColumnRow {
  readonly name: string;
  readonly type: string;
  readonly lengthMax: string | null;
  readonly generation: string | null;
  readonly privileges: string;
  readonly characterSet: string | null;
}

interface IndexPart {
  readonly index: string;
  readonly place: number;
  readonly column: string;
  readonly unique: boolean;
  readonly nullable: boolean;
  readonly prefix: boolean;
  readonly indexType: string;
}

/**
 * The information schema shows what the user has some right on; the rest does not exist for it.
 * @throws TABLE_NOT_FOUND, COLUMN_NOT_FOUND, which name what comes close
 */
export async function describeColumn(
  client: Client,
  ref: ColumnRef,
  database: string,
  databaseName: string,
): Promise<ColumnFacts> {
  const schema = ref.schema ?? database;
  const [table] = await client.rows(
    `SELECT TABLE_NAME, TABLE_TYPE, ENGINE, CAST(TABLE_ROWS AS CHAR), CREATE_OPTIONS, VERSION()
     FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(schema)} AND TABLE_NAME = ${quoteText(ref.table)}`,
  );
  if (table === undefined) throw await tableNotFound(client, ref, schema, databaseName);
  const [tableName, tableType, engine, rows, createOptions, version] = table as (string | null)[];
  const place = `TABLE_SCHEMA = ${quoteText(schema)} AND TABLE_NAME = ${quoteText(tableName!)}`;
  const columns = await readColumns(client, place);
  const column =
    columns.find(({ name }) => name === ref.column) ??
    columns.find(({ name }) => name.toLowerCase() === ref.column.toLowerCase());
  if (column === undefined) throw columnNotFound(columns, ref, schema);
  const indexes = await readIndexes(client, place);
  const key = keyOf(indexes);
  const may = (name: string, right: string) =>
    columns
      .find((known) => known.name === name)
      ?.privileges.split(',')
      .includes(right) ?? false;
  const triggers = await client.rows(
    `SELECT TRIGGER_NAME FROM information_schema.TRIGGERS
     WHERE EVENT_MANIPULATION = 'UPDATE' AND EVENT_OBJECT_SCHEMA = ${quoteText(schema)}
       AND EVENT_OBJECT_TABLE = ${quoteText(tableName!)} ORDER BY TRIGGER_NAME`,
  );
  const json =
    column.type === 'json' || (await isMariadbJson(client, version!, schema, tableName!, column.name));
  const form: ReferenceForm = json ? 'json' : 'value';
  return {
    ref: { schema, table: tableName!, column: column.name, within: ref.within },
    name: `${schema}.${tableName}.${column.name}`,
    kind: await kindOf(client, tableType!, engine ?? '', createOptions ?? ''),
    dataType: typeName(column.type, column.characterSet),
    within: ref.within === 'auto' ? form : ref.within,
    primaryKey: key.map((name) => ({
      name,
      type: columns.find((known) => known.name === name)?.type ?? 'unknown',
    })),
    indexed:
      TEXTS.test(column.type) &&
      indexes.some(
        (part) => part.place === 1 && part.column === column.name && /^(BTREE|HASH)$/.test(part.indexType),
      ),
    rowsEstimate: Number(rows ?? 0),
    generated: Boolean(column.generation),
    updateTriggers: triggers.map((row) => row[0]!),
    ...(/^(char|varchar)$/.test(column.type) && column.lengthMax !== null
      ? { lengthMax: Number(column.lengthMax) }
      : {}),
    canSelect: [column.name, ...key].every((name) => may(name, 'select')),
    canUpdate: may(column.name, 'update'),
  };
}

async function readColumns(client: Client, place: string): Promise<ColumnRow[]> {
  const rows = await client.rows(
    `SELECT COLUMN_NAME, DATA_TYPE, CAST(CHARACTER_MAXIMUM_LENGTH AS CHAR), GENERATION_EXPRESSION, PRIVILEGES,
            CHARACTER_SET_NAME
     FROM information_schema.COLUMNS WHERE ${place} ORDER BY ORDINAL_POSITION`,
  );
  return (rows as (string | null)[][]).map(
    ([name, type, lengthMax, generation, privileges, characterSet]) => ({
      name: name!,
      type: String(type).toLowerCase(),
      lengthMax: lengthMax ?? null,
      generation: generation ?? null,
      privileges: privileges ?? '',
      characterSet: characterSet ?? null,
    }),
  );
}

async function readIndexes(client: Client, place: string): Promise<IndexPart[]> {
  const rows = await client.rows(
    `SELECT INDEX_NAME, CAST(SEQ_IN_INDEX AS CHAR), COLUMN_NAME, CAST(NON_UNIQUE AS CHAR), NULLABLE,
            CAST(SUB_PART AS CHAR), INDEX_TYPE
     FROM information_schema.STATISTICS WHERE ${place} ORDER BY INDEX_NAME, SEQ_IN_INDEX`,
  );
  return (rows as (string | null)[][]).map(
    ([index, seq, column, nonUnique, nullable, prefix, indexType]) => ({
      index: index!,
      place: Number(seq),
      // Empty for an index over an expression.
      column: column ?? '',
      unique: nonUnique === '0',
      nullable: nullable === 'YES',
      prefix: prefix !== null,
      indexType: indexType ?? '',
    }),
  );
}

/** The columns of the primary key, else of the shortest unique index over whole columns that are never null. */
function keyOf(parts: readonly IndexPart[]): string[] {
  const fits = [...Map.groupBy(parts, (part) => part.index).values()].filter(
    (index) =>
      index[0]!.index === 'PRIMARY' ||
      index.every(
        (part) =>
          part.unique && !part.nullable && !part.prefix && part.column !== '' && part.indexType === 'BTREE',
      ),
  );
  fits.sort(
    (left, right) =>
      Number(right[0]!.index === 'PRIMARY') - Number(left[0]!.index === 'PRIMARY') ||
      left.length - right.length,
  );
  return (fits[0] ?? []).map((part) => part.column);
}

/** A table without transactions is `other`: a rewrite could not be taken back. */
async function kindOf(
  client: Client,
  type: string,
  engine: string,
  options: string,
): Promise<ColumnFacts['kind']> {
  if (type.includes('VIEW')) return 'view';
  if (FOREIGN_ENGINES.test(engine)) return 'foreign';
  const [row] = await client.rows(
    `SELECT TRANSACTIONS FROM information_schema.ENGINES WHERE ENGINE = ${quoteText(engine)}`,
  );
  if (row?.[0] !== 'YES') return 'other';
  return /\bpartitioned\b/i.test(options) ? 'partitioned' : 'table';
}

/** MariaDB keeps JSON as `longtext` with a constraint. */
async function isMariadbJson(
  client: Client,
  version: string,
  schema: string,
  table: string,
  column: string,
): Promise<boolean> {
  if (!version.includes('MariaDB')) return false;
  const rows = await client.rows(
    `SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS
     WHERE CONSTRAINT_SCHEMA = ${quoteText(schema)} AND TABLE_NAME = ${quoteText(table)}`,
  );
  return rows.some(
    ([clause]) => clause?.replaceAll('`', '').toLowerCase() === `json_valid(${column.toLowerCase()})`,
  );
}

async function tableNotFound(
  client: Client,
  ref: ColumnRef,
  schema: string,
  databaseName: string,
): Promise<LongshoreError> {
  const rows = await client.rows(
    `SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(schema)} LIMIT 20000`,
  );
  const wanted = `${schema}.${ref.table}`;
  const close = closestNames(
    ref.table,
    rows.map((row) => row[0]!),
  );
  return new LongshoreError('TABLE_NOT_FOUND', `Cannot find the table "${wanted}" in ${databaseName}`, {
    hint:
      didYouMean(close.map((name) => `${schema}.${name}`)) ??
      'check the database and the table; a table on which the user has no right at all cannot be seen',
    context: { table: wanted },
  });
}

function columnNotFound(columns: readonly ColumnRow[], ref: ColumnRef, schema: string): LongshoreError {
  const names = columns.map(({ name }) => name);
  const table = `${schema}.${ref.table}`;
  return new LongshoreError('COLUMN_NOT_FOUND', `Cannot find the column "${ref.column}" in ${table}`, {
    hint: didYouMean(closestNames(ref.column, names)) ?? `its columns are ${names.slice(0, 20).join(', ')}`,
    context: { table, column: ref.column },
  });
}
