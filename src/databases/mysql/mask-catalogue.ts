/** Reads what masking has to know of a MySQL or MariaDB database. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import type { CatalogueColumn, CatalogueTable, ForeignKey, MaskCatalogue } from '../masking/catalogue.ts';
import { type Client, MysqlConnections } from './connections.ts';
import { quoteName } from './sql.ts';

export async function readMaskCatalogue(client: Client): Promise<MaskCatalogue> {
  const tables = await client.rows(TABLES);
  const columns = await client.rows(COLUMNS);
  const triggers = await client.rows(TRIGGERS);
  const keyColumns = await client.rows(FOREIGN_KEYS);
  const keys = await client.rows(PRIMARY_KEYS);
  const columnsOf = Map.groupBy(columns, ([table]) => table!);
  const keyOf = Map.groupBy(keys, ([table]) => table!);
  const has = (table: string, event: string) => triggers.some(([on, on_]) => on === table && on_ === event);
  return {
    tables: tables.map(([name, kind]) =>
      tableOf(
        name!,
        kind!,
        columnsOf.get(name!) ?? [],
        (keyOf.get(name!) ?? []).map(([, column]) => column!),
        (event) => has(name!, event),
      ),
    ),
    foreignKeys: [...Map.groupBy(keyColumns, ([table, name]) => JSON.stringify([table, name])).values()].map(
      keyFrom,
    ),
  };
}

/** With a connection of its own, and without any change. @throws the errors of connections */
export async function maskCatalogue(url: DatabaseUrl, signal: AbortSignal): Promise<MaskCatalogue> {
  await using connections = new MysqlConnections(url.connection, 1);
  const doing = { action: `read the tables of ${url.name}`, database: url.name, user: url.connection.user };
  return await connections.use(doing, signal, readMaskCatalogue);
}

function tableOf(
  name: string,
  kind: string,
  columns: readonly string[][],
  primaryKey: readonly string[],
  has: (event: string) => boolean,
): CatalogueTable {
  const id = quoteName(name);
  const versions = kind === 'SYSTEM VERSIONED' ? 'its old rows are kept as versions' : undefined;
  const trigger = (event: string) =>
    has(event) ? `it has an ${event} trigger, which would fire: drop it first, and make it again` : undefined;
  return {
    ...{ schema: undefined, name, id, root: id, stored: [id] },
    ...{ isPartition: false, isPartitioned: false },
    columns: columns.map(columnOf),
    primaryKey,
    notUpdated: versions ?? trigger('UPDATE'),
    notDeleted:
      versions ?? trigger('DELETE') ?? (primaryKey.length === 0 ? 'it has no primary key' : undefined),
  };
}

function columnOf([
  ,
  name,
  type,
  data,
  length,
  nullable,
  generation,
  extra,
  collation,
  unique,
  partitions,
]: string[]): CatalogueColumn {
  const holds = /^(char|varchar|tinytext|text|mediumtext|longtext)$/i.test(data!)
    ? 'text'
    : data === 'uuid'
      ? 'uuid'
      : 'other';
  return {
    name: name!,
    type: type!,
    holds,
    lengthMax: holds === 'text' ? Number(length) : undefined,
    notNull: nullable === 'NO',
    generated: Boolean(generation),
    identity: false,
    unique: unique === '1',
    partitions: partitions === '1',
    caseless: !/(_bin|_cs)$/.test(collation ?? '_bin'),
    changesByItself: /on update/i.test(extra!),
  };
}

function keyFrom(rows: readonly string[][]): ForeignKey {
  const [child, name, , parent] = rows[0]!;
  return {
    name: name!,
    child: quoteName(child!),
    childColumns: rows.map((row) => row[2]!),
    parent: quoteName(parent!),
    parentColumns: rows.map((row) => row[4]!),
    definition: undefined,
  };
}

const TABLES = `
  SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.tables
  WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1`;

/** Expressions of generated columns are NULL or empty where there is none; those of partitions name columns in backquotes. */
const COLUMNS = `
  SELECT c.TABLE_NAME, c.COLUMN_NAME, c.COLUMN_TYPE, c.DATA_TYPE, CAST(c.CHARACTER_MAXIMUM_LENGTH AS CHAR), c.IS_NULLABLE,
    COALESCE(c.GENERATION_EXPRESSION, ''), c.EXTRA, c.COLLATION_NAME,
    CAST(EXISTS (SELECT 1 FROM information_schema.statistics s WHERE s.TABLE_SCHEMA = c.TABLE_SCHEMA AND s.TABLE_NAME = c.TABLE_NAME
      AND s.COLUMN_NAME = c.COLUMN_NAME AND s.NON_UNIQUE = 0) AS CHAR),
    CAST(EXISTS (SELECT 1 FROM information_schema.partitions p WHERE p.TABLE_SCHEMA = c.TABLE_SCHEMA AND p.TABLE_NAME = c.TABLE_NAME
      AND LOCATE(CONCAT('\`', c.COLUMN_NAME, '\`'), CONCAT(COALESCE(p.PARTITION_EXPRESSION, ''), COALESCE(p.SUBPARTITION_EXPRESSION, ''))) > 0) AS CHAR)
  FROM information_schema.columns c WHERE c.TABLE_SCHEMA = DATABASE() ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION`;

const PRIMARY_KEYS = `
  SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.key_column_usage
  WHERE TABLE_SCHEMA = DATABASE() AND CONSTRAINT_NAME = 'PRIMARY' ORDER BY TABLE_NAME, ORDINAL_POSITION`;

const TRIGGERS = `
  SELECT DISTINCT EVENT_OBJECT_TABLE, EVENT_MANIPULATION FROM information_schema.triggers WHERE TRIGGER_SCHEMA = DATABASE()`;

const FOREIGN_KEYS = `
  SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.key_column_usage
  WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION`;
