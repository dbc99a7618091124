/**
 * Reads bucket and tables again and proves that every row names an object that exists, and that nothing was deleted
 * whose copy is not there.
 */

import { join } from 'node:path';
import { Journal } from '../../engine/journal.ts';
import { DEFAULT_STATE_FOLDER, findRun, listRuns } from '../../engine/run-folder.ts';
import { observe } from '../../stores/observe.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { OBSERVE_LANES } from './batch.ts';
import type { BoundColumn, MoveScope } from './context.ts';
import { type MoveEnvironment, openScope } from './open-scope.ts';
import { moveFingerprint } from './run.ts';
import { type MoveOptions, resolveMoveOptions } from './settings.ts';

export interface VerifyOptions extends MoveEnvironment {
  readonly stateFolder?: string | undefined;
  /** The run whose journal is checked; the newest one of this move where absent. */
  readonly run?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Something that does not hold. `promise` is its number in the design: 1 rows name objects, 2 copies before deletion. */
export interface Violation {
  readonly promise: 1 | 2;
  readonly what: string;
  readonly key: string;
  readonly column?: string | undefined;
  readonly row?: readonly string[] | undefined;
}

export interface VerifyResult {
  readonly rowsRead: number;
  readonly referencesChecked: number;
  /** Objects that the run's journal says were deleted from the source, each looked for on the target. */
  readonly deletionsChecked: number;
  /** Of these, objects that the target no longer has and no row names: the application took them away since. */
  readonly goneSince: number;
  readonly violations: readonly Violation[];
  /** All of them, also those not listed. */
  readonly violationsCount: number;
  readonly run: string | undefined;
}

const VIOLATIONS_LISTED = 1000;
const BATCH_ROWS = 1000;

/**
 * Proves the result of a move, or finds where it does not hold. Changes nothing but capability markers.
 * @throws the errors of stores and databases
 */
export async function verifyMove(options: MoveOptions, environment: VerifyOptions = {}): Promise<VerifyResult> {
  const signal = environment.signal ?? new AbortController().signal;
  const settings = resolveMoveOptions(options);
  await using opened = await openScope(settings, environment, signal);
  const verification = new Verification(opened.scope, signal);
  for (const column of opened.scope.columns) await verification.readColumn(column);
  const folder = runFolder(environment, moveFingerprint(settings));
  if (folder !== undefined) {
    using journal = Journal.open(folder, 'move', 'read');
    if (journal.getMeta('state') !== 'undone') await verification.readJournal(journal);
  }
  return verification.result(folder?.split('/').at(-1));
}

function runFolder(environment: VerifyOptions, fingerprint: string): string | undefined {
  const stateFolder = environment.stateFolder ?? DEFAULT_STATE_FOLDER;
  if (environment.run !== undefined) return findRun(stateFolder, 'move', environment.run);
  for (const run of listRuns(stateFolder, 'move')) {
    using journal = Journal.open(join(stateFolder, run), 'move', 'read');
    if (journal.getMeta('fingerprint') === fingerprint) return journal.folder;
  }
  return undefined;
}

class Verification {
  readonly #scope: MoveScope;
  readonly #signal: AbortSignal;
  readonly #violations: Violation[] = [];
  #violationsCount = 0;
  #rowsRead = 0;
  #referencesChecked = 0;
  #deletionsChecked = 0;
  #goneSince = 0;

  constructor(scope: MoveScope, signal: AbortSignal) {
    this.#scope = scope;
    this.#signal = signal;
  }

  result(run: string | undefined): VerifyResult {
    return {
      rowsRead: this.#rowsRead,
      referencesChecked: this.#referencesChecked,
      deletionsChecked: this.#deletionsChecked,
      goneSince: this.#goneSince,
      violations: this.#violations,
      violationsCount: this.#violationsCount,
      run,
    };
  }

  /** Every reference of the column, to either side, names an object that exists. */
  async readColumn(column: BoundColumn): Promise<void> {
    const { finder } = this.#scope;
    const within = column.facts.within;
    for await (const rows of column.database.scan(column.facts, {}, { batchRows: BATCH_ROWS }, this.#signal)) {
      this.#rowsRead += rows.length;
      const named = { source: new Map<string, readonly string[]>(), target: new Map<string, readonly string[]>() };
      for (const row of rows) {
        for (const { sourceKey } of finder.find(row.value, within)) named.source.set(sourceKey, row.primaryKey);
        for (const key of finder.findTargets(row.value, within)) named.target.set(key, row.primaryKey);
      }
      for (const [store, keys] of [
        [this.#scope.source, named.source],
        [this.#scope.target, named.target],
      ] as const) {
        this.#referencesChecked += keys.size;
        await this.#checkNamed(column, store, keys);
      }
    }
  }

  async #checkNamed(
    column: BoundColumn,
    store: ObjectStore,
    keys: ReadonlyMap<string, readonly string[]>,
  ): Promise<void> {
    const found = await observe(store, [...keys.keys()], { concurrency: OBSERVE_LANES, signal: this.#signal });
    for (const [key, row] of keys) {
      if (found.has(key) || (await this.#changedMeanwhile(column, row, key))) continue;
      this.#violate({
        promise: 1,
        what: `names ${store.name}/${key}, which does not exist`,
        key,
        column: column.facts.name,
        row,
      });
    }
  }

  /** Between reading the row and looking for its object the row may have changed; then it proves nothing. */
  async #changedMeanwhile(column: BoundColumn, primaryKey: readonly string[], key: string): Promise<boolean> {
    if (primaryKey.length === 0) return false;
    const [row] = await column.database.rowsByKey(column.facts, [primaryKey], this.#signal);
    return row === undefined || !row.value.includes(key);
  }

  /** Every object that the run deleted is on the target. */
  async readJournal(journal: Journal): Promise<void> {
    for (const shard of journal.finished('delete')) {
      const deleted = journal
        .details(shard.id)
        .filter((line) => line['outcome'] === 'deleted')
        .map((line) => String(line['object']));
      const targets = new Map<string, string>();
      for (const key of deleted) {
        const target = this.#scope.rules.targetOf(key);
        if (target !== undefined) targets.set(target, key);
      }
      this.#deletionsChecked += targets.size;
      const found = await observe(this.#scope.target, [...targets.keys()], {
        concurrency: OBSERVE_LANES,
        signal: this.#signal,
      });
      for (const [target, source] of targets) {
        if (found.has(target)) continue;
        // A row that names it was reported when the rows were read; without one it was deleted by the application.
        if (this.#scope.columns.length > 0) {
          this.#goneSince++;
          continue;
        }
        this.#violate({ promise: 2, what: `was deleted from the source and is not on the target as ${target}`, key: source });
      }
    }
  }

  #violate(violation: Violation): void {
    this.#violationsCount++;
    if (this.#violations.length < VIOLATIONS_LISTED) this.#violations.push(violation);
  }
}
