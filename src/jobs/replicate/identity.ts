/** Whether the changes of a table say which row they are of. Pure. */

import { quotedTable, type SourceTable } from '../../databases/postgres/table-catalogue.ts';

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
