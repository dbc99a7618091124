/**
 * Undoes a run: puts back the objects that were deleted, then the rows, then takes away the copies.
 *
 * It is the same chain in the other direction: an object is back in its old place and proven before a row names it
 * there again, and a copy goes only when no row names it. What the run found on the target it leaves there; rows
 * that changed since are left alone.
 */

import type { RowChange } from '../../databases/database.ts';
import { type DetailLine, Journal } from '../../engine/journal.ts';
import { LocalEngine, type ShardResult } from '../../engine/local-engine.ts';
import { DEFAULT_STATE_FOLDER, findRun } from '../../engine/run-folder.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { observe } from '../../stores/observe.ts';
import { moveBatch } from './batch.ts';
import { type BatchObject, OBSERVE_LANES } from './batch-object.ts';
import type { BoundColumn, MoveContext, MoveScope } from './context.ts';
import { type DeleteSpec, namedKeys, runDeleteShard } from './delete-stage.ts';
import { KeyRules } from './key-rules.ts';
import { openScope } from './open-scope.ts';
import { ReferenceFinder } from './references.ts';
import { rewriteColumn } from './rewrite-rows.ts';
import type { MoveRunOptions } from './run.ts';
import { deletionGraceMs, type MoveOptions, type MoveSettings, resolveMoveOptions } from './settings.ts';
import { addTally, emptyTally, type Tally } from './tally.ts';

export interface UndoOptions extends MoveRunOptions {
  /** The run's name; the newest one where absent. */
  readonly run?: string | undefined;
  /** Database URLs with their passwords, where the environment does not have them. */
  readonly rows?: readonly string[] | undefined;
  /** Overrides the run's grace period before copies are taken away; `never` keeps them. */
  readonly delete?: MoveOptions['delete'];
}

export interface UndoSummary {
  readonly run: string;
  /** Objects put back, rows put back, copies taken away. */
  readonly total: Tally;
  readonly failures: number;
}

/** What the shards of the undo refer to. */
interface UndoSpec {
  readonly shard: number;
}

const UNDO_STAGES = ['copy', 'sweep', 'recovered'] as const;

/**
 * Undoes a run. May be called again after it failed or was killed.
 * @throws RUN_NOT_FOUND, RUN_LOCKED and the errors of stores and databases
 */
export async function undoMove(options: UndoOptions): Promise<UndoSummary> {
  const signal = options.signal ?? new AbortController().signal;
  const clock = options.clock ?? systemClock;
  const folder = findRun(options.stateFolder ?? DEFAULT_STATE_FOLDER, 'move', options.run);
  using journal = Journal.open(folder, 'move', 'write');
  const settings = settingsOf(journal, options);
  await using opened = await openScope(settings, options, signal);
  const forward = opened.scope;
  const context: MoveContext = { ...reversed(forward), journal, engine: new LocalEngine(journal, clock) };
  layOutUndo(journal);
  const run = folder.split('/').at(-1)!;
  const emit = options.emit ?? (() => undefined);

  const stage = async <S>(
    name: 'undo-objects' | 'undo-delete',
    execute: (spec: S, shardId: number) => Promise<ShardResult<Tally>>,
  ): Promise<void> => {
    emit({
      type: 'stage-started',
      stage: name,
      pass: 1,
      shards: journal.counts(name, 1).open,
      objects: undefined,
    });
    await context.engine.run<S, Tally>(
      {
        stage: name,
        pass: 1,
        concurrency: 3,
        execute: (spec, shard) => execute(spec, shard.id),
        onFinished: (tally) => emit({ type: 'shard-finished', stage: name, tally, objects: 0 }),
      },
      signal,
    );
  };

  await stage<UndoSpec>('undo-objects', (spec, shardId) =>
    undoShard(context, forward, spec, shardId, signal),
  );
  const grace = deletionGraceMs(settings);
  if (grace !== undefined && forward.rules.injective) {
    await waitForGrace(journal, grace, context, signal);
    const named = await namedKeys(context, signal);
    if (named !== undefined) {
      await stage<DeleteSpec>('undo-delete', (spec) => runDeleteShard(context, spec, named, signal));
    }
  } else if (grace !== undefined) {
    emit({ type: 'notice', text: 'the rules cannot be turned around: copies on the target are left there' });
  }
  const summary = summarizeUndo(journal, run);
  if (summary.failures === 0) journal.setMeta('state', 'undone');
  emit({ type: 'run-finished', tally: summary.total, seconds: 0 });
  return summary;
}

function settingsOf(journal: Journal, options: UndoOptions): MoveSettings {
  const kept = journal.getMeta('settings') as MoveSettings | undefined;
  if (kept === undefined) {
    throw new LongshoreError(
      'JOURNAL_FOREIGN',
      'the journal holds no settings: the run ended before it began',
    );
  }
  return resolveMoveOptions({
    ...kept,
    ...(options.rows === undefined ? {} : { rows: [...options.rows] }),
    ...(options.delete === undefined ? {} : { delete: options.delete }),
    orphans: 'move',
  });
}

/** The same scope seen from the other side. */
function reversed(scope: MoveScope): MoveScope {
  const inverse = inverseRules(scope.rules);
  return {
    ...scope,
    source: scope.target,
    target: scope.source,
    sourceCapabilities: scope.targetCapabilities,
    targetCapabilities: scope.sourceCapabilities,
    rules: inverse,
    finder: new ReferenceFinder({
      rules: inverse,
      bases: scope.finder.bases.map(({ source, target }) => ({ source: target, target: source })),
    }),
    selects: () => true,
  };
}

/** Prefix rules turned around; rules with captures have no inverse and match nothing. */
function inverseRules(rules: KeyRules): KeyRules {
  const prefixes = rules.rules.filter((rule) => rule.kind === 'prefix');
  return new KeyRules(prefixes.map(({ from, to }) => ({ kind: 'prefix', from: to, to: from })));
}

/** One undo shard for every shard of the run, newest first. */
function layOutUndo(journal: Journal): void {
  if (journal.getMeta('undoLaidOut') === true) return;
  journal.dropShards('undo-objects', 1);
  const specs: UndoSpec[] = [];
  for (const shard of journal.finished({}, 'desc')) {
    if (shard.state === 'done' && (UNDO_STAGES as readonly string[]).includes(shard.stage)) {
      specs.push({ shard: shard.id });
    }
  }
  journal.addShards('undo-objects', 1, specs);
  journal.transaction(() => {
    journal.setMeta('undoLaidOut', true);
    journal.setMeta('state', 'undoing');
  });
}

/** Puts back the objects and rows of one shard of the run. */
async function undoShard(
  context: MoveContext,
  forward: MoveScope,
  spec: UndoSpec,
  shardId: number,
  signal: AbortSignal,
): Promise<ShardResult<Tally>> {
  const lines = context.journal.details(spec.shard);
  const changes = rowChangesBack(forward, lines);
  const objects = new Map<string, BatchObject>();
  const ours = new Set<string>();
  for (const line of lines) {
    const { object, target, outcome } = line;
    if (typeof object !== 'string' || typeof target !== 'string') continue;
    if (!MOVED.has(String(outcome))) continue;
    objects.set(object, backwards(object, target));
    if (outcome === 'copied' || outcome === 'refreshed') ours.add(target);
  }
  for (const { keys } of changes) {
    for (const { sourceKey, targetKey } of keys) {
      if (!objects.has(sourceKey)) objects.set(sourceKey, backwards(sourceKey, targetKey));
    }
  }
  await fillSources(context, [...objects.values()], signal);
  const result = await moveBatch(context, { objects, rows: [], targetFirst: true }, shardId, signal);
  const tally = addTally(emptyTally(), result.tally);
  const details: DetailLine[] = result.details.map((line) =>
    ours.has(String(line['object'])) ? line : { ...line, keep: true },
  );
  for (const column of forward.columns) {
    const ready = changes
      .filter((change) => change.column === column)
      .filter((change) => change.keys.every(({ sourceKey }) => isBack(objects.get(sourceKey))))
      .map((change) => change.change);
    await rewriteColumn(context, column, ready, { shardId, tally, details }, signal);
  }
  return { outcome: tally, details };
}

const MOVED = new Set(['copied', 'already', 'refreshed', 'repaired']);

function backwards(sourceKey: string, targetKey: string): BatchObject {
  return {
    sourceKey: targetKey,
    targetKey: sourceKey,
    source: undefined,
    target: undefined,
    existedBefore: undefined,
    state: 'open',
  };
}

/** Whether the object is in its old place again. */
function isBack(object: BatchObject | undefined): boolean {
  return object?.state === 'proven' || object?.state === 'repaired';
}

async function fillSources(
  context: MoveContext,
  objects: readonly BatchObject[],
  signal: AbortSignal,
): Promise<void> {
  const keys = objects.map((object) => object.sourceKey);
  const found = await observe(context.source, keys, { concurrency: OBSERVE_LANES, signal });
  for (const object of objects) object.source = found.get(object.sourceKey);
}

interface ChangeBack {
  readonly column: BoundColumn;
  readonly change: RowChange;
  /** What the old value names. */
  readonly keys: readonly { readonly sourceKey: string; readonly targetKey: string }[];
}

function rowChangesBack(forward: MoveScope, lines: readonly DetailLine[]): ChangeBack[] {
  const changes: ChangeBack[] = [];
  for (const line of lines) {
    if (line['outcome'] !== 'rewritten' || !Array.isArray(line['row'])) continue;
    const column = forward.columns.find(({ facts }) => facts.name === line['column']);
    if (column === undefined) continue;
    const oldValue = String(line['old']);
    changes.push({
      column,
      change: { primaryKey: line['row'] as string[], oldValue: String(line['new']), newValue: oldValue },
      keys: forward.finder.find(oldValue, column.facts.within),
    });
  }
  return changes;
}

/** Schedules the removal of the copies and waits for readers that resolved a row a moment ago. */
async function waitForGrace(
  journal: Journal,
  graceMs: number,
  context: MoveContext,
  signal: AbortSignal,
): Promise<void> {
  if (journal.getMeta('undoDeletionDueMs') === undefined) {
    journal.dropShards('undo-delete', 1);
    const specs: DeleteSpec[] = [];
    for (const shard of journal.finished({ stage: 'undo-objects' })) {
      if (shard.state === 'done') specs.push({ shard: shard.id });
    }
    journal.addShards('undo-delete', 1, specs);
    journal.setMeta('undoDeletionDueMs', context.clock.now() + graceMs);
  }
  const dueMs = Number(journal.getMeta('undoDeletionDueMs'));
  if (dueMs <= context.clock.now()) return;
  context.emit({ type: 'waiting', forWhat: 'grace', untilMs: dueMs });
  await context.clock.wait(dueMs - context.clock.now(), signal);
}

function summarizeUndo(journal: Journal, run: string): UndoSummary {
  const total = emptyTally();
  let failures = 0;
  for (const stage of ['undo-objects', 'undo-delete']) {
    for (const shard of journal.finished({ stage })) {
      if (shard.state === 'failed') failures++;
      else {
        const tally = shard.outcome as Tally;
        addTally(total, tally);
        failures +=
          tally.objects.failed + tally.objects.collision + tally.rows.failed + tally.deletes.refused;
      }
    }
  }
  return { run, total, failures };
}
