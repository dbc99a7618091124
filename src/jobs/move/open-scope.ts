/** Opens what a move works with, and checks what can be checked before anything is written. */

import { type DatabaseUrl, parseDatabaseUrl } from '../../config/database-url.ts';
import { parseStoreUrl, type StoreUrl } from '../../config/store-url.ts';
import type { ColumnFacts, Database } from '../../databases/database.ts';
import { openDatabase } from '../../databases/open-database.ts';
import { LongshoreError } from '../../errors.ts';
import { ByteBudget } from '../../flow/byte-budget.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import { type Failpoint, noFailpoint } from '../../flow/failpoint.ts';
import { RateLimiter } from '../../flow/rate-limiter.ts';
import { DEFAULT_RETRY } from '../../flow/retry.ts';
import { type OpenedStore, openStore } from '../../stores/open-store.ts';
import type { S3Limits } from '../../stores/s3/s3-client.ts';
import type { BoundColumn, MoveScope } from './context.ts';
import type { MoveListener } from './events.ts';
import { globFilter } from './globs.ts';
import { settingsRules } from './key-rules.ts';
import { learnCapabilities } from './learn-capabilities.ts';
import { checkNamesApart, checkStoresApart } from './overlap.ts';
import { bucketAddress, type ReferenceBase, referenceBases } from './reference-bases.ts';
import { ReferenceFinder } from './references.ts';
import { RowGate } from './row-gate.ts';
import { openBatchPlane } from './s3-batch-plane.ts';
import type { MoveSettings } from './settings.ts';

/** What a caller may replace; the rest is the system's. */
export interface MoveEnvironment {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly clock?: Clock | undefined;
  readonly emit?: MoveListener | undefined;
  /** Limits of the stores, lowered in tests. */
  readonly limits?: Partial<S3Limits> | undefined;
  readonly storeTimeoutMs?: number | undefined;
  readonly failpoint?: Failpoint | undefined;
}

export interface OpenedScope extends AsyncDisposable {
  readonly scope: MoveScope;
  readonly source: OpenedStore;
  readonly target: OpenedStore;
}

const ROW_CONNECTIONS = 4;
const BODIES_BYTES_MAX = 32 * 1024 ** 2;

/**
 * @throws URL_INVALID, LOCATIONS_OVERLAP, BUCKET_NOT_FOUND, BUCKET_REGION, TABLE_NOT_FOUND, COLUMN_NOT_FOUND,
 *   CHECK_FAILED and the errors of the stores and databases
 */
export async function openScope(
  settings: MoveSettings,
  environment: MoveEnvironment,
  signal: AbortSignal,
): Promise<OpenedScope> {
  const env = environment.env ?? process.env;
  const clock = environment.clock ?? systemClock;
  const emit = environment.emit ?? (() => undefined);
  const from = parseStoreUrl(settings.from);
  const to = parseStoreUrl(settings.to);
  const rules = settingsRules(settings.rules, from.prefix, to.prefix);
  const databaseUrls = settings.rows.map((url) => parseDatabaseUrl(url, env));
  checkNamesApart(from, to, rules, env);

  await using stack = new AsyncDisposableStack();
  const openOptions = {
    env,
    clock,
    concurrencyPinned: settings.concurrency,
    requests:
      settings.requestsPerSecond === undefined
        ? undefined
        : new RateLimiter(settings.requestsPerSecond, clock),
    bytes:
      settings.bytesPerSecond === undefined ? undefined : new RateLimiter(settings.bytesPerSecond, clock),
    onRetry: (error: unknown) =>
      emit({
        type: 'retry',
        what: 'request',
        message: error instanceof Error ? error.message : String(error),
      }),
    limits: environment.limits,
    timeoutMs: environment.storeTimeoutMs,
    requesterPays: settings.requesterPays,
  };
  const source = stack.use(await openStore(from, openOptions));
  const target = stack.use(await openStore(to, openOptions));
  await reachBoth(
    [
      (stop) => source.store.list({ prefix: from.prefix, limit: 1 }, stop),
      (stop) => target.store.list({ prefix: to.prefix, limit: 1 }, stop),
    ],
    signal,
  );

  const bases = basesOf(settings, from, to, env);
  const finder = new ReferenceFinder({ rules, bases });
  const columns: BoundColumn[] = [];
  for (const url of databaseUrls) {
    const database = stack.use(await openDatabase(url, { connections: ROW_CONNECTIONS }));
    for (const column of await bindColumns(database, url, finder, columns.length, signal))
      columns.push(column);
  }
  const inventory =
    settings.inventory === undefined
      ? undefined
      : stack.use(await openStore(parseStoreUrl(settings.inventory), openOptions)).store;
  const batch =
    settings.copyWith === 's3-batch'
      ? stack.use(await openBatchPlane(settings, to, target.store, openOptions))
      : undefined;
  const learned = await learnCapabilities(source.store, target.store, { from, to, emit }, signal);
  const stores = { source: source.store, target: target.store, markers: learned.markers };
  await checkStoresApart(from, to, rules, stores, signal);
  const scope: MoveScope = {
    settings,
    source: source.store,
    target: target.store,
    sourceCapabilities: learned.source,
    targetCapabilities: learned.target,
    rules,
    finder,
    columns,
    selects: globFilter(settings.include, settings.exclude),
    bodies: new ByteBudget(BODIES_BYTES_MAX),
    follows: settings.dangling === 'follow' ? 'any' : 'own',
    rowGate: new RowGate({
      clock,
      rowsPerSecond: settings.rowsPerSecond,
      lagMsMax: settings.replicaLagMax,
      window: settings.window,
      lagMs: (lagSignal) => slowestReplicaMs(columns, lagSignal),
      onWait: (untilMs) => emit({ type: 'waiting', forWhat: 'rows', untilMs }),
    }),
    inventory,
    batch,
    clock,
    retry: DEFAULT_RETRY,
    emit,
    failpoint: environment.failpoint ?? noFailpoint,
  };
  const owned = stack.move();
  return { scope, source, target, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Where one fails, the other is not tried any longer. */
async function reachBoth(
  attempts: readonly ((signal: AbortSignal) => Promise<unknown>)[],
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const reached = attempts.map((attempt) => attempt(either));
  try {
    await Promise.all(reached);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(reached);
    throw error;
  }
}

/** URLs by which rows may name the two buckets. */
function basesOf(
  settings: MoveSettings,
  from: StoreUrl,
  to: StoreUrl,
  env: Readonly<Record<string, string | undefined>>,
): ReferenceBase[] {
  const urls = settings.urls.map(({ from: source, to: target }) => ({ source, target }));
  if (from.kind !== 's3' || to.kind !== 's3') return urls;
  return referenceBases({ source: bucketAddress(from, env), target: bucketAddress(to, env), urls });
}

async function bindColumns(
  database: Database,
  url: DatabaseUrl,
  finder: ReferenceFinder,
  firstIndex: number,
  signal: AbortSignal,
): Promise<BoundColumn[]> {
  if (url.columns.length === 0) {
    throw new LongshoreError('URL_INVALID', `${url.name} names no column`, {
      hint: 'add it behind a #: postgres://host/database#table.column',
    });
  }
  const bound: BoundColumn[] = [];
  for (const ref of url.columns) {
    const facts = await database.describe(ref, signal);
    checkColumn(facts);
    const leads = await sampleLeads(database, facts, finder, signal);
    bound.push({ index: firstIndex + bound.length, facts, database, leads });
  }
  return bound;
}

function checkColumn(facts: ColumnFacts): void {
  const problem = columnProblem(facts);
  if (problem === undefined) return;
  throw new LongshoreError('CHECK_FAILED', problem.what, {
    hint: problem.fix,
    context: { column: facts.name },
  });
}

/** What keeps a column from being rewritten. */
export function columnProblem(facts: ColumnFacts): { what: string; fix: string } | undefined {
  if (facts.kind !== 'table' && facts.kind !== 'partitioned') {
    return { what: `${facts.name} is in a ${facts.kind}, not in a table`, fix: 'name the table behind it' };
  }
  if (facts.generated) {
    return { what: `${facts.name} is generated`, fix: 'name the column that it is generated from' };
  }
  if (!facts.canSelect || !facts.canUpdate) {
    const missing = facts.canSelect ? 'UPDATE' : 'SELECT';
    const table = facts.name.slice(0, facts.name.lastIndexOf('.'));
    return { what: `no ${missing} on ${facts.name}`, fix: `GRANT SELECT, UPDATE ON ${table} TO the role` };
  }
  return undefined;
}

const SAMPLE_VALUES = 1000;
const LEADS_MAX = 4;

/** What stands before the key in the column's values, most common first. */
async function sampleLeads(
  database: Database,
  facts: ColumnFacts,
  finder: ReferenceFinder,
  signal: AbortSignal,
): Promise<string[]> {
  if (facts.within !== 'value' || !facts.indexed) return [''];
  const counts = new Map<string, number>();
  for (const value of await database.sample(facts, SAMPLE_VALUES, signal)) {
    const [reference] = finder.find(value, 'value');
    if (reference === undefined || !value.endsWith(reference.sourceKey)) continue;
    const lead = value.slice(0, value.length - reference.sourceKey.length);
    counts.set(lead, (counts.get(lead) ?? 0) + 1);
  }
  const leads = [...counts].sort((a, b) => b[1] - a[1]).map(([lead]) => lead);
  return leads.length === 0 ? [''] : leads.slice(0, LEADS_MAX);
}

async function slowestReplicaMs(
  columns: readonly BoundColumn[],
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  let slowest: number | undefined;
  for (const database of new Set(columns.map((column) => column.database))) {
    const lag = await database.replicaLagMs(signal);
    if (lag !== undefined && lag > (slowest ?? -1)) slowest = lag;
  }
  return slowest;
}
