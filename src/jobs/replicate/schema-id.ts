/** What a manifest says of the columns of a file, and a short name for it. Pure. */

import { createHash } from 'node:crypto';
import { type Column, parquetTypeName } from '../../formats/columns/column-type.ts';
import type { ManifestColumn } from './manifest.ts';

/** @param table whose columns have types of PostgreSQL; the others are the job's own */
export function manifestColumns(
  table: { readonly columns: readonly { readonly name: string; readonly typeName: string }[] },
  columns: readonly Column[],
): ManifestColumn[] {
  const types = new Map(table.columns.map(({ name, typeName }) => [name, typeName]));
  return columns.map(({ name, type }) => ({
    name,
    type: types.get(name) ?? '',
    parquet: parquetTypeName(type),
  }));
}

/** The same for the same columns. */
export function schemaIdOf(columns: readonly ManifestColumn[]): string {
  return createHash('sha256').update(JSON.stringify(columns)).digest('hex').slice(0, 12);
}

/** The same for tables whose changes have the same columns. */
export function changeSchemaId(columns: readonly Column[]): string {
  return schemaIdOf(columns.map(({ name, type }) => ({ name, type: '', parquet: parquetTypeName(type) })));
}
