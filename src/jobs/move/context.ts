/** What every step of a move works with: opened stores and databases, rules, limits, and where to report. */

import type { ColumnFacts, Database } from '../../databases/database.ts';
import type { Journal } from '../../engine/journal.ts';
import type { Engine } from '../../engine/local-engine.ts';
import type { ByteBudget } from '../../flow/byte-budget.ts';
import type { Clock } from '../../flow/clock.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import type { RetryPolicy } from '../../flow/retry.ts';
import type { ObjectStore, StoreCapabilities } from '../../stores/object-store.ts';
import type { MoveListener } from './events.ts';
import type { KeyRules } from './key-rules.ts';
import type { ReferenceFinder } from './references.ts';
import type { RowGate } from './row-gate.ts';
import type { BatchPlane } from './s3-batch-plane.ts';
import type { MoveSettings } from './settings.ts';

/** A column that names objects, with the connection that reaches it. */
export interface BoundColumn {
  /** Its place in the list of columns; how shards and details refer to it. */
  readonly index: number;
  readonly facts: ColumnFacts;
  readonly database: Database;
  /**
   * What stands before the key in this column's values (`''`, `'/'`, a URL), as sampled: the spellings by which
   * rows are looked up. Rarer spellings are found by the sweep, which reads the whole column.
   */
  readonly leads: readonly string[];
}

/** What can be used without a journal: enough to plan, check, verify and audit. */
export interface MoveScope {
  readonly settings: MoveSettings;
  readonly source: ObjectStore;
  readonly target: ObjectStore;
  readonly sourceCapabilities: StoreCapabilities;
  readonly targetCapabilities: StoreCapabilities;
  readonly rules: KeyRules;
  readonly finder: ReferenceFinder;
  readonly columns: readonly BoundColumn[];
  /** Whether a key passes the filters. */
  readonly selects: (sourceKey: string) => boolean;
  /** Whether rows follow an object that only the target has: of this move's own, or any. */
  readonly follows: 'own' | 'any';
  /** Of bodies that are streamed or read. */
  readonly bodies: ByteBudget;
  readonly rowGate: RowGate;
  /** Where the inventory lies; only with `by: 'inventory'`. */
  readonly inventory?: ObjectStore | undefined;
  /** Only with `copyWith: 's3-batch'`. */
  readonly batch?: BatchPlane | undefined;
  readonly clock: Clock;
  readonly retry: RetryPolicy;
  readonly emit: MoveListener;
  readonly failpoint: Failpoint;
}

export interface MoveContext extends MoveScope {
  readonly journal: Journal;
  readonly engine: Engine;
}
