/** What must be true before a replication into PostgreSQL changes anything. */

import type pg from 'pg';
import { formatLsn, parseLsn } from '../../../databases/postgres/lsn.ts';
import type { Problem, ServerFacts, SlotState } from '../../../databases/postgres/replication-setup.ts';
import { quotedTable, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../../errors.ts';
import type { ReplicateSettings } from '../settings.ts';
import { identityProblem } from '../table-problems.ts';
import type { Sides } from './sides.ts';
import type { TargetState } from './target-state.ts';

/** Where the job keeps its own tables; those of another job in a source are not copied. */
export const OWN_SCHEMA = 'longshore';

/** The first one of a table. @param follows whether its changes are followed */
export function tableProblemHere(table: SourceTable, follows: boolean): Problem | undefined {
  if (!table.canSelect) {
    return {
      what: `the role may not read ${table.schema}.${table.name}`,
      fix: `GRANT SELECT ON ${quotedTable(table)} TO the role`,
    };
  }
  return follows ? identityProblem(table) : undefined;
}

/** @throws CHECK_FAILED for tables that cannot be replicated, or none */
export function checkTablesHere(
  tables: readonly SourceTable[],
  settings: ReplicateSettings,
  source: string,
): void {
  if (tables.length === 0)
    fail(`no table of ${source} is chosen by ${settings.tables.join(', ')}`, 'choose some with --tables');
  for (const table of tables) {
    const problem = tableProblemHere(table, settings.mode !== 'full-load');
    if (problem !== undefined) fail(problem.what, problem.fix);
  }
}

/** @throws CHECK_FAILED where the target is of another server */
export function checkSystem(
  { systemId }: TargetState,
  facts: ServerFacts,
  job: string,
  { source, target }: Sides,
): void {
  if (systemId !== facts.systemId)
    fail(
      `the job ${job} in ${target.name} is of another server than ${source.name}`,
      'begin a job of another name, into another database',
    );
}

/** @throws CHECK_FAILED where the slot and the target do not belong together any more */
export function checkSlot(
  state: TargetState,
  about: {
    readonly settings: ReplicateSettings;
    readonly slotName: string;
    readonly slot: SlotState | undefined;
  },
): void {
  const { settings, slotName, slot } = about;
  const lsn = state.lsn!;
  if (settings.mode === 'full-load') {
    fail(
      `the job ${settings.name} has loaded already`,
      "give another --name and another database, or load everything again with --resync '*.*'",
    );
  }
  const again = "`--resync '*.*'` loads every table again, and goes on from there";
  if (slot === undefined)
    fail(`the replication slot ${slotName} is gone: changes since ${lsn} are lost`, again);
  if (slot!.lost) fail(`the server has given up the log that the slot ${slotName} needs`, again);
  const confirmed = slot!.confirmedLsn;
  if (confirmed !== undefined && confirmed > parseLsn(lsn)) {
    fail(
      `the slot ${slotName} is at ${formatLsn(confirmed)}, ahead of the target at ${lsn}: changes between are lost`,
      again,
    );
  }
}

/** @throws CHECK_FAILED where one of the tables is not in the target, for a job that loads nothing */
export async function checkPresent(
  client: pg.ClientBase,
  tables: readonly SourceTable[],
  database: string,
): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT n AS name FROM unnest($1::text[]) n WHERE to_regclass(n) IS NULL',
    [tables.map(quotedTable)],
  );
  if (rows[0] === undefined) return;
  fail(
    `${rows[0].name} is not in ${database}, and --mode cdc loads nothing`,
    'load it there first, or choose --mode full-load-and-cdc',
  );
}

export function fail(what: string, hint: string): never {
  throw new LongshoreError('CHECK_FAILED', what, { hint });
}
