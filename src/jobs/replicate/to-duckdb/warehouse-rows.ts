/**
 * The rows of a DuckDB database at one place of the log, in the form in which files have them, to be held against a
 * table. What is landed and not applied is applied for that, up to the place, and taken back afterwards.
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mapField, UNFIT_COLUMN } from '../../../databases/postgres/field-mapping.ts';
import type { CatalogueColumn, SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../../errors.ts';
import { parquetTypeName } from '../../../formats/columns/column-type.ts';
import type { RowText } from '../../../formats/columns/row-texts.ts';
import { parquetRows } from '../lake-lookup.ts';
import type { Manifest } from '../manifest.ts';
import { planAlteration } from './alter-table.ts';
import { applyManifest } from './apply-manifest.ts';
import { sameColumns } from './column-changes.ts';
import { type DuckDbFile, literal, quoted, tableName } from './duckdb-file.ts';
import { duckDbType } from './duckdb-type.ts';
import type { SourceCatalogue, SourceColumn } from './source-catalogue.ts';
import type { Warehouse } from './warehouse.ts';
import type { WarehouseTable } from './warehouse-state.ts';

/** What rows are put into. */
export interface RowsOfTable {
  readonly table: SourceTable;
  readonly columns: readonly CatalogueColumn[];
  /** Of columns, and of the side column. */
  readonly names: readonly string[];
  /** For temporary files. */
  readonly folder: string;
  put(row: RowText): void;
}

/**
 * @param manifests of the job
 * @param before the place; what committed at or behind it is left out
 * @param work gets what adds the rows of a table
 */
export async function withRowsAt(
  warehouse: Warehouse,
  manifests: readonly Manifest[],
  before: bigint,
  work: (addTo: (rows: RowsOfTable) => Promise<void>) => Promise<void>,
): Promise<void> {
  using db = await warehouse.open();
  const applied = await warehouse.appliedEpoch(db);
  const options = { ...warehouse.applyOptions, before, notice: () => undefined };
  await db.transaction(async () => {
    let tables = await warehouse.tables(db);
    for (const manifest of manifests)
      if (manifest.epoch > applied) tables = await applyManifest(db, manifest, options);
    await work((rows) => addRows(db, rows, tables, options.source));
  }, 'ROLLBACK');
}

async function addRows(
  db: DuckDbFile,
  rows: RowsOfTable,
  tables: readonly WarehouseTable[],
  source: SourceCatalogue,
): Promise<void> {
  const { schema, name, oid } = rows.table;
  const table = tables.find((one) => one.schema === schema && one.name === name);
  if (table === undefined || table.columns.length === 0) return;
  if (table.stale !== null) {
    throw new LongshoreError('CHECK_FAILED', `${schema}.${name} is to be loaded again: ${table.stale}`, {
      hint: 'run the job, and verify it then',
    });
  }
  await alterToNow(db, table, await source.columnsOf(oid), source);
  const path = join(rows.folder, 'rows.parquet');
  await db.run(`COPY (${await exportSql(db, rows)}) TO ${literal(path)} (FORMAT parquet)`);
  const columns = rows.columns.map((column) => ({ name: column.name, ...storedOf(column) }));
  for await (const row of parquetRows(path, rows.names)) rows.put(asInFile(row, columns));
  await rm(path);
}

/** The next change of the table would do it: the stream tells of other columns only then. */
async function alterToNow(
  db: DuckDbFile,
  table: WarehouseTable,
  now: readonly SourceColumn[],
  source: SourceCatalogue,
): Promise<void> {
  const own = table.columns.filter(({ type }) => type === '');
  const next = [...now.filter(({ generated }) => !generated), ...own];
  if (sameColumns(table.columns, next)) return;
  const plan = await planAlteration(db, table, next, [], { source, reloads: true, hasUnfit: false });
  if (typeof plan === 'string') return;
  for (const statement of plan.statements) await db.run(statement);
}

async function exportSql(db: DuckDbFile, { table, columns }: RowsOfTable): Promise<string> {
  const described = await db.rows(`DESCRIBE ${tableName(table)}`);
  const there = new Set(described.map(([name]) => name));
  const selected = columns
    .filter(({ name }) => there.has(name))
    .map((column) => {
      const { isText, duckdb } = storedOf(column);
      return `TRY_CAST(${quoted(column.name)} AS ${isText ? 'VARCHAR' : duckdb}) AS ${quoted(column.name)}`;
    });
  if (there.has(UNFIT_COLUMN)) selected.push(`${UNFIT_COLUMN}::VARCHAR AS ${UNFIT_COLUMN}`);
  return `SELECT ${selected.length === 0 ? 'NULL AS longshore_none' : selected.join(', ')} FROM ${tableName(table)}`;
}

interface StoredColumn {
  readonly name: string;
  readonly isText: boolean;
  readonly duckdb: string;
}

function storedOf(column: CatalogueColumn): Omit<StoredColumn, 'name'> {
  const mapped = mapField(column).column;
  const isText = mapped.type.kind === 'text';
  return { isText, duckdb: duckDbType({ type: column.typeName, parquet: parquetTypeName(mapped.type) }) };
}

/** What files have aside is infinity in DuckDB, and what DuckDB has aside may be text in a file. */
function asInFile(row: RowText, columns: readonly StoredColumn[]): RowText {
  const side = row[UNFIT_COLUMN] ?? null;
  const left = new Map(side === null ? [] : Object.entries(JSON.parse(utf8(side)) as Record<string, string>));
  const texts = Object.assign(Object.create(null), row) as Record<string, string | null>;
  const unfit = Object.create(null) as Record<string, string>;
  for (const { name, isText, duckdb } of columns) {
    const aside = left.get(name) ?? SPECIAL.get(`${duckdb} ${row[name]}`);
    if (aside === undefined) continue;
    if (isText) texts[name] = Buffer.from(aside).toString('latin1');
    else {
      texts[name] = null;
      unfit[name] = aside;
    }
  }
  const some = Object.keys(unfit).length > 0;
  texts[UNFIT_COLUMN] = some ? Buffer.from(JSON.stringify(unfit)).toString('latin1') : null;
  return texts;
}

/** Stored values that have names of their own. */
const SPECIAL = new Map([
  ['DATE 2147483647', 'infinity'],
  ['DATE -2147483647', '-infinity'],
  ...['TIMESTAMP', 'TIMESTAMPTZ'].flatMap((type): [string, string][] => [
    [`${type} 9223372036854775807`, 'infinity'],
    [`${type} -9223372036854775807`, '-infinity'],
  ]),
  ['TIME 86400000000', '24:00:00'],
]);

/** Texts of rows are bytes. */
function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString();
}
