/** Connects to everything a replication works with, tries what it needs, and says what is in the way, with its fix. */

import { formatBytes } from '../../config/bytes.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { parseReplicaUrl } from '../../config/replica-url.ts';
import { folderPrefix } from '../../config/store-url.ts';
import { postgresError } from '../../databases/postgres/errors.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import {
  type ServerFacts,
  type SlotState,
  serverFacts,
  serverProblems,
  slotState,
} from '../../databases/postgres/replication-setup.ts';
import { readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { probeTarget } from './probe-target.ts';
import { type ReplicateOptions, type ReplicateSettings, resolveReplicateOptions } from './settings.ts';
import { type ReplicateEnvironment, slotOf } from './surroundings.ts';
import { tableFilter, unmatched } from './table-filter.ts';
import { caseProblem, tableProblem } from './table-problems.ts';
import { warehouseProblems } from './to-duckdb/warehouse-problems.ts';
import { isDatabase } from './to-postgres/sides.ts';

export interface ReplicateFinding {
  /** An error keeps the job from starting; a warning will cost something; info is worth knowing. */
  readonly level: 'error' | 'warning' | 'info';
  readonly what: string;
  readonly fix: string;
}

export interface ReplicateCheck {
  readonly from: string;
  readonly to: string;
  readonly findings: readonly ReplicateFinding[];
  readonly errors: number;
}

/**
 * Checks a replication. One part that fails does not hide the others. Changes nothing but a marker object that comes and
 * goes.
 * @returns findings; never throws for what it finds
 * @throws CONFIG_INVALID, URL_INVALID
 */
export async function checkReplication(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<ReplicateCheck> {
  if (isDatabase(options.to)) {
    const { checkPostgres } = await import('./to-postgres/check.ts');
    return await checkPostgres(options, environment);
  }
  const settings = resolveReplicateOptions(options);
  const findings = [
    ...(await checkDatabase(settings, environment)),
    ...(await checkTarget(settings, environment)),
  ];
  const errors = findings.filter(({ level }) => level === 'error').length;
  const { name } = parseDatabaseUrl(settings.from, environment.env ?? process.env);
  return { from: name, to: settings.to, findings, errors };
}

async function checkDatabase(
  settings: ReplicateSettings,
  { env = process.env }: ReplicateEnvironment,
): Promise<ReplicateFinding[]> {
  const url = parseDatabaseUrl(settings.from, env);
  const doing = { action: `check ${url.name}`, database: url.name, user: url.connection.user };
  const follows = settings.mode !== 'full-load';
  try {
    await using session = await openSession(url.connection, { doing });
    const facts = await serverFacts(session.client);
    const tables = await readTables(session.client);
    const slot = follows ? await slotState(session.client, slotOf(settings)) : undefined;
    const findings = [
      ...serverFindings(facts, slot, follows),
      ...tableFindings(tables, settings, url.name, follows),
    ];
    // What the role or the server lacks is said already.
    if (follows && serverProblems(facts, follows).length === 0) {
      await using replication = await openSession(url.connection, { doing, replication: true });
      await replication.client.query('IDENTIFY_SYSTEM');
    }
    return findings;
  } catch (error) {
    return [errorFinding(postgresError(error, doing))];
  }
}

/** Pure. */
function serverFindings(
  facts: ServerFacts,
  slot: SlotState | undefined,
  follows: boolean,
): ReplicateFinding[] {
  // A slot that is the job's own already is one that is free.
  const asked = slot === undefined ? facts : { ...facts, slotsFree: facts.slotsFree + 1 };
  const findings = serverProblems(asked, follows).map(
    (problem): ReplicateFinding => ({ level: 'error', ...problem }),
  );
  if (!follows) return findings;
  if (facts.slotWalMax === undefined) {
    findings.push({
      level: 'warning',
      what: 'the server keeps any amount of its log for a slot: a job that stands still fills its disk',
      fix: 'set max_slot_wal_keep_size on the server, or --wal-limit',
    });
  } else {
    findings.push({
      level: 'info',
      what: `the server gives a slot up that is ${formatBytes(facts.slotWalMax)} behind`,
      fix: 'the full load must be done, and the job run again after a stop, before so much is written',
    });
  }
  if (facts.version < STREAMS_FROM) {
    findings.push({
      level: 'info',
      what: 'the server sends large transactions only when they have committed (before PostgreSQL 14)',
      fix: '',
    });
  }
  return findings;
}

const STREAMS_FROM = 140000;

/** Pure. */
function tableFindings(
  all: readonly SourceTable[],
  settings: ReplicateSettings,
  url: string,
  follows: boolean,
): ReplicateFinding[] {
  const error = (what: string, fix: string): ReplicateFinding => ({ level: 'error', what, fix });
  const findings = unmatched(settings.tables, all).map((pattern) =>
    error(`${url} has no table ${pattern}`, 'name tables as schema.table; capitals count'),
  );
  const tables = all.filter(tableFilter(settings.tables));
  if (tables.length === 0) findings.push(error(`no table of ${url} is chosen`, 'choose some with --tables'));
  for (const table of tables) {
    const problem = tableProblem(table, settings.timestampColumn, follows);
    if (problem !== undefined) findings.push(error(problem.what, problem.fix));
    const generated = table.columns.filter((column) => column.generated).map(({ name }) => name);
    if (follows && generated.length > 0) {
      findings.push({
        level: 'info',
        what: `${table.schema}.${table.name}: the generated columns ${generated.join(', ')} are in the full load alone`,
        fix: '',
      });
    }
  }
  const alike = caseProblem(tables);
  if (alike !== undefined) findings.push(error(alike.what, alike.fix));
  return findings;
}

async function checkTarget(
  settings: ReplicateSettings,
  { env = process.env, clock = systemClock, signal }: ReplicateEnvironment,
): Promise<ReplicateFinding[]> {
  const { store: to, duckdb } = parseReplicaUrl(settings.to);
  if (duckdb !== undefined)
    return (await warehouseProblems(duckdb, [])).map((problem) => ({ level: 'error', ...problem }));
  try {
    await using opened = await openStore(to, { env, clock });
    const place = { store: opened.store, prefix: folderPrefix(to.prefix), job: settings.name };
    await probeTarget(place, signal ?? new AbortController().signal);
    return [];
  } catch (error) {
    return [errorFinding(error)];
  }
}

function errorFinding(error: unknown): ReplicateFinding {
  const fix = error instanceof LongshoreError ? (error.hint ?? '') : '';
  return { level: 'error', what: messageOf(error), fix };
}
