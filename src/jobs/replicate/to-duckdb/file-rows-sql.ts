/**
 * SQL that reads the files of a table. Pure.
 *
 * A column of a table is `v0`, `v1`, … in between: a file may have names that are one to DuckDB. Beside them stand `u`, what
 * DuckDB cannot hold, as JSON, and of changes `op`, `lsn`, `ord` and `reread`.
 */

import { UNFIT_COLUMN } from '../../../databases/postgres/field-mapping.ts';
import { CHANGE_COLUMNS } from '../change-table.ts';
import type { ManifestColumn } from '../manifest.ts';
import type { WarehouseColumn } from './column-changes.ts';
import { literal } from './duckdb-file.ts';
import { fieldSql } from './duckdb-type.ts';

/** Columns of a table, as some of its files have them. */
export interface FileColumns {
  readonly inFile: readonly ManifestColumn[];
  /** The place of each column in the file. */
  readonly places: readonly number[];
  /** Without what belongs to changes. */
  readonly columns: readonly Omit<WarehouseColumn, 'number'>[];
}

/** @param timestampColumn is kept, as the time of the last change of a row */
export function fileColumns(
  inFile: readonly ManifestColumn[],
  timestampColumn: string | undefined,
  leftOut: ReadonlySet<string> = new Set(),
): FileColumns {
  const found = inFile.flatMap((column, place) => {
    const { name, type, parquet } = column;
    if (type === '' && name !== timestampColumn) return [];
    if (leftOut.has(name)) return [];
    return [{ place, column: { name, type, parquet: type === '' ? COMMIT_TIME : parquet } }];
  });
  return { inFile, places: found.map(({ place }) => place), columns: found.map(({ column }) => column) };
}

/** `TIMESTAMP`; DMS has it as text. */
const COMMIT_TIME = 'TIMESTAMP(MICROS, local)';

/** The rows of files of the same columns. */
export function rowsSql({ inFile, places, columns }: FileColumns, paths: readonly string[]): string {
  const placeOf = (name: string): string | undefined => {
    const place = inFile.findIndex((column) => column.type === '' && column.name === name);
    return place < 0 ? undefined : `c${place}`;
  };
  const aside = placeOf(UNFIT_COLUMN);
  const fields = columns.map((column, i) => {
    const at = `c${places[i]}`;
    if (column.type === '') return { value: `TRY_CAST(${at} AS TIMESTAMP)`, left: undefined };
    return fieldSql(column, at, aside === undefined ? undefined : 'm');
  });
  const left = fields.flatMap((field, i) =>
    field.left === undefined ? [] : [{ name: columns[i]!.name, text: field.left }],
  );
  const selected = [
    ...fields.map(({ value }, i) => `${value} AS v${i}`),
    `${leftSql(left)} AS u`,
    ...META.map(([name, as]) => `${placeOf(name) ?? 'NULL'} AS ${as}`),
  ];
  const map = aside === undefined ? '' : `, CAST(CAST(${aside} AS JSON) AS MAP(VARCHAR, VARCHAR)) AS m`;
  const names = inFile.map((_, place) => `c${place}`).join(', ');
  const files = paths.map((path) => literal(globbed(path))).join(', ');
  return `SELECT ${selected.join(', ')} FROM (SELECT *${map}
    FROM read_parquet([${files}], hive_partitioning = false) AS f(${names}))`;
}

const META = [
  [CHANGE_COLUMNS.op, 'op'],
  [CHANGE_COLUMNS.commitLsn, 'lsn'],
  [CHANGE_COLUMNS.ordinal, 'ord'],
  [CHANGE_COLUMNS.reread, 'reread'],
] as const;

/** A JSON object of the texts that are left over; NULL for none. */
function leftSql(left: readonly { readonly name: string; readonly text: string }[]): string {
  if (left.length === 0) return 'NULL::JSON';
  const pairs = left.map(({ name, text }) => `{'k': ${literal(name)}, 'v': ${text}}`).join(', ');
  const some = left.map(({ text }) => `(${text}) IS NOT NULL`).join(' OR ');
  return `CASE WHEN ${some} THEN to_json(map_from_entries(list_filter([${pairs}], lambda x: x.v IS NOT NULL))) END`;
}

/** A path in which nothing stands for anything else. */
function globbed(path: string): string {
  return path.replace(/[*?[]/g, '[$&]');
}
