/** Reads every row and looks for the object that it names, on whichever side. */

import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { BoundColumn, MoveScope } from './context.ts';
import { type SeenNaming, stillDangling } from './dangling-rows.ts';
import { KeyRules } from './key-rules.ts';
import { ReferenceFinder } from './references.ts';
import { sourceKeysOf } from './settle-readings.ts';
import { type SweepSpec, sweepShards } from './sweep-stage.ts';
import type { Violations } from './violations.ts';

export interface RowsVerified {
  readonly rowsRead: number;
  readonly referencesChecked: number;
}

const BATCH_ROWS = 1000;
const ROW_LANES = 3;

/** One of the two sides, with what finds its keys in a value. */
interface Side {
  readonly store: ObjectStore;
  /** For each place that names an object: the keys it may mean, the likeliest first. */
  readonly readingsOf: (value: string, column: BoundColumn) => string[][];
}

export async function verifyRows(
  scope: MoveScope,
  violations: Violations,
  signal: AbortSignal,
): Promise<RowsVerified> {
  const { finder } = scope;
  const targets = targetFinder(finder);
  const sides: Side[] = [
    {
      store: scope.source,
      readingsOf: (value, { facts }) => finder.find(value, facts.within).map(sourceKeysOf),
    },
    {
      store: scope.target,
      readingsOf: (value, { facts }) => {
        const sources = finder.find(value, facts.within);
        return targets
          .find(value, facts.within)
          .filter((target) => !sources.some(({ start, end }) => start < target.end && target.start < end))
          .map(sourceKeysOf);
      },
    },
  ];
  const verified = { rowsRead: 0, referencesChecked: 0 };
  const readRange = async ({ column: index, range }: SweepSpec): Promise<void> => {
    const column = scope.columns[index]!;
    const scanned = column.database.scan(column.facts, range, { batchRows: BATCH_ROWS }, signal);
    for await (const rows of scanned) {
      verified.rowsRead += rows.length;
      for (const side of sides) {
        const named: (SeenNaming & { readonly keys: readonly string[] })[] = [];
        for (const { value, primaryKey } of rows) {
          for (const keys of side.readingsOf(value, column)) named.push({ primaryKey, key: keys[0]!, keys });
        }
        verified.referencesChecked += named.length;
        await checkNamed(side, column, named, violations, signal);
      }
    }
  };
  await forEachConcurrent(sweepShards(scope, signal), ROW_LANES, readRange);
  return verified;
}

/** Finds keys of the target as the move's own finder finds keys of the source. */
function targetFinder(finder: ReferenceFinder): ReferenceFinder {
  const prefixes = finder.rules.targetPrefixes;
  return new ReferenceFinder({
    rules: new KeyRules(prefixes.map((prefix) => ({ kind: 'prefix', from: prefix, to: prefix }))),
    bases: finder.bases.map(({ target }) => ({ source: target, target })),
  });
}

async function checkNamed(
  side: Side,
  column: BoundColumn,
  named: readonly (SeenNaming & { readonly keys: readonly string[] })[],
  violations: Violations,
  signal: AbortSignal,
): Promise<void> {
  if (named.length === 0) return;
  const existing = async (keys: readonly string[]): Promise<ReadonlySet<string>> =>
    new Set((await observe(side.store, keys, { concurrency: OBSERVE_LANES, signal })).keys());
  const found = await existing(named.flatMap(({ keys }) => keys));
  const absent = named.filter(({ keys }) => !keys.some((key) => found.has(key)));
  // Between reading a row and looking for its object both may have changed; then it proves nothing.
  const check = { existing, readingsOf: (value: string) => side.readingsOf(value, column) };
  for (const { key, primaryKey } of await stillDangling(column, absent, check, signal)) {
    violations.add({
      promise: 1,
      what: `names ${side.store.name}/${key}, which does not exist`,
      key,
      column: column.facts.name,
      row: primaryKey,
    });
  }
}
