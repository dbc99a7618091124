/** Brings back the roles of a server from the script that pg_dumpall made of them. */

import type { Doing } from './errors.ts';
import type { Session } from './open-session.ts';
import { runSqlScript } from './run-script.ts';
import type { ScriptPart } from './sql-script.ts';

/** What is there already stays as it is; tablespaces are folders of the other machine, and are left out. */
export async function restoreRoles(
  session: Session,
  script: string,
  doing: Doing,
  signal: AbortSignal,
): Promise<void> {
  const { rows } = await session.client.query<{ name: string }>(
    'SELECT quote_ident(rolname) AS name FROM pg_roles',
  );
  const known = new Set(rows.map(({ name }) => name));
  const skip = (part: ScriptPart): boolean => {
    if (part.kind !== 'statement') return false;
    if (/\bTABLESPACE\b/.test(part.text) && !/^ALTER ROLE/.test(part.text)) return true;
    const role = /^(?:CREATE ROLE|ALTER ROLE|COMMENT ON ROLE) ("(?:[^"]|"")*"|[^\s;]+)/.exec(part.text)?.[1];
    return role !== undefined && known.has(role);
  };
  // Whoever granted a role there need not be here.
  const granted = script.replace(/^(GRANT .*?) GRANTED BY (?:"(?:[^"]|"")*"|[^\s;]+);$/gm, '$1;');
  await runSqlScript(session, [granted], { doing, skip, signal });
}
