/** What keeps tables from being replicated. Pure. */

import { UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import type { Problem } from '../../databases/postgres/replication-setup.ts';
import { quotedTable, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { CHANGE_COLUMNS } from './change-table.ts';

/** The first one of a table. @param follows whether its changes are followed */
export function tableProblem(
  table: SourceTable,
  timestampColumn: string | undefined,
  follows: boolean,
): Problem | undefined {
  return (
    readProblem(table) ??
    emptyProblem(table) ??
    columnProblem(table, timestampColumn) ??
    (follows ? (ownerProblem(table) ?? identityProblem(table)) : undefined)
  );
}

function readProblem(table: SourceTable): Problem | undefined {
  if (table.canSelect) return undefined;
  return {
    what: `the role may not read ${table.schema}.${table.name}`,
    fix: `GRANT SELECT ON ${quotedTable(table)} TO the role`,
  };
}

/** A file of no columns has no rows. */
function emptyProblem({ schema, name, columns }: SourceTable): Problem | undefined {
  if (columns.length > 0) return undefined;
  return {
    what: `${schema}.${name} has no columns`,
    fix: `leave it out with --tables '!${schema}.${name}'`,
  };
}

/** Only its owner may publish a table. */
function ownerProblem(table: SourceTable): Problem | undefined {
  if (table.isOwner) return undefined;
  return {
    what: `the role does not own ${table.schema}.${table.name}, and may not publish it`,
    fix: `GRANT the role that owns it TO this one, or leave it out with --tables '!${table.schema}.${table.name}'`,
  };
}

/** Folders and catalogues of lakes take names that differ by case for one. */
export function caseProblem(tables: readonly SourceTable[]): Problem | undefined {
  const [one, other] = firstAlike(tables.map(({ schema, name }) => `${schema}.${name}`)) ?? [];
  return one === undefined ? undefined : alikeProblem(one, other!);
}

/**
 * Of tables whose names differ by case alone the first one.
 * @param leaveOut is told each of the others
 */
export function distinctTables<T extends { readonly schema: string; readonly name: string }>(
  tables: readonly T[],
  leaveOut: (table: T, problem: Problem) => void,
): T[] {
  const seen = new Map<string, string>();
  return tables.filter((table) => {
    const name = `${table.schema}.${table.name}`;
    const before = seen.get(name.toLowerCase());
    if (before === undefined) seen.set(name.toLowerCase(), name);
    else leaveOut(table, alikeProblem(before, name));
    return before === undefined;
  });
}

function alikeProblem(one: string, other: string): Problem {
  return {
    what: `the names of the tables ${one} and ${other} differ by case alone`,
    fix: `leave one out with --tables '!${other}', or rename it`,
  };
}

function firstAlike(names: readonly string[]): [string, string] | undefined {
  const seen = new Map<string, string>();
  for (const name of names) {
    const before = seen.get(name.toLowerCase());
    if (before !== undefined) return [before, name];
    seen.set(name.toLowerCase(), name);
  }
  return undefined;
}

/** Columns of our own, beside which no other may have their names; nor may two have names that differ by case alone. */
export function columnProblem(
  table: Pick<SourceTable, 'schema' | 'name'> & { readonly columns: readonly { readonly name: string }[] },
  timestampColumn: string | undefined,
): Problem | undefined {
  const own = new Set([...Object.values(CHANGE_COLUMNS), UNFIT_COLUMN].map((name) => name.toLowerCase()));
  const isOwn = (name: string): boolean => own.has(name.toLowerCase());
  const twice = timestampColumn !== undefined && isOwn(timestampColumn);
  if (timestampColumn !== undefined) own.add(timestampColumn.toLowerCase());
  const clash = twice ? timestampColumn : table.columns.find(({ name }) => isOwn(name))?.name;
  const [one, other] = firstAlike(table.columns.map(({ name }) => name)) ?? [];
  if (one !== undefined) {
    return {
      what: `the names of the columns ${one} and ${other} of ${table.schema}.${table.name} differ by case alone`,
      fix: 'rename one, or leave the table out',
    };
  }
  if (clash === undefined) return undefined;
  return {
    what: `${table.schema}.${table.name} would have two columns called ${clash}`,
    fix: `rename the column, leave the table out, or give another --timestamp-column`,
  };
}

/** Once published, updates and deletions of a table without an identity fail in the application. */
export function identityProblem(table: SourceTable): Problem | undefined {
  const { replicaIdentity, primaryKey, identityColumns, columns } = table;
  if (replicaIdentity === 'f') return undefined;
  const name = `${table.schema}.${table.name}`;
  const fix = `ALTER TABLE ${quotedTable(table)} REPLICA IDENTITY FULL, or leave it out with --tables '!${name}'`;
  const key = replicaIdentity === 'd' ? primaryKey : replicaIdentity === 'i' ? identityColumns : [];
  if (key.length === 0) {
    return {
      what: `${name} has neither a primary key nor another replica identity: once published, its updates would fail`,
      fix,
    };
  }
  const generated = columns.find((column) => column.generated && key.includes(column.name));
  if (generated === undefined) return undefined;
  return {
    what: `the key of ${name} has the generated column ${generated.name}, which changes leave out: they would not say which row they are of`,
    fix,
  };
}
