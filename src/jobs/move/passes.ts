/**
 * The passes of a run: copy and sweep, then the deletions that are due, until a pass finds nothing to do.
 *
 * States, each in the journal: pass n laid out → its shards done → deletion scheduled → deleted → next pass. Killed
 * anywhere, the next call goes on at the first thing that is not recorded.
 */

import type { Shard } from '../../engine/journal.ts';
import { isRetryable, messageOf } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import { checkNamedTargets } from './check-rows.ts';
import type { MoveContext, MoveScope } from './context.ts';
import { runCopyShard } from './copy-stage.ts';
import { type DeleteSpec, runDeleteShard } from './delete-stage.ts';
import { Deletions, shardsOfPass } from './deletions.ts';
import type { MoveStage } from './events.ts';
import { laidOutByInventory } from './inventory.ts';
import { type CopySpec, layOut } from './lay-out.ts';
import { layOutPass } from './lay-out-pass.ts';
import { NamedKeys, namedKeys } from './named-keys.ts';
import { runBatchCopies, sayUnusedBatch } from './s3-batch-stage.ts';
import { runSweepShard, type SweepSpec, sweepShards } from './sweep-stage.ts';
import { addTally, changedAnything, emptyTally, onlyRacedRows, type Tally } from './tally.ts';

const PASSES_MAX = 100;
/** Passes in a row in which nothing was left to do but rows that change, or name objects, again and again. */
const VAIN_PASSES_MAX = 3;
const FOLLOW_PAUSE_MS = 5000;
const SPECS_AT_ONCE = 256;
const SHARDS_AT_ONCE = { copy: 3, sweep: 3, delete: 4 } as const;

export class Passes {
  readonly #context: MoveContext;
  readonly #signal: AbortSignal;
  readonly #deletions: Deletions;

  constructor(context: MoveContext, signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
    this.#deletions = new Deletions(context);
  }

  /** @returns whether it came to an end; else rows and objects appear faster than they are moved */
  async run(): Promise<boolean> {
    const { journal, settings } = this.#context;
    this.#deletions.reopenRefused();
    let vain = 0;
    let pass = Number(journal.getMeta('pass') ?? 1);
    for (let turns = 1; ; turns++) {
      journal.setMeta('pass', pass);
      // A pass that another process laid out knows nothing of what appeared since; it is never the last one.
      const laidOutBefore =
        Number(journal.getMeta('copyLaidOut') ?? journal.getMeta('sweepLaidOut') ?? 0) >= pass;
      const done = await this.#passAndDeletions(pass);
      if (done === undefined) continue;
      const { tally, deleted } = done;
      // Rows that the database refuses to change keep naming their objects; another pass would not help them.
      const named = deleted.deletes.named > 0 && tally.rows.failed === 0;
      vain = onlyRacedRows(tally) || (named && !changedAnything(tally)) ? vain + 1 : 0;
      const again =
        ((changedAnything(tally) || named) && vain < VAIN_PASSES_MAX) ||
        deleted.deletes.changed > 0 ||
        laidOutBefore ||
        laidOutByInventory(this.#context, pass);
      if (!again && !settings.follow) {
        if (drivenByRows(this.#context) && settings.orphans === 'report') await this.#reportOrphans(pass);
        return true;
      }
      pass++;
      if (again && turns < PASSES_MAX) continue;
      if (!settings.follow) return false;
      await this.#pause();
    }
  }

  /** @returns undefined where a follower met with something that may pass: the same pass goes on */
  async #passAndDeletions(pass: number): Promise<{ tally: Tally; deleted: Tally } | undefined> {
    const { settings, emit, failpoint } = this.#context;
    try {
      const tally = await this.#pass(pass);
      failpoint('after-pass');
      this.#deletions.schedule(pass);
      failpoint('after-schedule');
      return { tally, deleted: await this.#deleteWhatIsDue() };
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!settings.follow || !isRetryable(error)) throw error;
      emit({ type: 'notice', text: `following goes on after: ${messageOf(error)}` });
      await this.#pause();
      return undefined;
    }
  }

  async #pause(): Promise<void> {
    const { clock, emit } = this.#context;
    emit({ type: 'waiting', forWhat: 'traffic', untilMs: clock.now() + FOLLOW_PAUSE_MS });
    await clock.wait(FOLLOW_PAUSE_MS, this.#signal);
  }

  /** One pass over objects and rows. @returns what it did, also before a restart */
  async #pass(pass: number): Promise<Tally> {
    const context = this.#context;
    context.emit({ type: 'pass-started', pass });
    const byRows = drivenByRows(context);
    if (!byRows) await this.#copyStage(pass);
    else {
      if (pass === 1) await this.#lookAtRowsFirst();
      if (context.settings.orphans !== 'move') {
        this.#deletions.requeueChanged(pass);
        if (context.journal.counts('copy', pass).open > 0) await this.#copyShards(pass);
      }
    }
    if (context.columns.length > 0) await this.#sweepStage(pass);
    // Whatever the rows did not name is left in the source; listing it finds the orphans.
    if (byRows && context.settings.orphans === 'move') await this.#copyStage(pass);
    const tally = emptyTally();
    for (const shard of shardsOfPass(context.journal, pass)) addTally(tally, shard.outcome as Tally);
    return tally;
  }

  async #lookAtRowsFirst(): Promise<void> {
    const { journal, settings } = this.#context;
    sayUnusedBatch(this.#context);
    if (settings.collisions !== 'stop' || journal.getMeta('namedTargetsChecked') === true) return;
    await this.#retried(() => checkNamedTargets(this.#context, this.#signal));
    journal.setMeta('namedTargetsChecked', true);
  }

  async #copyStage(pass: number): Promise<void> {
    await this.#retried(() => layOutPass(this.#context, pass, this.#signal));
    if (pass === 1) await runBatchCopies(this.#context, this.#signal);
    await this.#copyShards(pass);
  }

  async #copyShards(pass: number): Promise<void> {
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
    const { open, failed } = journal.counts(stage, pass);
    const objects = stage === 'copy' ? Number(journal.getMeta(`objects:${pass}`) ?? 0) : undefined;
    emit({ type: 'stage-started', stage, pass, shards: open + failed, objects });
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

  /** Deletes after the grace period. Following, what is not due yet is left for later. */
  async #deleteWhatIsDue(): Promise<Tally> {
    const { settings, clock, emit } = this.#context;
    const tally = emptyTally();
    for (const pass of this.#deletions.open()) {
      const dueMs = this.#deletions.dueMs(pass);
      if (dueMs > clock.now()) {
        if (settings.follow) continue;
        emit({ type: 'waiting', forWhat: 'grace', untilMs: dueMs });
        await clock.wait(dueMs - clock.now(), this.#signal);
      }
      const named = new NamedKeys(this.#context, this.#signal);
      if ((await this.#retried(() => named.current())) === undefined) {
        emit({
          type: 'notice',
          text: 'too many rows still name the source: nothing is deleted before they are moved',
        });
        tally.deletes.named++;
        return tally;
      }
      await this.#stage<DeleteSpec>('delete', pass, (spec) =>
        runDeleteShard(this.#context, spec, named, this.#signal),
      );
      addTally(tally, this.#deletions.tallyOf(pass));
    }
    return tally;
  }

  /**
   * Where rows drive the move, what is left in the source at the end and not named is what no row named. While nothing
   * is deleted it cannot be told from what was moved.
   */
  async #reportOrphans(pass: number): Promise<void> {
    const { settings, emit } = this.#context;
    if (settings.delete === 'never') return;
    const named = await this.#retried(() => namedKeys(this.#context, this.#signal));
    if (named === undefined) {
      emit({ type: 'notice', text: 'too many rows still name the source to tell what no row names' });
      return;
    }
    await this.#retried(() => this.#listOrphans(pass, named));
  }

  async #listOrphans(pass: number, named: ReadonlySet<string>): Promise<void> {
    const { journal, clock } = this.#context;
    journal.dropShards('orphans', pass);
    await layOut(
      this.#context,
      { lookAtTarget: false },
      {
        onCollision: () => undefined,
        onShard: (spec, objects) => {
          const orphans = objects.filter(({ key }) => !named.has(key));
          const tally = emptyTally();
          tally.objects.orphan = orphans.length;
          const details = orphans.map(({ key, sizeBytes, etag }) => ({
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

  /** Again, where the database or the store was away for a moment. */
  #retried<T>(operation: () => Promise<T>): Promise<T> {
    const { retry, clock, emit } = this.#context;
    return withRetry(operation, retry, {
      clock,
      signal: this.#signal,
      onRetry: (error) => emit({ type: 'retry', what: 'rows', message: messageOf(error) }),
    });
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
