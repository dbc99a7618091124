/**
 * What a shard did, recorded while it does it, so that a process that dies, or a shard that is tried again, loses
 * none of it.
 *
 * Of each batch: which copies are begun (an intent) → the proven objects (a part; the intent goes) → which rows are
 * about to change, before each commit (intents) → the changed rows (a part; the intents go). An intent that is left
 * over is settled by looking: rows that hold the new value were changed, targets that are there now were copied.
 */

import type { RowChange } from '../../databases/database.ts';
import type { DetailLine, Intent, Journal, Shard } from '../../engine/journal.ts';
import { observe } from '../../stores/observe.ts';
import { type BatchObject, OBSERVE_LANES } from './batch-object.ts';
import type { BoundColumn, MoveContext } from './context.ts';
import { addTally, emptyTally, type Tally } from './tally.ts';

type Mark = (line: DetailLine) => DetailLine | undefined;

export class ShardRecord {
  readonly #context: MoveContext;
  readonly #shard: Shard;
  readonly #mark: Mark;
  /** Keys of objects that earlier attempts recorded with a proof. */
  readonly #recorded: Set<string>;
  /** Copies that an attempt began whose end is not recorded: target keys by source key. */
  readonly #begun = new Map<string, string>();
  #begunIntents: number[] = [];

  private constructor(context: MoveContext, shard: Shard, mark: Mark) {
    this.#context = context;
    this.#shard = shard;
    this.#mark = mark;
    this.#recorded = new Set();
    for (const line of context.journal.partDetails(shard.id)) {
      if (typeof line['object'] === 'string' && line['proof'] !== undefined)
        this.#recorded.add(line['object']);
    }
  }

  /**
   * Settles what earlier attempts at the shard left open.
   * @param mark changes the lines of objects before they are recorded; what it returns undefined for is not recorded
   */
  static async open(
    context: MoveContext,
    shard: Shard,
    signal: AbortSignal,
    mark: Mark = (line) => line,
  ): Promise<ShardRecord> {
    await settleRows(context, signal, shard.id);
    const record = new ShardRecord(context, shard, mark);
    for (const intent of context.journal.intents(shard.id)) {
      record.#begunIntents.push(intent.id);
      for (const { copies, to } of copiesOf(intent)) record.#begun.set(copies, to);
    }
    return record;
  }

  get shardId(): number {
    return this.#shard.id;
  }

  /** Objects that are about to be copied, to targets that are absent. */
  beginCopies(objects: readonly BatchObject[]): void {
    if (objects.length === 0) return;
    const lines = objects.map(({ sourceKey, targetKey }) => ({ copies: sourceKey, to: targetKey }));
    this.#begunIntents.push(this.#context.journal.addIntent(this.#shard.id, lines));
    for (const { sourceKey, targetKey } of objects) this.#begun.set(sourceKey, targetKey);
  }

  /** Whether an attempt that died began to copy the object, so that what is on the target is its copy. */
  wasBegun(sourceKey: string): boolean {
    return this.#begun.has(sourceKey);
  }

  /** Objects of a batch that are through; none of an object that an earlier attempt recorded. */
  objectsDone(ended: readonly { readonly line: DetailLine; readonly tally: Tally }[]): Tally {
    const tally = emptyTally();
    const lines: DetailLine[] = [];
    for (const { line, tally: own } of ended) {
      const key = String(line['object']);
      this.#begun.delete(key);
      if (this.#recorded.has(key)) continue;
      const marked = this.#mark(line);
      if (marked === undefined) continue;
      if (line['proof'] !== undefined) this.#recorded.add(key);
      addTally(tally, own);
      lines.push(marked);
    }
    const closed = this.#begun.size === 0 ? this.#begunIntents.splice(0) : [];
    this.add(tally, lines, closed);
    return tally;
  }

  /** Records a part. */
  add(tally: Tally, lines: readonly DetailLine[], intents: readonly number[]): void {
    const { journal, clock, emit } = this.#context;
    if (lines.length === 0 && intents.length === 0) return;
    journal.addPart(this.#shard, tally, lines, intents, clock.now());
    emit({ type: 'recorded', tally });
  }

  /** Copies that were begun and whose objects no longer came up are recorded too, for undo to know them. */
  async close(signal: AbortSignal): Promise<void> {
    if (this.#begunIntents.length === 0) return;
    const lines = await foundCopies(this.#context, this.#begun, signal);
    this.add(
      emptyTally(),
      lines.flatMap((line): DetailLine[] => [this.#mark(line)].filter((marked) => marked !== undefined)),
      this.#begunIntents,
    );
    this.#begunIntents = [];
  }
}

/** Row changes that were about to be committed when a process died: those that were, are recorded now. */
export async function settleRows(context: MoveContext, signal: AbortSignal, shardId?: number): Promise<void> {
  const { journal, clock } = context;
  for (const intent of journal.intents(shardId)) {
    if (intent.lines.some((line) => line['copies'] !== undefined)) continue;
    const details: DetailLine[] = [];
    for (const column of context.columns) {
      const changes: RowChange[] = intent.lines
        .filter((line) => line['column'] === column.facts.name)
        .map((line) => ({
          primaryKey: line['row'] as string[],
          oldValue: String(line['old']),
          newValue: String(line['new']),
        }));
      for (const change of await alreadyChanged(column, changes, signal))
        details.push(rowLine(column, change));
    }
    if (details.length === 0) {
      journal.dropIntent(intent.id);
      continue;
    }
    const tally = emptyTally();
    tally.rows.rewritten = details.length;
    journal.addPart(parentOf(journal, intent), tally, details, [intent.id], clock.now());
  }
}

/** Copies that were begun when a process died: those that are on the target are recorded, for undo to know them. */
export async function settleCopies(context: MoveContext, signal: AbortSignal): Promise<void> {
  const { journal, clock } = context;
  for (const intent of journal.intents()) {
    const begun = new Map(copiesOf(intent).map(({ copies, to }) => [copies, to]));
    if (begun.size === 0) continue;
    const lines = await foundCopies(context, begun, signal);
    journal.addPart(parentOf(journal, intent), emptyTally(), lines, [intent.id], clock.now());
  }
}

/** Without a proof: such an object is not deleted from the source. */
async function foundCopies(
  context: MoveContext,
  begun: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<DetailLine[]> {
  const found = await observe(context.target, [...begun.values()], { concurrency: OBSERVE_LANES, signal });
  return [...begun].flatMap(([object, target]) => {
    const there = found.get(target);
    return there === undefined
      ? []
      : [{ object, target, size: there.sizeBytes, targetEtag: there.etag, outcome: 'copied' }];
  });
}

function copiesOf(intent: Intent): { copies: string; to: string }[] {
  return intent.lines.flatMap(({ copies, to }) =>
    typeof copies === 'string' && typeof to === 'string' ? [{ copies, to }] : [],
  );
}

function parentOf(journal: Journal, intent: Intent): Pick<Shard, 'id' | 'stage' | 'pass'> {
  return journal.shard(intent.shardId) ?? { id: intent.shardId, stage: 'recovered', pass: 0 };
}

/**
 * Of rows that were about to change, those that hold the new value now. A row is found by its key, in which the
 * column itself may stand; without a key, by the new value, which then may also be that of another row.
 */
export async function alreadyChanged(
  column: BoundColumn,
  changes: readonly RowChange[],
  signal: AbortSignal,
): Promise<RowChange[]> {
  if (changes.length === 0) return [];
  const { database, facts } = column;
  if (facts.primaryKey.length === 0) {
    const values = [...new Set(changes.map(({ newValue }) => newValue))];
    const held = new Set((await database.rowsWithValue(facts, values, signal)).map(({ value }) => value));
    return changes.filter(({ newValue }) => held.has(newValue));
  }
  const keys = changes.map(({ primaryKey, newValue }) => keyNow(column, primaryKey, newValue));
  const now = await database.rowsByKey(facts, keys, signal);
  const values = new Map(now.map((row) => [JSON.stringify(row.primaryKey), row.value]));
  return changes.filter(({ newValue }, i) => values.get(JSON.stringify(keys[i])) === newValue);
}

/** The key by which a row is found after its change: the column itself may stand in it. */
export function keyNow(
  { facts }: BoundColumn,
  primaryKey: readonly string[],
  newValue: string,
): readonly string[] {
  const place = facts.primaryKey.findIndex(({ name }) => name === facts.ref.column);
  return place < 0 ? primaryKey : primaryKey.with(place, newValue);
}

export function rowLine(column: BoundColumn, change: RowChange): DetailLine {
  return {
    row: change.primaryKey,
    column: column.facts.name,
    old: change.oldValue,
    new: change.newValue,
    outcome: 'rewritten',
  };
}
