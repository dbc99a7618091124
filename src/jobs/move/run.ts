/**
 * Runs a move: lay out, then passes of copy and sweep until nothing is left to do, deletion after the grace period.
 *
 * States of a run, each in the journal: `laid out` (pass n) → shards done → deletion scheduled → deleted → next
 * pass. Killed anywhere, the next call goes on at the first thing that is not recorded.
 */

import type { RowChange } from '../../databases/database.ts';
import type { DetailLine, Journal, Shard } from '../../engine/journal.ts';
import { LocalEngine } from '../../engine/local-engine.ts';
import { DEFAULT_STATE_FOLDER, fingerprintOf, openRun } from '../../engine/run-folder.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { withRetry } from '../../flow/retry.ts';
import type { MoveContext, MoveScope } from './context.ts';
import { runCopyShard } from './copy-stage.ts';
import { type DeleteSpec, namedKeys, runDeleteShard } from './delete-stage.ts';
import type { MoveStage } from './events.ts';
import { laidOutByInventory } from './inventory.ts';
import { type CopySpec, layOut } from './lay-out.ts';
import { layOutPass } from './lay-out-pass.ts';
import { type MoveEnvironment, openScope } from './open-scope.ts';
import { writeReport } from './report.ts';
import { alreadyChanged, rowLine } from './rewrite-rows.ts';
import { runBatchCopies, sayUnusedBatch } from './s3-batch-stage.ts';
import { deletionGraceMs, type MoveOptions, type MoveSettings, resolveMoveOptions } from './settings.ts';
import { type MoveSummary, summarize } from './summary.ts';
import { runSweepShard, type SweepSpec, sweepShards } from './sweep-stage.ts';
import { addTally, changedAnything, emptyTally, onlyRacedRows, type Tally } from './tally.ts';

export interface MoveRunOptions extends MoveEnvironment {
  /** Where runs keep their journals. Default: `.longshore` in the working directory. */
  readonly stateFolder?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Moves objects and the rows that name them.
 *
 * May be called again after it failed, was aborted or its process died: it goes on where it stopped. Two calls for
 * the same move at once are refused.
 *
 * @param options what to move; see `docs/move.md`
 * @returns the summary; `summary.failures` is 0 when everything is where it should be
 * @throws {LongshoreError} CONFIG_INVALID, URL_INVALID, LOCATIONS_OVERLAP, RUN_LOCKED, TARGET_COLLISION,
 *   CHECK_FAILED and the errors of stores and databases
 * @example
 * ```ts
 * import { move } from 'longshore';
 * const summary = await move({
 *   from: 's3://legacy-s3/image/',
 *   to: 's3://production-s3/avatar/',
 *   rows: 'postgres://localhost/proddatabase#avatars.path',
 * });
 * ```
 */
export async function move(options: MoveOptions, run: MoveRunOptions = {}): Promise<MoveSummary> {
  const settings = resolveMoveOptions(options);
  const signal = run.signal ?? new AbortController().signal;
  const clock = run.clock ?? systemClock;
  const emit = run.emit ?? (() => undefined);
  await using opened = await openScope(settings, run, signal);
  const fingerprint = moveFingerprint(settings);
  const started = openRun(run.stateFolder ?? DEFAULT_STATE_FOLDER, 'move', fingerprint, clock.now());
  using journal = started.journal;
  if (!started.resumed) journal.setMeta('settings', redacted(settings));
  emit({ type: 'run-started', run: started.run, folder: journal.folder, resumed: started.resumed });
  const requestsBefore = opened.source.requests() + opened.target.requests();
  const context: MoveContext = { ...opened.scope, journal, engine: new LocalEngine(journal, clock) };
  await recoverIntents(context, signal);
  await new MoveRun(context, signal).run();
  const summary = summarize(context, {
    run: started.run,
    requests: opened.source.requests() + opened.target.requests() - requestsBefore,
  });
  writeReport(journal, summary);
  journal.transaction(() => {
    journal.setMeta('summary', summary);
    journal.setMeta('state', 'finished');
  });
  emit({ type: 'run-finished', tally: summary.total, seconds: summary.seconds });
  return summary;
}

/** What makes two calls the same move: where from, where to, which rows, by which rules. */
export function moveFingerprint(settings: MoveSettings): string {
  const { from, to, rules, urls, include, exclude } = settings;
  const rows = settings.rows.map(withoutPassword);
  return fingerprintOf('move', { from, to, rows, rules, urls, include, exclude });
}

/** The settings as the journal keeps them: without passwords. */
function redacted(settings: MoveSettings): MoveSettings {
  return { ...settings, rows: settings.rows.map(withoutPassword) };
}

/** A database URL without its password. */
export function withoutPassword(url: string): string {
  return url.replace(/^([a-z]+:\/\/[^:/@?#]*):[^@]*@/i, '$1@').replace(/([?&]password=)[^&#]*/gi, '$1');
}

/**
 * Row changes that were about to be committed when the process died: those that were, are recorded now, so that
 * undo knows them.
 */
async function recoverIntents(context: MoveContext, signal: AbortSignal): Promise<void> {
  const { journal } = context;
  for (const intent of journal.intents()) {
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
    const tally = emptyTally();
    tally.rows.rewritten = details.length;
    journal.transaction(() => {
      journal.dropIntent(intent.id);
      if (details.length > 0)
        journal.addFinished('recovered', 0, { intent: intent.id }, tally, details, context.clock.now());
    });
  }
}

const PASSES_MAX = 100;
/** Passes in a row in which rows changed under our hands, and nothing else was left to do. */
const RACED_PASSES_MAX = 5;
const FOLLOW_PAUSE_MS = 5000;
const SPECS_AT_ONCE = 256;
const SHARDS_AT_ONCE = { copy: 3, sweep: 3, delete: 4 } as const;

class MoveRun {
  readonly #context: MoveContext;
  readonly #signal: AbortSignal;

  constructor(context: MoveContext, signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { journal, settings, clock } = this.#context;
    let onlyRaced = 0;
    for (let pass = Number(journal.getMeta('pass') ?? 1); ; pass++) {
      journal.setMeta('pass', pass);
      // A pass that another process laid out knows nothing of what appeared since; it is never the last one.
      const laidOutBefore =
        Number(journal.getMeta('copyLaidOut') ?? journal.getMeta('sweepLaidOut') ?? 0) >= pass;
      const tally = await this.#pass(pass);
      this.#context.failpoint('after-pass');
      this.#scheduleDeletion(pass);
      this.#context.failpoint('after-schedule');
      const deleted = await this.#deleteWhatIsDue();
      // Rows that the database refuses to change keep naming their objects; another pass would not help them.
      const namedAgain = deleted.deletes.named > 0 && tally.rows.failed === 0;
      onlyRaced = onlyRacedRows(tally) ? onlyRaced + 1 : 0;
      const changed =
        (changedAnything(tally) && onlyRaced < RACED_PASSES_MAX) ||
        namedAgain ||
        deleted.deletes.changed > 0 ||
        laidOutBefore ||
        laidOutByInventory(this.#context, pass);
      if (changed && pass < PASSES_MAX) continue;
      if (settings.follow) {
        const untilMs = clock.now() + FOLLOW_PAUSE_MS;
        this.#context.emit({ type: 'waiting', forWhat: 'traffic', untilMs });
        await clock.wait(FOLLOW_PAUSE_MS, this.#signal);
        continue;
      }
      if (changed) {
        throw new LongshoreError('RUN_INCOMPLETE', `rows and objects still appear after ${pass} passes`, {
          hint: 'run with --follow, or let the application write to the new place first',
        });
      }
      if (drivenByRows(this.#context) && settings.orphans === 'report') await this.#reportOrphans(pass);
      return;
    }
  }

  /** One pass over objects and rows. @returns what it did, also before a restart */
  async #pass(pass: number): Promise<Tally> {
    const context = this.#context;
    context.emit({ type: 'pass-started', pass });
    const byRows = drivenByRows(context);
    if (!byRows) await this.#copyStage(pass);
    else if (pass === 1) sayUnusedBatch(context);
    if (context.columns.length > 0) await this.#sweepStage(pass);
    // Whatever the rows did not name is left in the source; listing it finds the orphans.
    if (byRows && context.settings.orphans === 'move') await this.#copyStage(pass);
    return this.#passTally(pass);
  }

  async #copyStage(pass: number): Promise<void> {
    await layOutPass(this.#context, pass, this.#signal);
    if (pass === 1) await runBatchCopies(this.#context, this.#signal);
    await this.#stage<CopySpec>('copy', pass, (spec, shard) =>
      runCopyShard(this.#context, spec, shard, this.#signal),
    );
  }

  async #sweepStage(pass: number): Promise<void> {
    const { journal } = this.#context;
    if (Number(journal.getMeta('sweepLaidOut') ?? 0) < pass) {
      await this.#retried(async () => {
        journal.dropShards('sweep', pass);
        const specs: SweepSpec[] = [];
        for await (const spec of sweepShards(this.#context, this.#signal)) {
          specs.push(spec);
          if (specs.length === SPECS_AT_ONCE) journal.addShards('sweep', pass, specs.splice(0));
        }
        journal.addShards('sweep', pass, specs);
      });
      journal.setMeta('sweepLaidOut', pass);
    }
    await this.#stage<SweepSpec>('sweep', pass, (spec, shard) =>
      runSweepShard(this.#context, spec, shard, this.#signal),
    );
  }

  async #stage<S>(
    stage: MoveStage & keyof typeof SHARDS_AT_ONCE,
    pass: number,
    execute: (
      spec: S,
      shard: Shard,
    ) => Promise<{ outcome: Tally; details: readonly Record<string, unknown>[] }>,
  ): Promise<void> {
    const { engine, journal, emit } = this.#context;
    const { open } = journal.counts(stage, pass);
    const objects = stage === 'copy' ? Number(journal.getMeta(`objects:${pass}`) ?? 0) : undefined;
    emit({ type: 'stage-started', stage, pass, shards: open, objects });
    await engine.run<S, Tally>(
      {
        stage,
        pass,
        concurrency: SHARDS_AT_ONCE[stage],
        execute,
        onFinished: (tally, shard) => {
          this.#context.failpoint('after-record');
          emit({
            type: 'shard-finished',
            stage,
            tally,
            objects: Number((shard.spec as CopySpec).objects ?? 0),
          });
        },
        onFailed: (error) => emit({ type: 'shard-failed', stage, message: messageOf(error) }),
        onRetry: (error) => emit({ type: 'retry', what: 'shard', message: messageOf(error) }),
      },
      this.#signal,
    );
  }

  /**
   * Where rows drive the move, what is left in the source at the end is what no row named. While nothing is deleted it
   * cannot be told from what was moved.
   */
  async #reportOrphans(pass: number): Promise<void> {
    const { journal, settings, clock } = this.#context;
    if (settings.delete === 'never') return;
    journal.dropShards('orphans', pass);
    await layOut(
      this.#context,
      { lookAtTarget: false },
      {
        onCollision: () => undefined,
        onShard: (spec, objects) => {
          const tally = emptyTally();
          tally.objects.orphan = objects.length;
          const details = objects.map(({ key, sizeBytes, etag }) => ({
            object: key,
            size: sizeBytes,
            etag,
            outcome: 'orphan',
          }));
          journal.transaction(() => journal.addFinished('orphans', pass, spec, tally, details, clock.now()));
        },
      },
      this.#signal,
    );
  }

  /** A delete shard for every shard of the pass that proved something. */
  #scheduleDeletion(pass: number): void {
    const { journal, settings } = this.#context;
    const grace = deletionGraceMs(settings);
    if (grace === undefined || Number(journal.getMeta('deletionScheduled') ?? 0) >= pass) return;
    const specs: DeleteSpec[] = [];
    let dueMs = 0;
    for (const shard of shardsOfPass(journal, pass)) {
      const tally = shard.outcome as Tally;
      if (tally.proofs === undefined) continue;
      if (tally.proofs.etag + tally.proofs.checksum + tally.proofs.bytes === 0) continue;
      specs.push({ shard: shard.id });
      dueMs = Math.max(dueMs, shard.finishedMs + grace);
    }
    if (this.#context.columns.length > 0 && settings.orphans === 'move') {
      dueMs = Math.max(dueMs, this.#context.clock.now() + settings.orphanGrace);
    }
    journal.addShards('delete', pass, specs);
    journal.transaction(() => {
      if (specs.length > 0) journal.setMeta(`deletionDueMs:${pass}`, dueMs);
      journal.setMeta('deletionScheduled', pass);
    });
  }

  /** Deletes after the grace period. Following, what is not due yet is left for later. */
  async #deleteWhatIsDue(): Promise<Tally> {
    const { journal, settings, clock, emit } = this.#context;
    const tally = emptyTally();
    const last = Number(journal.getMeta('deletionScheduled') ?? 0);
    let named: Set<string> | undefined;
    for (let pass = 1; pass <= last; pass++) {
      if (journal.counts('delete', pass).open === 0) continue;
      const dueMs = Number(journal.getMeta(`deletionDueMs:${pass}`) ?? 0);
      if (dueMs > clock.now()) {
        if (settings.follow) continue;
        emit({ type: 'waiting', forWhat: 'grace', untilMs: dueMs });
        await clock.wait(dueMs - clock.now(), this.#signal);
      }
      named = await this.#retried(() => namedKeys(this.#context, this.#signal));
      if (named === undefined) {
        emit({
          type: 'notice',
          text: 'too many rows still name the source: nothing is deleted before they are moved',
        });
        tally.deletes.named++;
        return tally;
      }
      const keys = named;
      await this.#stage<DeleteSpec>('delete', pass, (spec) =>
        runDeleteShard(this.#context, spec, keys, this.#signal),
      );
      for (const shard of journal.finished({ stage: 'delete', pass })) {
        if (shard.state === 'done') addTally(tally, shard.outcome as Tally);
      }
    }
    return tally;
  }

  /** Again, where the database or the store was away for a moment. */
  #retried<T>(operation: () => Promise<T>): Promise<T> {
    const { retry, clock, emit } = this.#context;
    return withRetry(operation, retry, {
      clock,
      signal: this.#signal,
      onRetry: (error) => emit({ type: 'retry', what: 'rows', message: messageOf(error) }),
    });
  }

  #passTally(pass: number): Tally {
    const tally = emptyTally();
    for (const shard of shardsOfPass(this.#context.journal, pass)) {
      if (shard.state === 'done') addTally(tally, shard.outcome as Tally);
    }
    return tally;
  }
}

/** Finished copy and sweep shards of a pass. */
function* shardsOfPass(journal: Journal, pass: number) {
  for (const stage of ['copy', 'sweep']) {
    for (const shard of journal.finished({ stage, pass })) {
      if (shard.state === 'done') yield shard;
    }
  }
}

/** Whether rows and not a listing of the bucket say what is moved. */
export function drivenByRows(scope: MoveScope): boolean {
  const { by } = scope.settings;
  if (by === 'rows') return true;
  if (by !== 'auto' || scope.columns.length === 0) return false;
  // Without an index every batch would read the whole table to find its rows.
  return !scope.columns.every((column) => column.facts.indexed && column.facts.within === 'value');
}
