/** The tables of Liquibase in MySQL and MariaDB, and the session that stands for a run of it. */

import { createHash } from 'node:crypto';
import type { DatabaseUrl } from '../../config/database-url.ts';
import type { LiquibaseSession } from '../liquibase/liquibase-session.ts';
import { MysqlConnections } from './connections.ts';
import { quoteText } from './sql.ts';

/** @throws DATABASE_UNREACHABLE, DATABASE_DENIED, what `work` throws */
export async function withLiquibaseSession<T>(
  url: DatabaseUrl,
  work: (session: LiquibaseSession) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { connection } = url;
  await using connections = new MysqlConnections(connection, 1);
  const doing = {
    action: `apply the changelog to ${url.name}`,
    database: url.name,
    user: connection.user,
  };
  // Names of locks belong to the whole server, and are short.
  const lockName = `longshore ${createHash('sha256').update(connection.database).digest('hex').slice(0, 40)}`;
  return await connections.use(doing, signal, async ({ rows, change }) => {
    await change('SET SESSION wait_timeout = 2147483');
    const exists = async (table: string) =>
      (
        await rows(
          `SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '${table}'`,
        )
      ).length > 0;
    const [cipher] = await rows("SHOW SESSION STATUS LIKE 'Ssl_cipher'");
    return work({
      encrypted: (cipher?.[1] ?? '') !== '',
      claim: async () => String((await rows(`SELECT GET_LOCK(${quoteText(lockName)}, 0)`))[0]![0]) === '1',
      async heldLock() {
        if (!(await exists('DATABASECHANGELOGLOCK'))) return undefined;
        const [row] = await rows(
          `SELECT COALESCE(LOCKEDBY, ''), COALESCE(CAST(LOCKGRANTED AS CHAR), '') FROM DATABASECHANGELOGLOCK WHERE ID = 1 AND LOCKED`,
        );
        return row && { lockedBy: row[0]!, grantedAt: row[1]! };
      },
      async others() {
        const commands = await rows(
          'SELECT COMMAND FROM information_schema.processlist WHERE DB = DATABASE() AND ID <> CONNECTION_ID()',
        );
        const [grant] = await rows(
          "SELECT 1 FROM information_schema.user_privileges WHERE PRIVILEGE_TYPE = 'PROCESS' AND REPLACE(GRANTEE, '''', '') = CURRENT_USER()",
        );
        return {
          sessionNames: undefined,
          // Without the privilege, those of other users are not seen.
          sessions: grant === undefined && commands.length === 0 ? undefined : commands.length,
          busy: commands.some(([command]) => command !== 'Sleep'),
        };
      },
      async release({ lockedBy, grantedAt }) {
        await change(
          `UPDATE DATABASECHANGELOGLOCK SET LOCKED = 0, LOCKGRANTED = NULL, LOCKEDBY = NULL
           WHERE ID = 1 AND LOCKED AND COALESCE(LOCKEDBY, '') = ${quoteText(lockedBy)}
             AND COALESCE(CAST(LOCKGRANTED AS CHAR), '') = ${quoteText(grantedAt)}`,
        );
      },
      async recorded() {
        if (!(await exists('DATABASECHANGELOG'))) return [];
        const found = await rows(
          `SELECT CONCAT(FILENAME, '::', ID, '::', AUTHOR), CONCAT_WS(' ', ORDEREXECUTED, DATEEXECUTED, MD5SUM)
           FROM DATABASECHANGELOG ORDER BY ORDEREXECUTED`,
        );
        return found.map(([name, ran]) => ({ name: name!, ran: ran! }));
      },
    });
  });
}
