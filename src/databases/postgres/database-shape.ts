/** What a clone of a PostgreSQL database takes over from it that no dump has: encoding and collation, owner, grants, settings. */

import type pg from 'pg';
import type { DatabaseShape } from '../clone-server.ts';
import { type DatabaseSetting, readDatabaseSettings } from './database-settings.ts';
import { quoteText } from './schema-object.ts';

export interface PostgresShape extends DatabaseShape {
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
  /** Of version 15 on: `c` of the C library, `i` of ICU, `b` of the server. */
  readonly provider: string | null;
  readonly locale: string | null;
  readonly rules: string | null;
  /** Whether anybody may connect, because nobody ever granted or revoked anything. */
  readonly isOpen: boolean;
  readonly settings: readonly DatabaseSetting[];
}

/** From any database of its server. @returns undefined where there is none of that name */
export async function readShape(client: pg.ClientBase, name: string): Promise<PostgresShape | undefined> {
  const { rows } = await client.query<Omit<PostgresShape, 'settings' | 'text'>>(SHAPE, [name]);
  const [found] = rows;
  if (found === undefined) return undefined;
  const { encoding, collate, ctype, locale } = found;
  const text = [...new Set([encoding, ...(locale === null ? [collate, ctype] : [locale])])].join(', ');
  return { ...found, text, settings: await readDatabaseSettings(client, name) };
}

/** What follows `CREATE DATABASE … TEMPLATE template0`. @param major version of the server that makes it */
export function shapeClauses(shape: PostgresShape, major: number): string {
  const { encoding, collate, ctype, provider, locale, rules } = shape;
  const own = `ENCODING ${quoteText(encoding)} LC_COLLATE ${quoteText(collate)} LC_CTYPE ${quoteText(ctype)}`;
  const kind = PROVIDERS[provider ?? 'c'] ?? 'libc';
  if (kind === 'libc') return major >= PROVIDERS_FROM_MAJOR ? `${own} LOCALE_PROVIDER libc` : own;
  const named = locale === null ? '' : ` ${kind.toUpperCase()}_LOCALE ${quoteText(locale)}`;
  const ruled = rules === null ? '' : ` ICU_RULES ${quoteText(rules)}`;
  return `${own} LOCALE_PROVIDER ${kind}${named}${ruled}`;
}

const PROVIDERS: Readonly<Record<string, string>> = { c: 'libc', i: 'icu', b: 'builtin' };
const PROVIDERS_FROM_MAJOR = 15;

/** Columns came and were renamed; what depends on a role is known to the whole server. */
const SHAPE = `
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
       j ->> 'datlocprovider' AS provider, coalesce(j ->> 'datlocale', j ->> 'daticulocale') AS locale,
       j ->> 'daticurules' AS rules, d.datacl IS NULL AS "isOpen",
       ARRAY(SELECT DISTINCT pg_get_userbyid(s.refobjid)::text FROM pg_shdepend s
             WHERE s.dbid = d.oid AND s.refclassid = 'pg_authid'::regclass AND s.deptype IN ('o', 'a', 'i', 'r')
               AND s.classid <> 'pg_subscription'::regclass ORDER BY 1) AS roles,
       ARRAY(SELECT DISTINCT pg_get_userbyid(s.refobjid)::text FROM pg_shdepend s
             WHERE s.dbid = d.oid AND s.refclassid = 'pg_authid'::regclass
               AND (s.deptype = 'r' OR s.classid = 'pg_user_mapping'::regclass) ORDER BY 1) AS "rolesAnyway",
       ARRAY(SELECT t.spcname::text FROM pg_tablespace t
             WHERE t.oid <> d.dattablespace AND t.spcname !~ '^pg_' AND d.oid IN (SELECT pg_tablespace_databases(t.oid))
             ORDER BY 1) AS tablespaces
FROM pg_database d CROSS JOIN LATERAL to_jsonb(d) j WHERE d.datname = $1`;
