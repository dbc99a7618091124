/**
 * Undoes a run: puts back the objects that were deleted, then the rows, then takes away the copies.
 *
 * It is the same chain in the other direction: an object is back in its old place and proven before a row names it
 * there again, and a copy goes only when no row names it. What the run found on the target it leaves there; rows
 * that changed since are left alone.
 */

import { withoutPassword } from '../../config/database-url.ts';
import type { RowChange } from '../../databases/database.ts';
import { type DetailLine, Journal, type Shard } from '../../engine/journal.ts';
import { LocalEngine, type ShardResult } from '../../engine/local-engine.ts';
import { DEFAULT_STATE_FOLDER, findRun } from '../../engine/run-folder.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { observe } from '../../stores/observe.ts';
import { moveBatch } from './batch.ts';
import { type BatchObject, OBSERVE_LANES } from './batch-object.ts';
import type { BoundColumn, MoveContext, MoveScope } from './context.ts';
import { type DeleteSpec, runDeleteShard } from './delete-stage.ts';
import { moveFingerprint } from './fingerprint.ts';
import { KeyRules } from './key-rules.ts';
import { NamedKeys } from './named-keys.ts';
import { openScope } from './open-scope.ts';
import { ReferenceFinder } from './references.ts';
import { newAccount, rewriteColumn } from './rewrite-rows.ts';
import type { MoveRunOptions } from './run.ts';
import { batchUnderWay } from './s3-batch-stage.ts';
import { deletionGraceMs, type MoveOptions, type MoveSettings, resolveMoveOptions } from './settings.ts';
import { keyNow, ShardRecord, settleCopies, settleRows } from './shard-record.ts';
import { describeLine, FAILURES_LISTED, type FailureLine } from './summary.ts';
import { addTally, emptyTally, type Tally } from './tally.ts';

export interface UndoOptions extends MoveRunOptions {
  /** The run's name; the newest one where absent. */
  readonly run?: string | undefined;
  /** Database URLs with their passwords, where the environment does not have them. */
  readonly rows?: readonly string[] | undefined;
  /** More of such URLs; those that are not of the run are passed over. */
  readonly passwordsFrom?: readonly string[] | undefined;
  /** Overrides the run's grace period before copies are taken away; `never` keeps them. */
  readonly delete?: MoveOptions['delete'];
}

export interface UndoSummary {
  readonly run: string;
  /** Objects put back, rows put back, copies taken away. */
  readonly total: Tally;
  readonly failures: number;
  /** Some of the failures, with their errors. */
  readonly failed: readonly FailureLine[];
}

/** What the shards of the undo refer to. */
interface UndoSpec {
  readonly shard: number;
}

/** Passes of the stage: a row is put back when all objects are. */
const OBJECTS_BACK = 1;
const ROWS_BACK = 2;
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
  const underWay = batchUnderWay(journal);
  if (underWay !== undefined) {
    throw new LongshoreError('CHECK_FAILED', underWay, {
      hint: 'run the move again with --copy-with s3-batch until it has ended, then undo it',
    });
  }
  const settings = settingsOf(journal, options);
  checkServers(journal, settings, options);
  await using opened = await openScope(settings, options, signal);
  const forward = opened.scope;
  const context: MoveContext = { ...reversed(forward), journal, engine: new LocalEngine(journal, clock) };
  await settleRows(context, signal);
  await settleCopies({ ...forward, journal, engine: context.engine }, signal);
  layOutUndo(journal);
  const run = folder.split('/').at(-1)!;
  const emit = options.emit ?? (() => undefined);

  const stage = async <S>(
    name: 'undo-objects' | 'undo-delete',
    pass: number,
    execute: (spec: S, shard: Shard) => Promise<ShardResult<Tally>>,
  ): Promise<void> => {
    emit({
      type: 'stage-started',
      stage: name,
      pass,
      shards: journal.counts(name, pass).open,
      objects: undefined,
    });
    await context.engine.run<S, Tally>(
      {
        stage: name,
        pass,
        concurrency: 3,
        execute,
        onFinished: (tally) => emit({ type: 'shard-finished', stage: name, tally, objects: 0 }),
      },
      signal,
    );
  };

  for (const pass of [OBJECTS_BACK, ROWS_BACK]) {
    await stage<UndoSpec>('undo-objects', pass, (spec, shard) =>
      undoShard(context, forward, spec, shard, signal),
    );
  }
  const grace = deletionGraceMs(settings);
  if (grace !== undefined && forward.rules.injective) {
    scheduleTakingAway(journal, clock.now());
    const dueMs = Number(journal.getMeta('undoScheduledMs')) + grace;
    if (dueMs > clock.now()) {
      emit({ type: 'waiting', forWhat: 'grace', untilMs: dueMs });
      await clock.wait(dueMs - clock.now(), signal);
    }
    const named = new NamedKeys(context, signal);
    await stage<DeleteSpec>('undo-delete', 1, (spec) => runDeleteShard(context, spec, named, signal));
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
    rows: rowsOf(kept.rows, options.rows ?? [], options.passwordsFrom ?? []),
    ...(options.delete === undefined ? {} : { delete: options.delete }),
    orphans: 'move',
  });
}

/** The same URLs may lead elsewhere in another environment. @throws JOURNAL_FOREIGN */
function checkServers(journal: Journal, settings: MoveSettings, options: UndoOptions): void {
  const kept = journal.getMeta('settings') as MoveSettings;
  if (
    journal.getMeta('fingerprint') ===
    moveFingerprint({ ...settings, rows: kept.rows }, options.env ?? process.env)
  )
    return;
  throw new LongshoreError(
    'JOURNAL_FOREIGN',
    'the environment leads to other servers than those of the run',
    {
      hint: 'set the endpoint (AWS_ENDPOINT_URL, S3_ENDPOINT_URL) and the database variables as they were for the run',
    },
  );
}

/** The columns of the run, with the passwords that the caller has for them. @throws CONFIG_INVALID for another column */
function rowsOf(kept: readonly string[], given: readonly string[], more: readonly string[]): string[] {
  const passwords = new Map(given.map((url) => [withoutPassword(url), url]));
  for (const url of passwords.keys()) {
    if (kept.includes(url)) continue;
    throw new LongshoreError('CONFIG_INVALID', `the run did not rewrite ${url}`, {
      hint: `give its own, with the password: ${kept.join(', ') || 'none'}`,
    });
  }
  const others = new Map(more.map((url) => [withoutPassword(url), url]));
  return kept.map((url) => passwords.get(url) ?? others.get(url) ?? url);
}

/** The same scope seen from the other side. */
function reversed(scope: MoveScope): MoveScope {
  const inverse = inverseRules(scope.rules);
  return {
    ...scope,
    source: scope.target,
    target: scope.source,
    // What the application itself has put back is in its place.
    follows: 'any',
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

/** One undo shard for every shard of the run, newest first: those of objects, then those of rows. */
function layOutUndo(journal: Journal): void {
  if (journal.getMeta('undoLaidOut') === true) return;
  for (const pass of [OBJECTS_BACK, ROWS_BACK]) journal.dropShards('undo-objects', pass);
  const objects: UndoSpec[] = [];
  const rows: UndoSpec[] = [];
  for (const shard of journal.finished({}, 'desc')) {
    if (shard.state !== 'done' || !(UNDO_STAGES as readonly string[]).includes(shard.stage)) continue;
    const changesRows = (shard.outcome as Tally).rows.rewritten > 0;
    (changesRows ? rows : objects).push({ shard: shard.id });
  }
  journal.addShards('undo-objects', OBJECTS_BACK, objects);
  journal.addShards('undo-objects', ROWS_BACK, rows);
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
  shard: Shard,
  signal: AbortSignal,
): Promise<ShardResult<Tally>> {
  const lines = context.journal.details(spec.shard);
  const changes = rowChangesBack(forward, lines);
  const objects = new Map<string, BatchObject>();
  const ours = new Set<string>();
  const listed = new Set<string>();
  for (const line of lines) {
    const { object, target, outcome } = line;
    if (typeof object !== 'string' || typeof target !== 'string') continue;
    if (!MOVED.has(String(outcome))) continue;
    objects.set(object, backwards(object, target));
    listed.add(target);
    if (outcome === 'copied' || outcome === 'refreshed') ours.add(target);
  }
  for (const { keys } of changes) {
    for (const { sourceKey, targetKey } of keys) {
      if (!objects.has(sourceKey)) objects.set(sourceKey, backwards(sourceKey, targetKey));
    }
  }
  await fillSources(context, [...objects.values()], signal);
  const record = await ShardRecord.open(context, shard, signal, (line) => {
    const target = String(line['object']);
    if (ours.has(target)) return line;
    // What only rows brought here has a shard of its own, and is in its place by now.
    return line['outcome'] === 'already' && !listed.has(target) ? undefined : { ...line, keep: true };
  });
  await moveBatch(context, { objects, rows: [], targetFirst: true }, record, signal);
  const account = newAccount(shard.id);
  for (const column of forward.columns) {
    const ready = changes
      .filter((change) => change.column === column)
      .filter((change) => change.keys.every(({ sourceKey }) => isBack(objects.get(sourceKey))))
      .map((change) => change.change);
    await rewriteColumn(context, column, ready, account, signal);
  }
  for (const { change, column } of changes.filter(
    ({ keys }) => !keys.every(({ sourceKey }) => isBack(objects.get(sourceKey))),
  )) {
    account.tally.rows.failed++;
    account.details.push({
      row: change.primaryKey,
      column: column.facts.name,
      outcome: 'failed',
      error: { code: 'OBJECT_FAILED', message: 'an object that it named before is not back in its place' },
    });
  }
  record.add(account.tally, account.details, account.intents);
  await record.close(signal);
  const left = [...objects.values()].filter(
    ({ state }) => state === 'failed' || state === 'collision',
  ).length;
  if (left + account.tally.rows.failed > 0) {
    // The next undo tries the shard again.
    throw new LongshoreError(
      'OBJECT_FAILED',
      `${left + account.tally.rows.failed} objects and rows are not back`,
    );
  }
  return { outcome: emptyTally(), details: [] };
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
    if (column === undefined) {
      throw new LongshoreError(
        'CHECK_FAILED',
        `the run rewrote ${String(line['column'])}, which is not there now`,
        {
          hint: 'bring the column back, or put its rows back by hand from the report',
        },
      );
    }
    const oldValue = String(line['old']);
    const newValue = String(line['new']);
    // What the row names still, it named before: an object that was never moved.
    const kept = new Set(
      forward.finder.find(newValue, column.facts.within).map(({ sourceKey }) => sourceKey),
    );
    changes.push({
      column,
      change: {
        primaryKey: keyNow(column, line['row'] as string[], newValue),
        oldValue: newValue,
        newValue: oldValue,
      },
      keys: forward.finder
        .find(oldValue, column.facts.within)
        .filter(({ sourceKey }) => !kept.has(sourceKey)),
    });
  }
  return changes;
}

/** A delete shard for every shard that put something back and has none yet. */
function scheduleTakingAway(journal: Journal, nowMs: number): void {
  const last = Number(journal.getMeta('undoScheduledShard') ?? 0);
  const finished = [...journal.finished({ stage: 'undo-objects' })].filter(
    ({ id, state }) => state === 'done' && id > last,
  );
  if (journal.getMeta('undoScheduledMs') === undefined) journal.setMeta('undoScheduledMs', nowMs);
  journal.addShards(
    'undo-delete',
    1,
    finished.map(({ id }) => ({ shard: id })),
  );
  journal.setMeta('undoScheduledShard', Math.max(last, ...finished.map(({ id }) => id)));
}

/** What failed and was not put right by a later attempt counts. */
function summarizeUndo(journal: Journal, run: string): UndoSummary {
  const total = emptyTally();
  const failed = new Map<string, FailureLine>();
  let failedShards = 0;
  for (const stage of ['undo-objects', 'undo-delete']) {
    for (const shard of journal.finished({ stage })) {
      if (shard.state === 'failed') {
        failedShards++;
        continue;
      }
      const tally = shard.outcome as Tally;
      addTally(total, tally);
      const { objects, rows, deletes } = tally;
      const bad = objects.failed + objects.collision + rows.failed + deletes.refused;
      if (bad === 0 && failed.size === 0) continue;
      for (const line of journal.details(shard.id)) {
        const what = describeLine(line);
        const error = line['error'] as { code: string; message: string } | undefined;
        if (error === undefined) failed.delete(what);
        else failed.set(what, { what, ...error });
      }
    }
  }
  return {
    run,
    total,
    failures: Math.max(failed.size, failedShards),
    failed: [...failed.values()].slice(0, FAILURES_LISTED),
  };
}
