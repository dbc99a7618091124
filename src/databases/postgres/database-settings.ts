/** What a database has besides its contents, which no dump of it has: owner, grants, settings, comment. */

import type pg from 'pg';
import { messageOf } from '../../errors.ts';
import { inTransaction } from './in-transaction.ts';
import { quoteName } from './sql.ts';

/** A statement that gives it to a database, whose name comes between. */
export interface DatabaseSetting {
  readonly what: string;
  readonly before: string;
  readonly after: string;
  /** Of a setting that is a list of names: it is stored with its quotes, which are not those of a statement. */
  readonly list?: readonly [name: string, value: string] | undefined;
}

/** In the order in which they are given. */
export async function readDatabaseSettings(client: pg.ClientBase, name: string): Promise<DatabaseSetting[]> {
  const { rows: statements } = await client.query<DatabaseSetting>(STATEMENTS, [name]);
  const { rows: settings } = await client.query<Setting>(SETTINGS, [name]);
  return [...statements, ...settings.map(settingOf)];
}

/**
 * Gives one database what another one has.
 * @param from that is there
 * @throws the server's error, with nothing changed
 */
export async function copyDatabaseSettings(client: pg.ClientBase, from: string, to: string): Promise<void> {
  const settings = await readDatabaseSettings(client, from);
  await inTransaction(client, async () => {
    for (const setting of settings) await give(client, setting, to);
  });
}

/** In a transaction that is open; the comment is left as it is. @returns what it could not be given, and why */
export async function giveDatabaseSettings(
  client: pg.ClientBase,
  settings: readonly DatabaseSetting[],
  to: string,
): Promise<string[]> {
  const missing: string[] = [];
  for (const setting of settings) {
    if (setting.what === COMMENT) continue;
    await client.query('SAVEPOINT setting');
    try {
      await give(client, setting, to);
    } catch (error) {
      await client.query('ROLLBACK TO SAVEPOINT setting');
      missing.push(`${setting.what}: ${messageOf(error)}`);
    }
    await client.query('RELEASE SAVEPOINT setting');
  }
  return missing;
}

async function give(
  client: pg.ClientBase,
  { before, after, list }: DatabaseSetting,
  to: string,
): Promise<void> {
  if (list !== undefined) await client.query('SELECT set_config($1, $2, true)', [...list]);
  await client.query(`${before}${quoteName(to)}${after}`);
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

function settingOf({ role, name, value, literal }: Setting): DatabaseSetting {
  const isList = LISTS.has(name);
  return {
    what: `setting ${name}${role === null ? '' : ` of the role ${role}`}`,
    before: `ALTER ${role === null ? '' : `ROLE ${quoteName(role)} IN `}DATABASE `,
    after: ` SET ${quoteName(name)} ${isList ? 'FROM CURRENT' : `TO ${literal}`}`,
    list: isList ? [name, value] : undefined,
  };
}

const COMMENT = 'comment';

/** The owner first: grants are his. */
const STATEMENTS = `
WITH d AS (SELECT *, pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1)
SELECT what, before, after FROM (
  SELECT 1 AS place, 'owner ' || owner AS what, 'ALTER DATABASE ' AS before, format(' OWNER TO %I', owner) AS after FROM d
  UNION ALL SELECT 2, 'limit of connections', 'ALTER DATABASE ', format(' CONNECTION LIMIT %s', datconnlimit) FROM d
  UNION ALL SELECT 3, 'revoked grants', 'REVOKE ALL ON DATABASE ', format(' FROM PUBLIC, %I', owner) FROM d WHERE datacl IS NOT NULL
  UNION ALL SELECT 4, 'grant to ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END,
    format('GRANT %s ON DATABASE ', a.privilege_type),
    ' TO ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
    || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
  FROM d CROSS JOIN LATERAL aclexplode(d.datacl) a
  UNION ALL SELECT 5, '${COMMENT}', 'COMMENT ON DATABASE ', format(' IS %L', shobj_description(oid, 'pg_database'))
  FROM d WHERE shobj_description(oid, 'pg_database') IS NOT NULL
) s ORDER BY place`;

const SETTINGS = `
SELECT r.rolname::text AS role, split_part(c.setting, '=', 1) AS name,
       substr(c.setting, strpos(c.setting, '=') + 1) AS value,
       quote_literal(substr(c.setting, strpos(c.setting, '=') + 1)) AS literal
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY c (setting, place)
WHERE d.datname = $1 ORDER BY 1 NULLS FIRST, c.place`;
