/**
 * Applies what a manifest names to the tables of a DuckDB database, inside a transaction of the caller: full loads as they
 * are, changes reduced to what they come to, truncations in their place among them.
 *
 * Where the columns of a table change in a way that the stream does not tell the rows of, the table is marked as stale:
 * its changes are passed over until it is loaded again.
 */

import { existsSync } from 'node:fs';
import { UNFIT_COLUMN } from '../../../databases/postgres/field-mapping.ts';
import { parseLsn } from '../../../databases/postgres/lsn.ts';
import { LongshoreError } from '../../../errors.ts';
import type { Manifest, ManifestColumn, ManifestFile } from '../manifest.ts';
import type { TableName } from '../table-filter.ts';
import { type Alteration, planAlteration } from './alter-table.ts';
import { applyKeyed, applyKeyless } from './apply-changes.ts';
import { betweenSql, type ChangePlace, columnSql, insertSql } from './change-sql.ts';
import { columnNumbers, sameColumns, type WarehouseColumn } from './column-changes.ts';
import { DATABASE, type DuckDbFile, quoted, tableName } from './duckdb-file.ts';
import { type FileColumns, fileColumns, rowsSql } from './file-rows-sql.ts';
import type { SourceCatalogue } from './source-catalogue.ts';
import { type StagedGroup, stagedChanges } from './staged-group.ts';
import { isThere, readTables, type WarehouseTable, writeCheckpoint, writeTable } from './warehouse-state.ts';

export interface ApplyOptions {
  readonly source: SourceCatalogue;
  /** Where the file of a key lies. */
  readonly pathOf: (key: string) => string;
  /** Whether changes follow a full load; generated columns are left out then, since changes have none. */
  readonly follows: boolean;
  /** Whether a table can be loaded again. */
  readonly reloads: boolean;
  /** Kept, with the time of the last change of each row. */
  readonly timestampColumn: string | undefined;
  /** Leaves out what committed at or behind this. */
  readonly before?: bigint | undefined;
  /** Told what the user should know. */
  readonly notice: (text: string) => void;
}

/** @returns the tables of the job, as they are now */
export async function applyManifest(
  db: DuckDbFile,
  manifest: Manifest,
  options: ApplyOptions,
): Promise<WarehouseTable[]> {
  const application = new Application(db, manifest, options, await readTables(db, manifest.job));
  await application.run();
  await writeCheckpoint(db, manifest);
  return application.tables;
}

class Application {
  readonly #db: DuckDbFile;
  readonly #manifest: Manifest;
  readonly #options: ApplyOptions;
  readonly #known: Map<string, WarehouseTable>;

  constructor(db: DuckDbFile, manifest: Manifest, options: ApplyOptions, known: readonly WarehouseTable[]) {
    this.#db = db;
    this.#manifest = manifest;
    this.#options = options;
    this.#known = new Map(known.map((table) => [keyOf(table), table]));
  }

  get tables(): WarehouseTable[] {
    return [...this.#known.values()];
  }

  async run(): Promise<void> {
    const { kind, tables, events, files } = this.#manifest;
    const named = events.map(({ kind: what, schema, table }) => ({ what, schema, name: table }));
    if (kind === 'changes') {
      const changed = [
        ...files.map(({ schema, table }) => ({ schema, name: table })),
        ...named.filter(({ what }) => what === 'truncate'),
      ];
      for (const table of new Map(changed.map((one) => [keyOf(one), one])).values())
        await this.#change(table);
      return;
    }
    const added = kind === 'full-load' ? tables : named.filter(({ what }) => what === 'table-added');
    for (const table of added) await this.#load(table);
    for (const table of named.filter(({ what }) => what === 'table-removed')) {
      if (added.some((one) => keyOf(one) === keyOf(table))) continue;
      this.#options.notice(`${table.schema}.${table.name} left the job: its table in DuckDB stays as it is`);
    }
  }

  /** Makes the table anew, with the rows of its files. */
  async #load({ schema, name }: TableName): Promise<void> {
    const db = this.#db;
    const { source, reloads } = this.#options;
    const oid = this.#oidOf({ schema, name });
    const files = this.#filesOf({ schema, name });
    await this.#drop({ schema, name });
    let table = await this.#note({ schema, name, oid, columns: [], stale: null });
    if (this.#lacks(files)) return await this.#toLoadAgain(table, 'its files are gone');
    const generated = await this.#generatedColumns(oid);
    if (files.length === 0) {
      const columns = (await source.columnsOf(oid)).filter((column) => !generated.has(column.name));
      if (columns.length > 0) await this.#create(table, columns);
      return;
    }
    for (const group of groupsOf(files, (file) => file.schemaId)) {
      const columns = this.#columnsOf(group[0]!, generated);
      const next = await this.#numbered(columns, table.oid, table.columns);
      const hasUnfit = await this.#hasUnfit(table);
      const plan = await planAlteration(db, table, next, [], { source, reloads, hasUnfit });
      if (typeof plan === 'string') return await this.#toLoadAgain(table, plan);
      table = await this.#alter(table, next, plan);
      const rows = this.#rowsSql(columns, group);
      const [left] = await db.rows(`SELECT 1 FROM (${rows}) WHERE u IS NOT NULL LIMIT 1`);
      const unfit = await this.#unfitColumn(table, left !== undefined);
      await db.run(insertSql({ target: tableName(table), columns: next, hasUnfit: unfit }, rows));
    }
  }

  /**
   * DuckDB alters no table whose rows were deleted in the same transaction: the table comes to the columns of the last
   * changes first, and those of before are applied as if they had them, too.
   */
  async #change(name: TableName): Promise<void> {
    const db = this.#db;
    const { source, reloads } = this.#options;
    const table =
      this.#known.get(keyOf(name)) ??
      (await this.#note({ ...name, oid: this.#oidOf(name), columns: [], stale: null }));
    if (table.stale !== null) return;
    const files = this.#filesOf(name);
    if (this.#lacks(files)) return await this.#toLoadAgain(table, 'files of its changes are gone');
    const truncation = this.#lastTruncation(name);
    const groups = await this.#stage(table, files, truncation);
    const next = groups.at(-1)?.columns ?? table.columns;
    const plan = await planAlteration(
      db,
      table,
      next,
      groups.map(({ columns }) => columns),
      { source, reloads, hasUnfit: await this.#hasUnfit(table) },
    );
    if (typeof plan === 'string') return await this.#toLoadAgain(table, plan);
    const now = await this.#alter(table, next, plan);
    const hasUnfit = await this.#unfitColumn(
      now,
      groups.some(({ unfit }) => unfit),
    );
    if (truncation !== undefined && now.columns.length > 0) await db.run(`DELETE FROM ${tableName(now)}`);
    for (const group of groups) {
      const changes = { ...stagedChanges(group, next, plan), target: tableName(now), hasUnfit };
      const identity = group.identity?.map(
        (one) => changes.columns.find(({ sentAs }) => sentAs === one)?.name,
      );
      if (identity?.includes(undefined) === true)
        return await this.#toLoadAgain(now, 'the columns that said which row a change is of are gone');
      if (identity !== undefined) await applyKeyed(db, changes, identity as string[]);
      else if (!(await applyKeyless(db, changes)) && reloads)
        return await this.#toLoadAgain(now, 'it has not the rows that were deleted');
      await db.run(`DROP TABLE ${group.staged}`);
    }
  }

  /** The changes of files, in tables of their own: a table for files that are alike. */
  async #stage(
    { oid, columns: known }: WarehouseTable,
    files: readonly ManifestFile[],
    truncation: ChangePlace | undefined,
  ): Promise<StagedGroup[]> {
    const { before } = this.#options;
    const staged: StagedGroup[] = [];
    for (const group of groupsOf(files, (file) => `${file.schemaId} ${JSON.stringify(file.identity)}`)) {
      const columns = this.#columnsOf(group[0]!);
      const name = `temp.main.longshore_staged_${staged.length}`;
      await this.#db.run(
        `CREATE OR REPLACE TEMP TABLE ${name} AS SELECT * FROM (${this.#rowsSql(columns, group)})
         WHERE ${betweenSql(truncation, before)}`,
      );
      const [[count, left]] = (await this.#db.rows(`SELECT count(*), count(u) FROM ${name}`)) as [
        [string, string],
      ];
      // Columns of what comes later are not those of now.
      if (Number(count) === 0 && before !== undefined) continue;
      staged.push({
        staged: name,
        columns: await this.#numbered(columns, oid, staged.at(-1)?.columns ?? known),
        identity: group[0]!.identity,
        unfit: Number(left) > 0,
      });
    }
    return staged;
  }

  /** The columns of a file with their numbers. @param known as they were before */
  async #numbered(
    { columns }: FileColumns,
    oid: number,
    known: readonly WarehouseColumn[],
  ): Promise<readonly WarehouseColumn[]> {
    if (sameColumns(known, columns)) return known;
    const catalogue = await this.#options.source.columnsOf(oid);
    const own = columns.filter(({ type }) => type !== '');
    const numbers = columnNumbers(own, known, catalogue);
    return columns.map((column): WarehouseColumn => {
      const place = own.indexOf(column);
      return { ...column, number: place < 0 ? null : numbers[place]! };
    });
  }

  async #alter(
    table: WarehouseTable,
    columns: readonly WarehouseColumn[],
    { statements }: Alteration,
  ): Promise<WarehouseTable> {
    if (table.columns.length === 0 && columns.length > 0) return await this.#create(table, columns);
    for (const statement of statements) await this.#db.run(statement);
    return columns === table.columns ? table : await this.#note({ ...table, columns });
  }

  async #create(table: WarehouseTable, columns: readonly WarehouseColumn[]): Promise<WarehouseTable> {
    if (await isThere(this.#db, table)) throw foreign(table, this.#db.path);
    await this.#db.run(`CREATE SCHEMA IF NOT EXISTS ${DATABASE}.${quoted(table.schema)}`);
    await this.#db.run(`CREATE TABLE ${tableName(table)} (${columns.map(columnSql).join(', ')})`);
    return await this.#note({ ...table, columns });
  }

  async #drop(table: TableName): Promise<void> {
    const known = this.#known.get(keyOf(table));
    if (known !== undefined && known.columns.length > 0)
      await this.#db.run(`DROP TABLE IF EXISTS ${tableName(table)}`);
  }

  async #hasUnfit(table: WarehouseTable): Promise<boolean> {
    if (table.columns.length === 0) return false;
    const rows = await this.#db.rows(
      `SELECT 1 FROM (DESCRIBE ${tableName(table)}) WHERE column_name = '${UNFIT_COLUMN}'`,
    );
    return rows.length > 0;
  }

  /** The side column is made when the first value needs it. @returns whether the table has it */
  async #unfitColumn(table: WarehouseTable, needed: boolean): Promise<boolean> {
    if (await this.#hasUnfit(table)) return true;
    if (needed) await this.#db.run(`ALTER TABLE ${tableName(table)} ADD COLUMN ${UNFIT_COLUMN} JSON`);
    return needed;
  }

  async #toLoadAgain(table: WarehouseTable, why: string): Promise<void> {
    if (!this.#options.reloads) {
      throw new LongshoreError(
        'CHECK_FAILED',
        `${table.schema}.${table.name} cannot be gone on with: ${why}`,
        {
          hint: 'begin a job of another name, with another file, which loads everything again',
        },
      );
    }
    this.#options.notice(`${table.schema}.${table.name} is loaded again: ${why}`);
    await this.#note({ ...table, stale: why });
  }

  async #note(table: WarehouseTable): Promise<WarehouseTable> {
    this.#known.set(keyOf(table), table);
    await writeTable(this.#db, this.#manifest.job, table);
    return table;
  }

  #lastTruncation({ schema, name }: TableName): ChangePlace | undefined {
    const { before } = this.#options;
    return this.#manifest.events
      .filter((event) => event.kind === 'truncate' && event.schema === schema && event.table === name)
      .map(({ lsn, ordinal }) => ({ lsn: parseLsn(lsn), ordinal }))
      .filter(({ lsn }) => before === undefined || lsn < before)
      .at(-1);
  }

  #lacks(files: readonly ManifestFile[]): boolean {
    return files.some(({ key }) => !existsSync(this.#options.pathOf(key)));
  }

  #filesOf({ schema, name }: TableName): ManifestFile[] {
    return this.#manifest.files.filter((file) => file.schema === schema && file.table === name);
  }

  #columnsOf({ schemaId }: ManifestFile, leftOut?: ReadonlySet<string>): FileColumns {
    const columns: readonly ManifestColumn[] = this.#manifest.schemas[schemaId]!;
    return fileColumns(columns, this.#options.timestampColumn, leftOut);
  }

  #rowsSql(columns: FileColumns, files: readonly ManifestFile[]): string {
    const paths = files.map(({ key }) => this.#options.pathOf(key));
    return rowsSql(columns, paths);
  }

  async #generatedColumns(oid: number): Promise<ReadonlySet<string>> {
    if (!this.#options.follows) return new Set();
    const columns = await this.#options.source.columnsOf(oid);
    return new Set(columns.flatMap(({ name, generated }) => (generated ? [name] : [])));
  }

  #oidOf({ schema, name }: TableName): number {
    return this.#manifest.tables.find((table) => table.schema === schema && table.name === name)?.oid ?? 0;
  }
}

/** @throws CHECK_FAILED, which says that a table is not ours to write */
export function foreign({ schema, name }: TableName, path: string): LongshoreError {
  return new LongshoreError(
    'CHECK_FAILED',
    `${path} has a table ${schema}.${name} already, and not of this job`,
    {
      hint: 'name another file with --to, leave the table out, or take it away in DuckDB',
    },
  );
}

/** Files that follow one another and are alike. */
function groupsOf(
  files: readonly ManifestFile[],
  keyOfFile: (file: ManifestFile) => string,
): ManifestFile[][] {
  const groups: ManifestFile[][] = [];
  for (const file of files) {
    const last = groups.at(-1);
    if (last !== undefined && keyOfFile(last[0]!) === keyOfFile(file)) last.push(file);
    else groups.push([file]);
  }
  return groups;
}

function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}
