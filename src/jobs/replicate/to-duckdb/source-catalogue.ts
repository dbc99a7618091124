/** What the source's catalogue says of the columns of a table, asked for when files alone do not tell. */

import type pg from 'pg';
import { mapField } from '../../../databases/postgres/field-mapping.ts';
import { type OlderRows, olderRows } from '../../../databases/postgres/older-rows.ts';
import { readTables } from '../../../databases/postgres/table-catalogue.ts';
import { parquetTypeName } from '../../../formats/columns/column-type.ts';
import type { WarehouseColumn } from './column-changes.ts';

export interface SourceColumn extends WarehouseColumn {
  readonly number: number;
  readonly generated: boolean;
}

export interface SourceCatalogue {
  /** As they are now; none of a table that is gone. */
  columnsOf(oid: number): Promise<readonly SourceColumn[]>;
  /** What columns are in rows that are older than they, by their numbers. */
  olderRows(oid: number): Promise<ReadonlyMap<number, OlderRows>>;
}

export function sourceCatalogue(client: pg.ClientBase): SourceCatalogue {
  return {
    async columnsOf(oid) {
      const table = (await readTables(client)).find((one) => one.oid === oid);
      return (table?.columns ?? []).map((column) => ({
        name: column.name,
        number: column.number,
        type: column.typeName,
        parquet: parquetTypeName(mapField(column).column.type),
        generated: column.generated,
      }));
    },
    olderRows: (oid) => olderRows(client, oid),
  };
}
