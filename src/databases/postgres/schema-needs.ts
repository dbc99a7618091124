/**
 * What tables need to be made in another database: the types, functions, sequences, collations and extensions that they
 * name, and those that these name, in an order in which each comes behind what it needs. From `pg_depend`, which
 * PostgreSQL keeps for the same purpose.
 */

import type pg from 'pg';

/** An object of the catalogue. */
export interface Node {
  /** The catalogue it stands in: `pg_type`. */
  readonly class: string;
  readonly oid: number;
  /** Of relations `pg_class.relkind`, else ''. */
  readonly kind: string;
}

export interface Edge {
  readonly from: Node;
  readonly to: Node;
  /**
   * As `pg_depend.deptype`; and `default` and `part` for what belongs to the object, `later` for what is made of a table
   * when its rows are there, `sequence` for one that a table owns.
   */
  readonly how: string;
}

export interface SchemaNeeds {
  /** Types, functions, collations, sequences, tables; each behind what it needs. */
  readonly ordered: readonly Node[];
  /** Of `pg_extension`. */
  readonly extensions: readonly number[];
  /** Of `pg_attrdef`: defaults that need the very table they belong to; they are set when everything is made. */
  readonly lateDefaults: ReadonlySet<number>;
  /** What is needed and cannot be made: operators, operator classes, text search configurations, other relations. */
  readonly foreign: readonly Node[];
}

/** @param tables oids of every table to be made, partitions too */
export async function readSchemaNeeds(
  client: pg.ClientBase,
  tables: readonly number[],
): Promise<SchemaNeeds> {
  const chosen = new Set(tables);
  const edges: Edge[] = [];
  const seen = new Map<string, Node>();
  let frontier: Node[] = tables.map((oid) => ({ class: 'pg_class', oid, kind: 'r' }));
  for (const node of frontier) seen.set(nameOf(node), node);
  while (frontier.length > 0) {
    const found = await edgesOf(client, frontier);
    const members = new Set(found.filter(isMembership).map(({ from }) => nameOf(from)));
    const next: Node[] = [];
    for (const edge of found) {
      // What an extension brings comes with it.
      if (members.has(nameOf(edge.from)) && !isMembership(edge)) continue;
      edges.push(edge);
      if (seen.has(nameOf(edge.to))) continue;
      seen.set(nameOf(edge.to), edge.to);
      if (isMade(edge.to, chosen) || !isRelation(edge.to)) next.push(edge.to);
    }
    frontier = next;
  }
  return orderNeeds(tables, edges);
}

/** Puts what was found in order. Pure. */
export function orderNeeds(tables: readonly number[], edges: readonly Edge[]): SchemaNeeds {
  const chosen = new Set(tables);
  const outgoing = Map.groupBy(edges, ({ from }) => nameOf(from));
  const ordered: Node[] = [];
  const extensions = new Set<number>();
  const lateDefaults = new Set<number>();
  const foreign = new Map<string, Node>();
  const visited = new Set<string>();
  const edgesFrom = (node: Node, owner: Node | undefined): readonly Edge[] =>
    (outgoing.get(nameOf(node)) ?? []).filter(({ to, how }) => {
      if (isRelation(node) && node.kind === 'S') return how === 'e' || !isRelation(to);
      // What it inherits from a table that is not made it gets of its own.
      if (isRelation(node) && isRelation(to) && !isMade(to, chosen)) return false;
      return owner === undefined || nameOf(to) !== nameOf(owner);
    });
  /** Whether a default cannot be had before the table it belongs to. */
  const leadsTo = (node: Node, goal: Node, owner: Node | undefined, passed: Set<string>): boolean =>
    edgesFrom(node, owner).some(({ to }) => {
      if (nameOf(to) === nameOf(goal)) return true;
      if (passed.has(nameOf(to))) return false;
      passed.add(nameOf(to));
      return leadsTo(to, goal, undefined, passed);
    });
  const visit = (node: Node, owner: Node | undefined): void => {
    if (visited.has(nameOf(node))) return;
    visited.add(nameOf(node));
    const after: Edge[] = [];
    for (const edge of edgesFrom(node, owner)) {
      const { to, how } = edge;
      if (how === 'e') extensions.add(to.oid);
      else if (how === 'later' || how === 'sequence') after.push(edge);
      else if (how === 'default' && leadsTo(to, node, node, new Set())) {
        lateDefaults.add(to.oid);
        after.push(edge);
      } else visit(to, BELONGING.has(how) ? node : undefined);
    }
    if (edgesFrom(node, owner).some(({ how }) => how === 'e')) return;
    if (isMade(node, chosen)) ordered.push(node);
    else if (!BELONGING_CLASSES.has(node.class) && !isPart(node)) foreign.set(nameOf(node), node);
    for (const { to } of after) visit(to, node);
  };
  for (const oid of tables) visit({ class: 'pg_class', oid, kind: 'r' }, undefined);
  return { ordered, extensions: [...extensions], lateDefaults, foreign: [...foreign.values()] };
}

const BELONGING: ReadonlySet<string> = new Set(['default', 'part']);
/** Made with what they belong to. */
const BELONGING_CLASSES: ReadonlySet<string> = new Set([
  'pg_attrdef',
  'pg_constraint',
  'pg_namespace',
  'pg_statistic_ext',
  'pg_extension',
  // The families of classes, which are named themselves.
  'pg_opfamily',
  // Every language but those of extensions comes with the server.
  'pg_language',
]);

function isMade({ class: name, oid, kind }: Node, chosen: ReadonlySet<number>): boolean {
  if (name === 'pg_class') return kind === 'S' || chosen.has(oid);
  return name === 'pg_type' ? kind !== 'rowtype' && kind !== 'array' : MADE.has(name);
}

const MADE: ReadonlySet<string> = new Set(['pg_proc', 'pg_collation']);

/** Comes into being with another object: indexes are made later, the relation of a composite with its type. */
function isPart({ class: name, kind }: Node): boolean {
  return name === 'pg_type' || (name === 'pg_class' && (kind === 'i' || kind === 'I' || kind === 'c'));
}

function isRelation({ class: name, kind }: Node): boolean {
  return name === 'pg_class' && kind !== 'i' && kind !== 'I' && kind !== 'c';
}

function isMembership({ how }: Edge): boolean {
  return how === 'e';
}

function nameOf({ class: name, oid }: Node): string {
  return `${name} ${oid}`;
}

async function edgesOf(client: pg.ClientBase, nodes: readonly Node[]): Promise<Edge[]> {
  const { rows } = await client.query<{
    from_class: string;
    from_oid: number;
    from_kind: string;
    to_class: string;
    to_oid: number;
    to_kind: string;
    how: string;
  }>(EDGES, [nodes.map((node) => node.class), nodes.map(({ oid }) => oid)]);
  return rows.map((row) => ({
    from: { class: row.from_class, oid: row.from_oid, kind: row.from_kind },
    to: { class: row.to_class, oid: row.to_oid, kind: row.to_kind },
    how: row.how,
  }));
}

/** Objects below are the system's own, on every server the same. */
const FIRST_USER_OID = 16384;

const EDGES = `
WITH node AS (SELECT c::regclass::oid AS classid, o AS objid FROM unnest($1::text[], $2::oid[]) AS u (c, o)),
edge AS (
  SELECT n.classid, n.objid, d.refclassid AS to_class, d.refobjid AS to_oid, d.deptype::text AS how
  FROM node n JOIN pg_depend d ON d.classid = n.classid AND d.objid = n.objid
  WHERE d.refobjid >= ${FIRST_USER_OID} OR d.deptype = 'e'
  UNION SELECT n.classid, n.objid, 'pg_attrdef'::regclass, a.oid, 'default'
  FROM node n JOIN pg_attrdef a ON n.classid = 'pg_class'::regclass AND a.adrelid = n.objid
  UNION SELECT n.classid, n.objid, 'pg_constraint'::regclass, c.oid, 'later'
  FROM node n JOIN pg_constraint c ON n.classid = 'pg_class'::regclass AND c.conrelid = n.objid
  WHERE c.contype IN ('c', 'p', 'u', 'x')
  UNION SELECT n.classid, n.objid, 'pg_class'::regclass, i.indexrelid, 'later'
  FROM node n JOIN pg_index i ON n.classid = 'pg_class'::regclass AND i.indrelid = n.objid
  UNION SELECT n.classid, n.objid, 'pg_statistic_ext'::regclass, s.oid, 'later'
  FROM node n JOIN pg_statistic_ext s ON n.classid = 'pg_class'::regclass AND s.stxrelid = n.objid
  UNION SELECT n.classid, n.objid, 'pg_class'::regclass, s.oid, 'sequence'
  FROM node n JOIN pg_depend d ON d.refclassid = n.classid AND d.refobjid = n.objid AND d.classid = 'pg_class'::regclass
  JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' WHERE n.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  UNION SELECT n.classid, n.objid, 'pg_constraint'::regclass, c.oid, 'part'
  FROM node n JOIN pg_constraint c ON n.classid = 'pg_type'::regclass AND c.contypid = n.objid
  UNION SELECT n.classid, n.objid, 'pg_class'::regclass, c.oid, 'part'
  FROM node n JOIN pg_class c ON n.classid = 'pg_type'::regclass AND c.reltype = n.objid AND c.relkind = 'c')
SELECT e.classid::regclass::text AS from_class, e.objid::int8::float8 AS from_oid, ${kindOf('e.classid', 'e.objid')} AS from_kind,
       e.to_class::regclass::text AS to_class, e.to_oid::int8::float8 AS to_oid, ${kindOf('e.to_class', 'e.to_oid')} AS to_kind,
       e.how
FROM edge e ORDER BY e.classid, e.objid, e.to_class, e.to_oid, e.how`;

function kindOf(classId: string, oid: string): string {
  return `CASE ${classId}
    WHEN 'pg_class'::regclass THEN (SELECT relkind::text FROM pg_class WHERE oid = ${oid})
    WHEN 'pg_type'::regclass THEN (
      SELECT CASE WHEN c.relkind <> 'c' THEN 'rowtype'
        WHEN EXISTS (SELECT FROM pg_type o WHERE o.typarray = t.oid) THEN 'array' ELSE t.typtype::text END
      FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE t.oid = ${oid})
    ELSE '' END`;
}
