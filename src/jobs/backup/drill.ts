/**
 * Drills a backup: restores it into a throw-away server on this machine, holds what is there against the manifest, asks
 * what the user asserts, and notes beside the backup what came out and how long it took.
 */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { compareFacts, rowsIn } from '../../databases/compare-facts.ts';
import type { DumpServer, RestoreTarget } from '../../databases/dump.ts';
import { createDatabase, withDatabase } from '../../databases/make-database.ts';
import { openRestoreTarget } from '../../databases/open-dump.ts';
import { startServerLike } from '../../embedded/server-like.ts';
import { type ErrorCode, LongshoreError, messageOf } from '../../errors.ts';
import { type Clock, monotonicMs, systemClock } from '../../flow/clock.ts';
import { type DrillRecord, putDrillRecord } from './drill-record.ts';
import { type BytesTransform, decryptWith } from './encryption.ts';
import type { EmitBackup } from './events.ts';
import { type FoundBackup, openBackup } from './find-backup.ts';
import { manifestKey } from './manifest.ts';
import { checkJobs, type RestoreInto, readGlobals, restoreDump } from './open-backup.ts';
import type { RestoreEnvironment } from './restore.ts';

export interface DrillOptions {
  /** Of a backup, or a prefix that ends with a slash for the newest one below it. */
  readonly from: string;
  /** Queries, each of which has to answer true, or a number other than 0. */
  readonly assertions?: readonly string[] | undefined;
  /** A file of identities of age. */
  readonly identity?: string | undefined;
  readonly clientFolder?: string | undefined;
  /** Of the programs of the server that is started. */
  readonly serverFolder?: string | undefined;
  /** Connections that load. */
  readonly jobs?: number | undefined;
  /** Of a file that another program dumped, which does not say it: `PostgreSQL`, `MariaDB`, `MySQL`. */
  readonly product?: DumpServer['product'] | undefined;
}

export interface DrilledBackup extends DrillRecord {
  /** Below the prefix of its job. */
  readonly key: string;
  readonly server: string;
  /** Whether it was held against what the dump held; nobody counted what another program dumped. */
  readonly compared: boolean;
  readonly tables: number;
  readonly rows: number;
  readonly assertions: number;
}

const DATABASE = 'drill';

/** @throws CHECK_FAILED where there is no such backup or no server to drill it in; CONFIG_INVALID for another identity; the errors of store and disk */
export async function drillBackup(
  options: DrillOptions,
  environment: RestoreEnvironment = {},
): Promise<DrilledBackup> {
  const { clock = systemClock, emit = () => undefined } = environment;
  const { signal = new AbortController().signal } = environment;
  checkJobs(options.jobs);
  const decrypt = options.identity === undefined ? undefined : await decryptWith(options.identity);
  await using stack = new AsyncDisposableStack();
  const found = stack.use(await openBackup(options.from, environment));
  const { key } = found.manifest;
  const like = serverOf(found, options);
  const beganMs = monotonicMs(clock);
  emit({ type: 'started', what: `a drill of ${key}` });
  const server = stack.use(await startServerLike(like, options.serverFolder));
  const admin = parseDatabaseUrl(server.url, {});
  await createDatabase(admin, DATABASE);
  const database = withDatabase(admin, DATABASE);
  const target = stack.use(await openRestoreTarget(database, options));
  const into = { target, database, options };
  const outcome = await tryOut(found, into, { ...options, decrypt, clock, emit }, signal);
  const record: DrillRecord = {
    at: new Date(clock.now()).toISOString(),
    ok: outcome.problems.length === 0,
    recoveryMs: Math.round(outcome.recoveredMs - beganMs),
    problems: outcome.problems,
  };
  await putDrillRecord(found.place, manifestKey(found.base), record, signal);
  return {
    ...record,
    key,
    server: `${server.server.product} ${server.server.version}`,
    compared: found.manifest.dump !== undefined,
    tables: outcome.tables,
    rows: outcome.rows,
    assertions: options.assertions?.length ?? 0,
  };
}

function serverOf({ manifest }: FoundBackup, { product }: DrillOptions): DumpServer {
  if (manifest.dump !== undefined)
    return { product: manifest.dump.product, version: manifest.dump.serverVersion };
  if (product !== undefined) return { product, version: '0.0' };
  throw new LongshoreError('CHECK_FAILED', `${manifest.key} does not say which server it is of`, {
    hint: 'give --product PostgreSQL, MariaDB or MySQL',
  });
}

/** What fails so says nothing of the backup: noting it would let one that is good be pruned. */
const NOT_OF_THE_BACKUP: ReadonlySet<string> = new Set<ErrorCode>([
  'CONFIG_INVALID',
  'JOURNAL_UNWRITABLE',
  'BUCKET_NOT_FOUND',
  'STORE_CREDENTIALS',
  'STORE_DENIED',
  'STORE_SLOW_DOWN',
  'STORE_TIMEOUT',
  'STORE_UNAVAILABLE',
  'STORE_UNREACHABLE',
]);

interface Outcome {
  readonly problems: string[];
  readonly recoveredMs: number;
  readonly tables: number;
  readonly rows: number;
}

interface Trial {
  readonly assertions?: readonly string[] | undefined;
  readonly decrypt: BytesTransform | undefined;
  readonly clock: Clock;
  readonly emit: EmitBackup;
}

async function tryOut(
  found: FoundBackup,
  into: RestoreInto,
  { assertions = [], decrypt, clock, emit }: Trial,
  signal: AbortSignal,
): Promise<Outcome> {
  const { dump } = found.manifest;
  const { target } = into;
  try {
    const roles = await readGlobals(found, decrypt, signal);
    if (roles !== undefined) await target.restoreGlobals(roles, signal);
    const missing = dump === undefined ? [] : await missingIn(target, dump);
    if (missing.length > 0) return failed(missing, clock);
    await restoreDump(found, into, decrypt, signal, (bytes) =>
      emit({ type: 'progress', bytes, of: dump?.bytes }),
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof LongshoreError && NOT_OF_THE_BACKUP.has(error.code)) throw error;
    return failed([messageOf(error)], clock);
  }
  const recoveredMs = monotonicMs(clock);
  const facts = dump === undefined ? undefined : await target.facts(dump.facts, signal);
  const problems = facts === undefined ? [] : compareFacts(dump!.facts, facts);
  for (const query of assertions) problems.push(...(await checkAssertion(target, query, signal)));
  return {
    problems,
    recoveredMs,
    tables: facts?.tables.length ?? 0,
    rows: rowsIn(facts),
  };
}

function failed(problems: string[], clock: Clock): Outcome {
  return { problems, recoveredMs: monotonicMs(clock), tables: 0, rows: 0 };
}

/** Definers are made by nobody here, and a view of one that is not there can still be made. */
async function missingIn(
  target: RestoreTarget,
  { engine, accounts, extensions }: NonNullable<FoundBackup['manifest']['dump']>,
): Promise<string[]> {
  const without = await target.missingExtensions(extensions);
  const roles = engine === 'mysql' ? [] : await target.missingAccounts(accounts);
  return [
    ...without.map((name) => `the server does not have the extension ${name}`),
    ...roles.map((name) => `the role ${name} is needed, and the backup does not bring it`),
  ];
}

const FALSE: ReadonlySet<string> = new Set(['', '0', 'f', 'false', 'no', 'off']);

async function checkAssertion(target: RestoreTarget, query: string, signal: AbortSignal): Promise<string[]> {
  try {
    const answer = await target.ask(query, signal);
    if (answer !== undefined && !FALSE.has(answer.toLowerCase())) return [];
    return [`the assertion ${query} answers ${answer ?? 'nothing'}`];
  } catch (error) {
    signal.throwIfAborted();
    return [`the assertion ${query} fails: ${messageOf(error)}`];
  }
}
