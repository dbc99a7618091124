/** What keeps a PostgreSQL database from being copied to a server, seen before anything is made. */

import type { DatabaseConnection } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import { chooseClient, majorOf } from './client-choice.ts';
import { postgresPrograms } from './client-programs.ts';
import { type Doing, postgresError } from './errors.ts';
import { openSession } from './open-session.ts';
import { maintenanceSession } from './swap-database.ts';

export interface CopyProblem {
  readonly text: string;
  readonly hint: string | undefined;
}

/** @param clientFolder looked at for pg_dump before all others @throws the errors of the databases */
export async function copyProblems(
  source: DatabaseConnection,
  target: DatabaseConnection,
  clientFolder: string | undefined,
): Promise<CopyProblem[]> {
  const doing: Doing = { action: 'look at the source', database: source.database, user: source.user };
  await using from = await openSession(source, { doing });
  await using to = await maintenanceSession(target, doing);
  try {
    const { rows: held } = await from.client.query<{ version: string; extensions: string[] }>(HELD);
    const { version, extensions } = held[0]!;
    const { rows: there } = await to.client.query<{ version: string; missing: string[] }>(THERE, [
      extensions,
    ]);
    const { version: own, missing } = there[0]!;
    return [
      ...(await clientProblem(version, clientFolder)),
      ...(majorOf(own) < majorOf(version)
        ? [
            {
              text: `the clone would be on PostgreSQL ${own}, and its source is ${version}`,
              hint: 'what a later server writes an earlier one need not understand: take one of the same version',
            },
          ]
        : []),
      ...missing.map((name) => ({
        text: `the server of the clone does not have the extension ${name}`,
        hint: 'install its package there',
      })),
    ];
  } catch (error) {
    throw postgresError(error, doing);
  }
}

async function clientProblem(version: string, clientFolder: string | undefined): Promise<CopyProblem[]> {
  try {
    chooseClient('pg_dump', version, await postgresPrograms(clientFolder));
    return [];
  } catch (error) {
    if (!(error instanceof LongshoreError)) throw error;
    return [{ text: error.message, hint: error.hint }];
  }
}

const VERSION = `split_part(current_setting('server_version'), ' ', 1) AS version`;
const HELD = `SELECT ${VERSION}, ARRAY(SELECT extname::text FROM pg_extension ORDER BY 1) AS extensions`;
const THERE = `SELECT ${VERSION}, ARRAY(SELECT e FROM unnest($1::text[]) e
  WHERE NOT EXISTS (SELECT FROM pg_available_extensions a WHERE a.name = e) ORDER BY 1) AS missing`;
