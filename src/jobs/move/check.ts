/** Connects to everything a move works with, tries what it needs, and says what is in the way, each with its fix. */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import type { ColumnFacts } from '../../databases/database.ts';
import { openDatabase } from '../../databases/open-database.ts';
import { systemClock } from '../../flow/clock.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { openStore } from '../../stores/open-store.ts';
import { type CheckedStore, checkStore, type Side } from './check-store.ts';
import type { MoveScope } from './context.ts';
import {
  columnFindings,
  type Finding,
  findingOf,
  fits,
  lagFinding,
  lengthFinding,
  sortFindings,
} from './findings.ts';
import { checkInventory } from './inventory.ts';
import { fallbacks } from './learn-capabilities.ts';
import { type MoveEnvironment, openScope } from './open-scope.ts';
import { type MoveOptions, type MoveSettings, resolveMoveOptions } from './settings.ts';

export interface CheckEnvironment extends MoveEnvironment {
  readonly signal?: AbortSignal | undefined;
}

export interface CheckResult {
  readonly from: string;
  readonly to: string;
  /** Errors first; the move would start where there is none. */
  readonly findings: readonly Finding[];
  readonly errors: number;
  /** Absent where the store could not be opened. */
  readonly source?: Omit<CheckedStore, 'findings'> | undefined;
  readonly target?: Omit<CheckedStore, 'findings'> | undefined;
  /** What stands in for what the stores do not honour. */
  readonly fallbacks: readonly string[];
  readonly columns: readonly ColumnFacts[];
}

/** A check is asked for by someone who waits; what does not answer now is a finding. */
const QUICK_RETRY = { attemptsMax: 2, baseMs: 100, waitMsMax: 500 };
const CONNECTIONS = 2;
const SAMPLED_VALUES = 1000;

/**
 * Checks a move. One part that fails does not hide the others. Changes nothing, except that marker objects
 * `.longshore-probe-…` come and go under both prefixes where they may.
 *
 * @returns findings; never throws for what it finds
 * @throws {LongshoreError} CONFIG_INVALID where the options cannot be understood
 * @example
 * ```ts
 * import { checkMove } from 'longshore';
 * const { findings } = await checkMove({ from: 's3://legacy/image/', to: 's3://production/avatar/' });
 * for (const { level, what, fix } of findings) console.log(level, what, fix);
 * ```
 */
export async function checkMove(
  options: MoveOptions,
  environment: CheckEnvironment = {},
): Promise<CheckResult> {
  const check = new MoveCheck(resolveMoveOptions(options), environment);
  return check.run();
}

class MoveCheck {
  readonly #settings: MoveSettings;
  readonly #environment: CheckEnvironment;
  readonly #signal: AbortSignal;
  readonly #findings: Finding[] = [];
  readonly #columns: ColumnFacts[] = [];

  constructor(settings: MoveSettings, environment: CheckEnvironment) {
    this.#settings = settings;
    this.#environment = environment;
    this.#signal = environment.signal ?? new AbortController().signal;
  }

  async run(): Promise<CheckResult> {
    await using stack = new AsyncDisposableStack();
    const { from, to, rows } = this.#settings;
    const [source, target] = await Promise.all([
      this.#checkSide('source', from, stack),
      this.#checkSide('target', to, stack),
      ...rows.map((url) => this.#collect(() => this.#checkRows(url))),
    ]);
    // What concerns all parts together can only be seen where each of them is well.
    if (this.#errors() === 0) await this.#collect(() => this.#checkTogether());
    const findings = sortFindings(this.#findings);
    const stands =
      source === undefined || target === undefined
        ? []
        : fallbacks(source.store, target.store, source.checked.capabilities, target.checked.capabilities);
    return {
      from,
      to,
      findings,
      errors: findings.filter(({ level }) => level === 'error').length,
      source: withoutFindings(source?.checked),
      target: withoutFindings(target?.checked),
      fallbacks: stands,
      columns: this.#columns,
    };
  }

  #errors(): number {
    return this.#findings.filter(({ level }) => level === 'error').length;
  }

  async #checkSide(
    side: Side,
    url: string,
    stack: AsyncDisposableStack,
  ): Promise<{ store: ObjectStore; checked: CheckedStore } | undefined> {
    const { env = process.env, clock = systemClock, limits, storeTimeoutMs } = this.#environment;
    return this.#collect(async () => {
      const parsed = parseStoreUrl(url);
      const opened = await openStore(parsed, {
        env,
        clock,
        limits,
        retry: QUICK_RETRY,
        timeoutMs: storeTimeoutMs ?? 10_000,
        requesterPays: this.#settings.requesterPays,
      });
      const { store } = stack.use(opened);
      const checked = await checkStore(
        { side, store, prefix: parsed.prefix, move: this.#settings, clock },
        this.#signal,
      );
      this.#findings.push(...checked.findings);
      return { store, checked };
    });
  }

  async #checkRows(url: string): Promise<void> {
    const parsed = parseDatabaseUrl(url, this.#environment.env ?? process.env);
    if (parsed.columns.length === 0) {
      this.#findings.push({
        level: 'error',
        what: `${parsed.name} names no column`,
        fix: 'add it behind a #: postgres://host/database#table.column',
        code: 'URL_INVALID',
      });
      return;
    }
    await using database = await openDatabase(parsed, { connections: CONNECTIONS });
    let described = 0;
    for (const ref of parsed.columns) {
      await this.#collect(async () => {
        const facts = await database.describe(ref, this.#signal);
        described++;
        this.#columns.push(facts);
        this.#findings.push(...columnFindings(facts));
      });
    }
    if (described === 0) return;
    const lagMs = await this.#collect(() => database.replicaLagMs(this.#signal));
    this.#findings.push(...lagFinding(parsed.name, lagMs, this.#settings));
  }

  /** Opens the move as it would be run: overlaps, one bucket under two names, new values that do not fit. */
  async #checkTogether(): Promise<void> {
    const { emit: _, ...environment } = this.#environment;
    await using opened = await openScope(this.#settings, environment, this.#signal);
    await checkInventory(opened.scope, this.#signal);
    for (const column of opened.scope.columns) {
      if (column.facts.lengthMax === undefined) continue;
      const values = await column.database.sample(column.facts, SAMPLED_VALUES, this.#signal);
      this.#findings.push(...tooLongFinding(opened.scope, column.facts, values));
    }
  }

  /** What the work resolves to; an error becomes a finding. */
  async #collect<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#findings.push(findingOf(error));
      return undefined;
    }
  }
}

function tooLongFinding(scope: MoveScope, facts: ColumnFacts, values: readonly string[]): Finding[] {
  let looked = 0;
  let tooLong = 0;
  for (const value of values) {
    const references = scope.finder.find(value, facts.within);
    if (references.length === 0) continue;
    looked++;
    if (!fits(facts, scope.finder.rewrite(value, references))) tooLong++;
  }
  return lengthFinding(facts, tooLong, looked);
}

function withoutFindings(checked: CheckedStore | undefined): Omit<CheckedStore, 'findings'> | undefined {
  if (checked === undefined) return undefined;
  const { findings: _, ...rest } = checked;
  return rest;
}
