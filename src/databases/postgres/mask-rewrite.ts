/** What else holds old values: files of tables, statistics, materialised views. */

import type { MaskWork } from '../masking/work.ts';

/** Outside of a transaction. Statistics hold the commonest values. */
export function rewriteTexts({ changed }: MaskWork): string[] {
  const stored = [...new Set(changed.flatMap((table) => table.stored))];
  const roots = changed.filter(({ id }) => !stored.includes(id) || stored.length > 1);
  return [...stored.map((id) => `VACUUM (FULL, ANALYZE) ${id}`), ...roots.map(({ id }) => `ANALYZE ${id}`)];
}

export function refreshTexts(view: string): string[] {
  return [`REFRESH MATERIALIZED VIEW ${view}`, `ANALYZE ${view}`];
}

/** `ANALYZE` of a table without rows leaves the statistics that it had; only a superuser may do this. */
export const CLEAR_STATISTICS = `
  DELETE FROM pg_statistic s USING pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
  WHERE s.starelid = t.oid AND format('%I.%I', n.nspname, t.relname) = ANY ($1)`;

/** Materialised views that hold rows of the tables of `$1`, those that others are made from first. */
export const VIEWS = `
  WITH RECURSIVE uses (view, kind, populated, depth) AS (
    SELECT v.oid, v.relkind, v.relispopulated, 1 FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite w ON w.oid = d.objid JOIN pg_class v ON v.oid = w.ev_class AND v.oid <> t.oid
    WHERE format('%I.%I', n.nspname, t.relname) = ANY ($1)
      OR t.oid IN (SELECT i.inhrelid FROM pg_inherits i)
    UNION
    SELECT v.oid, v.relkind, v.relispopulated, u.depth + 1 FROM uses u
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = u.view AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite w ON w.oid = d.objid JOIN pg_class v ON v.oid = w.ev_class AND v.oid <> u.view
  )
  SELECT format('%I.%I', n.nspname, v.relname) AS id
  FROM uses u JOIN pg_class v ON v.oid = u.view JOIN pg_namespace n ON n.oid = v.relnamespace
  WHERE u.kind = 'm' AND u.populated GROUP BY 1 ORDER BY max(u.depth)`;
