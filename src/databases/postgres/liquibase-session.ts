/** The tables of Liquibase in PostgreSQL, and the session that stands for a run of it. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import type { LiquibaseSession } from '../liquibase/liquibase-session.ts';
import { postgresError } from './errors.ts';
import { openSession } from './open-session.ts';

/** Of all advisory locks of a database, that of applying changelogs. */
const CLAIM_KEY = '7810204537742983021';

/** @throws DATABASE_UNREACHABLE, DATABASE_DENIED, what `work` throws */
export async function withLiquibaseSession<T>(
  url: DatabaseUrl,
  work: (session: LiquibaseSession) => Promise<T>,
): Promise<T> {
  const doing = {
    action: `apply the changelog to ${url.name}`,
    database: url.name,
    user: url.connection.user,
  };
  await using opened = await openSession(url.connection, { doing });
  const { client } = opened;
  const rows = async (text: string, values: readonly string[] = []): Promise<string[][]> => {
    try {
      const result = await client.query<string[]>({ text, values: [...values], rowMode: 'array' });
      return result.rows;
    } catch (error) {
      throw postgresError(error, doing);
    }
  };
  const exists = async (table: string) =>
    (await rows('SELECT to_regclass($1)::text', [table]))[0]![0] !== null;
  const [encryption] = await rows('SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  // Not before 14.
  await rows(
    "SELECT set_config('idle_session_timeout', '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'",
  );
  return await work({
    encrypted: encryption?.[0] === 'true',
    claim: async () =>
      (await rows('SELECT pg_try_advisory_lock($1::bigint)::text', [CLAIM_KEY]))[0]![0] === 'true',
    async heldLock() {
      if (!(await exists('databasechangeloglock'))) return undefined;
      const [row] = await rows(
        `SELECT coalesce(lockedby, ''), coalesce(lockgranted::text, '') FROM databasechangeloglock WHERE id = 1 AND locked`,
      );
      return row && { lockedBy: row[0]!, grantedAt: row[1]! };
    },
    async others() {
      const others = await rows(
        `SELECT coalesce(application_name, ''), coalesce(state <> 'idle', false)::text FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
           -- None of ours is Liquibase, which has a name of its own.
           AND application_name <> current_setting('application_name')`,
      );
      return {
        sessionNames: others.map(([name]) => name!),
        sessions: others.length,
        busy: others.some(([, busy]) => busy === 'true'),
      };
    },
    async release({ lockedBy, grantedAt }) {
      await rows(
        `UPDATE databasechangeloglock SET locked = false, lockgranted = NULL, lockedby = NULL
         WHERE id = 1 AND locked AND coalesce(lockedby, '') = $1 AND coalesce(lockgranted::text, '') = $2`,
        [lockedBy, grantedAt],
      );
    },
    async recorded() {
      if (!(await exists('databasechangelog'))) return [];
      const found = await rows(
        `SELECT filename || '::' || id || '::' || author, concat_ws(' ', orderexecuted, dateexecuted, md5sum)
         FROM databasechangelog ORDER BY orderexecuted`,
      );
      return found.map(([name, ran]) => ({ name: name!, ran: ran! }));
    },
  });
}
