/** SQL that applies staged changes to a table. The columns of staged changes are those of `file-rows-sql.ts`. Pure. */

import { UNFIT_COLUMN } from '../../../databases/postgres/field-mapping.ts';
import type { WarehouseColumn } from './column-changes.ts';
import { literal, quoted } from './duckdb-file.ts';
import { duckDbType, duckDbUnfit } from './duckdb-type.ts';

/** A place in the order of changes. */
export interface ChangePlace {
  readonly lsn: bigint;
  readonly ordinal: number;
}

/** A column of staged changes: `v0`, `v1`, … */
export interface StagedColumn extends Omit<WarehouseColumn, 'number'> {
  /** Its name in the list of columns that an update did not send. */
  readonly sentAs: string | undefined;
}

export interface StagedChanges {
  /** Where they wait, in SQL. */
  readonly staged: string;
  /** The table. */
  readonly target: string;
  /** Of both. */
  readonly columns: readonly StagedColumn[];
  /** Whether some change has values that DuckDB cannot hold. */
  readonly unfit: boolean;
  /** Whether the table has a column for them; it has where some change has. */
  readonly hasUnfit: boolean;
}

export interface KeyedChanges extends StagedChanges {
  /** Names of the columns that say which row it is. */
  readonly identity: readonly string[];
  /** Places of columns that some update did not send. */
  readonly unsent: readonly number[];
}

/** Which changes count: those behind a truncation, those before a place of the log. */
export function betweenSql(after: ChangePlace | undefined, before: bigint | undefined): string {
  const conditions = ['true'];
  if (after !== undefined)
    conditions.push(`(lsn > ${after.lsn} OR (lsn = ${after.lsn} AND ord > ${after.ordinal}))`);
  if (before !== undefined) conditions.push(`lsn < ${before}`);
  return conditions.join(' AND ');
}

/** Inserts rows of a source with columns `v0`, `v1`, … and `u`. */
export function insertSql(
  {
    target,
    columns,
    hasUnfit,
  }: Pick<StagedChanges, 'target' | 'hasUnfit'> & { columns: readonly NamedColumn[] },
  source: string,
): string {
  const names = [...columns.map(({ name }) => name), ...(hasUnfit ? [UNFIT_COLUMN] : [])];
  const values = [...columns.map((_, i) => `v${i}`), ...(hasUnfit ? ['u'] : [])];
  return `INSERT INTO ${target} (${names.map(quoted).join(', ')}) SELECT ${values.join(', ')} FROM (${source})`;
}

interface NamedColumn {
  readonly name: string;
}

/** What the last change of each row makes of it; a value that an update did not send is the one that the row had before. */
export function lastChangesSql(changes: KeyedChanges): string {
  const { staged, columns, target, unsent } = changes;
  const terms = keyTerms(changes);
  const key = terms.staged;
  const nth = `row_number() OVER (PARTITION BY ${key.join(', ')} ORDER BY lsn DESC, ord DESC)`;
  if (unsent.length === 0) return `SELECT * FROM ${staged} QUALIFY ${nth} = 1`;
  const lacking = unsent.map((i) => ({ i, isUnsent: isUnsent(columns[i]!.sentAs!) }));
  const known = lacking.map(
    ({ i, isUnsent: none }) =>
      `last_value(CASE WHEN NOT ${none} THEN {'v': v${i}} END IGNORE NULLS) OVER earlier AS known${i}`,
  );
  const values = lacking.map(
    ({
      i,
      isUnsent: none,
    }) => `CASE WHEN NOT ${none} THEN s.v${i} WHEN s.known${i} IS NOT NULL THEN s.known${i}.v
      WHEN t.is_there THEN t.old${i} ELSE s.v${i} END AS v${i}`,
  );
  const old = lacking.map(({ i }) => `${quoted(columns[i]!.name)} AS old${i}`);
  const oldKey = terms.target.map((term, i) => `${term} AS key${i}`);
  const same = key.map((term, i) => `t.key${i} = ${term}`);
  return `SELECT s.* REPLACE (${values.join(', ')}) FROM (
      SELECT *, ${known.join(', ')}, ${nth} AS nth FROM ${staged}
      WINDOW earlier AS (PARTITION BY ${key.join(', ')} ORDER BY lsn, ord ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) s
    LEFT JOIN (SELECT ${[...old, ...oldKey].join(', ')}, true AS is_there FROM ${target}) t ON ${same.join(' AND ')}
    WHERE s.nth = 1`;
}

/** Deletes the rows that changes are of. @param changed where the last change of each lies */
export function deleteChangedSql(changes: KeyedChanges, changed: string): string {
  const { staged, target } = keyTerms(changes);
  const keys = staged.map((term, i) => `${term} AS longshore_key${i}`).join(', ');
  const same = target.map((term, i) => `${term} = longshore_keys.longshore_key${i}`).join(' AND ');
  return `DELETE FROM ${changes.target} USING (SELECT ${keys} FROM ${changed}) AS longshore_keys WHERE ${same}`;
}

/** How often each row comes more often than it goes: of a table whose rows nothing but all their values tells apart. */
export function netRowsSql(changes: StagedChanges): string {
  const values = valuesOf(changes).map(({ at }) => at);
  return `SELECT ${values.join(', ')}, sum(CASE op WHEN 'D' THEN -1 ELSE 1 END)::BIGINT AS net
    FROM ${changes.staged} GROUP BY ${values.join(', ')}`;
}

/** As many of each row as come. @param net made by {@link netRowsSql} */
export function comingRowsSql(net: string): string {
  return `SELECT *, unnest(range(net)) FROM ${net} WHERE net > 0`;
}

/** Rows that go, how many of each, and how many the table has. @param net made by {@link netRowsSql} */
export function goingRowsSql(changes: StagedChanges, net: string): string {
  const values = valuesOf(changes);
  const selected = values.map(({ at }) => `any_value(${at}) AS ${at}`);
  const here = values.map(({ at, name }) => `${quoted(name)} AS here_${at}`);
  const same = values.map(({ at }) => `${at} IS NOT DISTINCT FROM here_${at}`);
  return `SELECT ${selected.join(', ')}, any_value(-net) AS goes, count(is_there) AS there
    FROM (SELECT *, row_number() OVER () AS nth FROM ${net} WHERE net < 0)
    LEFT JOIN (SELECT ${here.join(', ')}, true AS is_there FROM ${changes.target}) ON ${same.join(' AND ')}
    GROUP BY nth`;
}

/** What stays of each. @param going made by {@link goingRowsSql} */
export function stayingRowsSql(going: string): string {
  return `SELECT *, unnest(range(there - goes)) FROM ${going} WHERE there > goes`;
}

/** Deletes all that are equal. @param going made by {@link goingRowsSql} */
export function deleteRowsSql(changes: StagedChanges, going: string): string {
  const values = valuesOf(changes);
  const selected = values.map(({ at }) => `${at} AS longshore_${at}`).join(', ');
  const same = values
    .map(({ name, at }) => `${quoted(name)} IS NOT DISTINCT FROM longshore_${at}`)
    .join(' AND ');
  return `DELETE FROM ${changes.target} USING (SELECT ${selected} FROM ${going}) AS longshore_going WHERE ${same}`;
}

/** Every value of a staged row, and the column that it is of. */
function valuesOf({ columns, hasUnfit }: StagedChanges): { readonly name: string; readonly at: string }[] {
  const values = columns.map(({ name }, i) => ({ name, at: `v${i}` }));
  return hasUnfit ? [...values, { name: UNFIT_COLUMN, at: 'u' }] : values;
}

function isUnsent(name: string): string {
  return `(op = 'U' AND reread IS NOT NULL AND contains(',' || reread || ',', ${literal(`,${name},`)}))`;
}

/** The columns of the identity, of staged changes and of the table; where values are left over, with these. */
function keyTerms({ columns, identity, unfit }: KeyedChanges): { staged: string[]; target: string[] } {
  const terms = identity.map((name) => {
    const i = columns.findIndex((column) => column.name === name);
    if (!unfit || duckDbUnfit(columns[i]!) === undefined) return { staged: `v${i}`, target: quoted(name) };
    const left = (of: string): string => `CAST(${of} AS MAP(VARCHAR, VARCHAR))[${literal(name)}]`;
    return {
      staged: `coalesce(v${i}::VARCHAR, ${left('u')})`,
      target: `coalesce(${quoted(name)}::VARCHAR, ${left(quoted(UNFIT_COLUMN))})`,
    };
  });
  return { staged: terms.map(({ staged }) => staged), target: terms.map(({ target }) => target) };
}

/** A column as `CREATE TABLE` has it. */
export function columnSql(column: Omit<WarehouseColumn, 'number'>): string {
  return `${quoted(column.name)} ${duckDbType(column)}`;
}
