/** What a script of pg_dump says that is not said again when it is brought back. Pure. */

import type { RestoreOptions } from '../dump.ts';
import type { ScriptPart } from './sql-script.ts';

const OWNERS =
  /^(?:ALTER [\s\S]* OWNER TO |GRANT |REVOKE |ALTER DEFAULT PRIVILEGES |SET SESSION AUTHORIZATION |RESET SESSION AUTHORIZATION\b)/;

const SUBSCRIPTIONS = /^(?:CREATE|ALTER|COMMENT ON) SUBSCRIPTION /;

export function leftOut({
  noOwner = false,
  asCopy = false,
}: Pick<RestoreOptions, 'noOwner' | 'asCopy'>): (part: ScriptPart) => boolean {
  return ({ kind, text }) =>
    kind === 'statement' &&
    // Of later versions, and of no effect on a restore.
    (/^SET transaction_timeout\b/.test(text) ||
      (noOwner && OWNERS.test(text)) ||
      (asCopy && SUBSCRIPTIONS.test(text)));
}
