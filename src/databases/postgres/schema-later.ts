/**
 * What is made of tables when their rows are there: indexes, constraints, statistics, comments. Building an index over
 * rows is faster than keeping it while they come, and constraints are then checked once.
 */

import type pg from 'pg';
import { type LaterStage, type LaterStatement, quoteText } from './schema-object.ts';
import { quoteName } from './sql.ts';
import { quotedTable } from './table-catalogue.ts';

interface OfTable {
  readonly table_oid: number;
  readonly schema: string;
  readonly table: string;
}

export interface IndexRow extends OfTable {
  readonly name: string;
  /** Of a partitioned table, with `ON ONLY`. */
  readonly definition: string;
  /** Of the constraint that the index serves; it is made with it. */
  readonly constraint: { readonly name: string; readonly definition: string } | null;
  readonly partitioned: boolean;
  /** Index of the partitioned table that this one is a part of. */
  readonly parent: { readonly schema: string; readonly name: string } | null;
  /** How far below the topmost index. */
  readonly depth: number;
  readonly replica_identity: boolean;
  readonly clustered: boolean;
}

export interface ConstraintRow extends OfTable {
  readonly name: string;
  /** `c` check, `f` foreign key, `n` not null. */
  readonly kind: string;
  readonly definition: string;
  readonly no_inherit: boolean;
  /** How many tables it inherits from, so that children come first. */
  readonly depth: number;
  readonly target_oid: number | null;
}

export interface TextRow extends OfTable {
  readonly what: string;
  readonly text: string;
}

export interface LaterRows {
  readonly indexes: readonly IndexRow[];
  readonly constraints: readonly ConstraintRow[];
  /** Of partitions, which a key of their table makes too, none. */
  readonly foreignKeys: readonly ConstraintRow[];
  /** Statistics, comments, replica identities. */
  readonly texts: readonly TextRow[];
}

/** In order: each stage when the one before it is through. Pure. */
export function laterStages({ indexes, constraints, foreignKeys, texts }: LaterRows): LaterStage[] {
  const byTable = (statements: readonly (readonly [OfTable, LaterStatement])[]): LaterStage => ({
    groups: [...Map.groupBy(statements, ([{ table_oid: oid }]) => oid).values()].map((group) =>
      group.map(([, statement]) => statement),
    ),
  });
  const inTurn = (statements: readonly LaterStatement[]): LaterStage => ({ groups: [statements] });
  const whole = indexes.filter(({ partitioned }) => !partitioned);
  const parents = indexes
    .filter(({ partitioned }) => partitioned)
    .toSorted((one, other) => other.depth - one.depth);
  const parts = indexes
    .filter(({ parent }) => parent !== null)
    .toSorted((one, other) => other.depth - one.depth);
  return [
    byTable(whole.map((index) => [index, indexStatement(index)])),
    inTurn(parents.map(indexStatement)),
    inTurn(parts.map(attachStatement)),
    byTable(indexes.flatMap((index) => markStatements(index).map((mark) => [index, mark] as const))),
    // A constraint of a table reaches its children, and takes those that are there for its own.
    inTurn(constraints.toSorted((one, other) => other.depth - one.depth).map(constraintStatement)),
    byTable(texts.map((row) => [row, { what: row.what, text: row.text }])),
    inTurn(foreignKeys.map(constraintStatement)),
  ].filter(({ groups }) => groups.some((group) => group.length > 0));
}

function tableOf({ schema, table }: OfTable): string {
  return quotedTable({ schema, name: table });
}

function indexStatement(index: IndexRow): LaterStatement {
  const { constraint, definition, name } = index;
  if (constraint === null) return { what: `the index ${quoteName(name)}`, text: definition };
  return {
    what: `the constraint ${quoteName(constraint.name)} of ${tableOf(index)}`,
    text: `ALTER TABLE ONLY ${tableOf(index)} ADD CONSTRAINT ${quoteName(constraint.name)} ${constraint.definition}`,
  };
}

function attachStatement({ schema, name, parent }: IndexRow): LaterStatement {
  return {
    what: `the index ${quoteName(name)}`,
    text: `ALTER INDEX ${quotedTable(parent!)} ATTACH PARTITION ${quotedTable({ schema, name })}`,
  };
}

function markStatements(index: IndexRow): LaterStatement[] {
  const name = quoteName(index.name);
  const marks: LaterStatement[] = [];
  if (index.replica_identity) {
    marks.push({
      what: `the replica identity of ${tableOf(index)}`,
      text: `ALTER TABLE ONLY ${tableOf(index)} REPLICA IDENTITY USING INDEX ${name}`,
    });
  }
  if (index.clustered && !index.partitioned)
    marks.push({
      what: `the clustering of ${tableOf(index)}`,
      text: `ALTER TABLE ONLY ${tableOf(index)} CLUSTER ON ${name}`,
    });
  return marks;
}

function constraintStatement(row: ConstraintRow): LaterStatement {
  const only = row.kind === 'c' && row.no_inherit ? 'ONLY ' : '';
  const text = `ALTER TABLE ${only}${tableOf(row)} ADD CONSTRAINT ${quoteName(row.name)} ${row.definition}`;
  return {
    what: `the constraint ${quoteName(row.name)} of ${tableOf(row)}`,
    text,
    ...(/ NOT VALID$/.test(text) ? {} : { orElse: `${text} NOT VALID` }),
  };
}

/**
 * @param tables oids of every table that is made, partitions too
 * @param known oids of tables that are there, and may point to those
 */
export async function readLaterRows(
  client: pg.ClientBase,
  tables: readonly number[],
  known: readonly number[],
): Promise<LaterRows> {
  const indexes = await client.query<IndexRow>(INDEXES, [tables]);
  const constraints = await client.query<ConstraintRow>(CONSTRAINTS, [tables, known]);
  const statistics = await client.query<TextRow>(STATISTICS, [tables]);
  const comments = await client.query<OfTable & { column: string | null; comment: string }>(COMMENTS, [
    tables,
  ]);
  const identities = await client.query<OfTable & { identity: string }>(IDENTITIES, [tables]);
  return {
    indexes: indexes.rows,
    constraints: constraints.rows.filter(({ kind }) => kind !== 'f'),
    foreignKeys: constraints.rows.filter(({ kind }) => kind === 'f'),
    texts: [
      ...statistics.rows,
      ...identities.rows.map((row) => ({
        ...row,
        what: `the replica identity of ${tableOf(row)}`,
        text: `ALTER TABLE ONLY ${tableOf(row)} REPLICA IDENTITY ${row.identity}`,
      })),
      ...comments.rows.map((row) => ({
        ...row,
        what: `the comment of ${tableOf(row)}`,
        text:
          row.column === null
            ? `COMMENT ON TABLE ${tableOf(row)} IS ${quoteText(row.comment)}`
            : `COMMENT ON COLUMN ${tableOf(row)}.${quoteName(row.column)} IS ${quoteText(row.comment)}`,
      })),
    ],
  };
}

const TABLE_COLUMNS = 'c.oid::int8::float8 AS table_oid, n.nspname AS schema, c.relname AS table';
const TABLE_JOIN = 'JOIN pg_namespace n ON n.oid = c.relnamespace';

/** Depth in a tree of inheritance; the longest way up. */
function depthOf(relation: string): string {
  return `(WITH RECURSIVE up AS (SELECT ${relation} AS oid, 0 AS depth
     UNION ALL SELECT i.inhparent, up.depth + 1 FROM up JOIN pg_inherits i ON i.inhrelid = up.oid)
   SELECT max(depth) FROM up)`;
}

/** An index that was not built to its end is of no use to anybody. */
const INDEXES = `
SELECT ${TABLE_COLUMNS}, x.relname AS name, pg_get_indexdef(x.oid) AS definition, x.relkind = 'I' AS partitioned,
       (SELECT jsonb_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid)) FROM pg_constraint k
        WHERE k.conindid = x.oid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x')) AS constraint,
       (SELECT jsonb_build_object('schema', pn.nspname, 'name', p.relname) FROM pg_inherits h
        JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = x.oid) AS parent,
       ${depthOf('x.oid')} AS depth, i.indisreplident AS replica_identity, i.indisclustered AS clustered
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid ${TABLE_JOIN}
WHERE c.oid = ANY ($1::oid[]) AND i.indisvalid
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", NOT i.indisprimary, x.relname COLLATE "C"`;

/** Those that a table has of its own; what it inherits comes from above. Not null is said with the column, once it holds. */
const CONSTRAINTS = `
SELECT ${TABLE_COLUMNS}, k.conname AS name, k.contype AS kind, pg_get_constraintdef(k.oid) AS definition,
       k.connoinherit AS no_inherit, ${depthOf('c.oid')} AS depth, nullif(k.confrelid, 0)::int8::float8 AS target_oid
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid ${TABLE_JOIN}
WHERE (c.oid = ANY ($2::oid[]) AND k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY ($1::oid[]))
  OR c.oid = ANY ($1::oid[]) AND ((k.contype = 'c' AND k.conislocal) OR (k.contype = 'f' AND k.conparentid = 0)
  OR (k.contype = 'n' AND NOT k.convalidated AND k.conislocal))
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", k.conname COLLATE "C"`;

const STATISTICS = `
SELECT ${TABLE_COLUMNS}, 'the statistics ' || quote_ident(s.stxname) AS what, pg_get_statisticsobjdef(s.oid) AS text
FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid ${TABLE_JOIN}
WHERE c.oid = ANY ($1::oid[]) ORDER BY s.stxname COLLATE "C"`;

const COMMENTS = `
SELECT ${TABLE_COLUMNS}, a.attname AS column, d.description AS comment
FROM pg_description d JOIN pg_class c ON c.oid = d.objoid ${TABLE_JOIN}
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
WHERE d.classoid = 'pg_class'::regclass AND c.oid = ANY ($1::oid[]) ORDER BY c.oid, d.objsubid`;

const IDENTITIES = `
SELECT ${TABLE_COLUMNS}, CASE c.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END AS identity
FROM pg_class c ${TABLE_JOIN} WHERE c.oid = ANY ($1::oid[]) AND c.relreplident IN ('f', 'n')`;
