/** What keeps a table from being replicated. Pure. */

import { UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import { quotedTable, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { CHANGE_COLUMNS } from './change-table.ts';

/** Columns of our own, beside which no other may have their names. */
export function columnProblem(
  table: SourceTable,
  timestampColumn: string | undefined,
): { what: string; fix: string } | undefined {
  const own = new Set<string>([...Object.values(CHANGE_COLUMNS), UNFIT_COLUMN]);
  const twice = timestampColumn !== undefined && own.has(timestampColumn);
  if (timestampColumn !== undefined) own.add(timestampColumn);
  const clash = twice ? timestampColumn : table.columns.find(({ name }) => own.has(name))?.name;
  if (clash === undefined) return undefined;
  return {
    what: `${table.schema}.${table.name} would have two columns called ${clash}`,
    fix: `rename the column, leave the table out, or give another --timestamp-column`,
  };
}

/** Once published, updates and deletions of a table without an identity fail in the application. */
export function identityProblem(table: SourceTable): { what: string; fix: string } | undefined {
  const { replicaIdentity, primaryKey, identityColumns } = table;
  const identified =
    replicaIdentity === 'f' ||
    (replicaIdentity === 'd' && primaryKey.length > 0) ||
    (replicaIdentity === 'i' && identityColumns.length > 0);
  if (identified) return undefined;
  const name = `${table.schema}.${table.name}`;
  return {
    what: `${name} has neither a primary key nor another replica identity: once published, its updates would fail`,
    fix: `ALTER TABLE ${quotedTable(table)} REPLICA IDENTITY FULL, or leave it out with --tables '!${name}'`,
  };
}
