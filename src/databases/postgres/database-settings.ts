/** What a database has besides its contents, which no dump of it has: owner, grants, settings, comment. */

import type pg from 'pg';
import { quoteName } from './sql.ts';

/**
 * Gives one database what another one has.
 * @param from that is there
 * @throws the server's error, with nothing changed
 */
export async function copyDatabaseSettings(client: pg.ClientBase, from: string, to: string): Promise<void> {
  await client.query('BEGIN');
  try {
    await giveDatabaseSettings(client, from, to);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
}

/** The same within a transaction of the caller. */
export async function giveDatabaseSettings(client: pg.ClientBase, from: string, to: string): Promise<void> {
  const { rows: statements } = await client.query<{ text: string }>(STATEMENTS, [from, to]);
  const { rows: settings } = await client.query<Setting>(SETTINGS, [from]);
  for (const { text } of statements) await client.query(text);
  for (const { role, name, value, literal } of settings) {
    const whose = role === null ? '' : `ROLE ${quoteName(role)} IN `;
    const isList = LISTS.has(name);
    // A list of names is stored with its quotes, which are not those of a statement.
    if (isList) await client.query('SELECT set_config($1, $2, true)', [name, value]);
    const set = isList ? 'FROM CURRENT' : `TO ${literal}`;
    await client.query(`ALTER ${whose}DATABASE ${quoteName(to)} SET ${quoteName(name)} ${set}`);
  }
}

interface Setting {
  /** Null for one of the database for everybody. */
  readonly role: string | null;
  readonly name: string;
  readonly value: string;
  readonly literal: string;
}

const LISTS: ReadonlySet<string> = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'temp_tablespaces',
]);

/** The owner first: grants are his. */
const STATEMENTS = `
WITH d AS (SELECT *, pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1)
SELECT text FROM (
  SELECT 1 AS place, format('ALTER DATABASE %I OWNER TO %I', $2::text, owner) AS text FROM d
  UNION ALL SELECT 2, format('ALTER DATABASE %I CONNECTION LIMIT %s', $2, datconnlimit) FROM d
  UNION ALL SELECT 3, format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', $2, owner) FROM d WHERE datacl IS NOT NULL
  UNION ALL SELECT 4, format('GRANT %s ON DATABASE %I TO %s', a.privilege_type, $2,
    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
    || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
  FROM d CROSS JOIN LATERAL aclexplode(d.datacl) a
  UNION ALL SELECT 5, format('COMMENT ON DATABASE %I IS %L', $2, shobj_description(oid, 'pg_database'))
  FROM d WHERE shobj_description(oid, 'pg_database') IS NOT NULL
) s ORDER BY place`;

const SETTINGS = `
SELECT r.rolname::text AS role, split_part(c.setting, '=', 1) AS name,
       substr(c.setting, strpos(c.setting, '=') + 1) AS value,
       quote_literal(substr(c.setting, strpos(c.setting, '=') + 1)) AS literal
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY c (setting, place)
WHERE d.datname = $1 ORDER BY 1 NULLS FIRST, c.place`;
