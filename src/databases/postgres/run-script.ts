/** Runs a plain SQL script, as `psql --set ON_ERROR_STOP=1 --file` does: the sample of the demo, the restore of a dump. */

import { LongshoreError } from '../../errors.ts';
import { copyIn } from './copy-in.ts';
import { type Doing, postgresError } from './errors.ts';
import type { Session } from './open-session.ts';
import { readSqlScript, type ScriptPart } from './sql-script.ts';

export interface ScriptOptions {
  readonly doing: Doing;
  /** Leaves parts out. */
  readonly skip?: ((part: ScriptPart) => boolean) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ScriptSummary {
  readonly statements: number;
  /** Taken by COPY. */
  readonly rows: number;
}

/**
 * Stops at the first error; what ran before stays, as far as the script has no transaction of its own. Settings of the
 * script stay with the session.
 *
 * @throws CONFIG_INVALID for what only psql can do, and for a script in another encoding than UTF-8; the errors of the
 * database, with the line of the script
 */
export async function runSqlScript(
  session: Session,
  chunks: AsyncIterable<string> | Iterable<string>,
  options: ScriptOptions,
): Promise<ScriptSummary> {
  const { doing, skip, signal } = options;
  let statements = 0;
  let rows = 0;
  for await (const part of readSqlScript(chunks)) {
    signal?.throwIfAborted();
    if (skip?.(part) === true) continue;
    if (part.kind === 'command') {
      checkCommand(part);
      continue;
    }
    if (part.kind === 'statement') checkEncoding(part);
    try {
      if (part.kind === 'copy') rows += await copyIn(session.client, part.text, until(part.rows, signal));
      else await session.client.query(part.text);
    } catch (error) {
      signal?.throwIfAborted();
      throw postgresError(error, { ...doing, action: `${doing.action}, line ${part.line}` });
    }
    statements++;
  }
  return { statements, rows };
}

async function* until(rows: AsyncIterable<string>, signal: AbortSignal | undefined): AsyncGenerator<string> {
  for await (const piece of rows) {
    signal?.throwIfAborted();
    yield piece;
  }
}

/** What newer versions of pg_dump guard their scripts with, and what only prints. */
const WITHOUT_EFFECT = /^\\(restrict|unrestrict|echo|qecho)\b/;

/** @throws CONFIG_INVALID for what only psql can do */
export function checkCommand({ text, line }: ScriptPart): void {
  if (WITHOUT_EFFECT.test(text)) return;
  throw new LongshoreError(
    'CONFIG_INVALID',
    `cannot run line ${line} of the SQL script: ${text} is for psql`,
    {
      hint: 'make the dump without --create and without psql variables, or run it with psql',
      context: { line },
    },
  );
}

/** The text is sent in UTF-8, and must not be taken for something else. */
function checkEncoding({ text, line }: ScriptPart): void {
  const match = /^SET\s+(?:SESSION\s+)?client_encoding\s*(?:=|TO\s)\s*'?([\w-]+)/i.exec(text);
  if (match === null || /^(utf-?8|unicode)$/i.test(match[1]!)) return;
  throw new LongshoreError(
    'CONFIG_INVALID',
    `cannot run line ${line} of the SQL script: it is in ${match[1]}`,
    {
      hint: 'make the dump with `pg_dump --encoding=UTF8`',
      context: { line },
    },
  );
}
