/**
 * Deletions of a run: scheduled pass by pass, done when their grace period is over.
 *
 * States of a pass, each in the journal: scheduled → due → its shards done → what was not deleted, because it changed
 * meanwhile, is handed to a later pass.
 */

import type { Journal } from '../../engine/journal.ts';
import type { MoveContext } from './context.ts';
import type { DeleteSpec } from './delete-stage.ts';
import type { KeysSpec } from './lay-out.ts';
import { deletionGraceMs } from './settings.ts';
import { addTally, emptyTally, type Tally } from './tally.ts';

const KEYS_A_SHARD = 1000;

export class Deletions {
  readonly #context: MoveContext;

  constructor(context: MoveContext) {
    this.#context = context;
  }

  /** A delete shard for every shard of the pass that proved something. */
  schedule(pass: number): void {
    const { journal, settings, clock } = this.#context;
    if (deletionGraceMs(settings) === undefined || this.#lastScheduled >= pass) return;
    const specs: DeleteSpec[] = [];
    let provenMs = 0;
    for (const shard of shardsOfPass(journal, pass)) {
      const { proofs } = shard.outcome as Tally;
      if (proofs === undefined || proofs.etag + proofs.checksum + proofs.bytes === 0) continue;
      specs.push({ shard: shard.id });
      provenMs = Math.max(provenMs, shard.finishedMs);
    }
    // Killed in between, the next call schedules the pass again.
    journal.dropShards('delete', pass);
    journal.addShards('delete', pass, specs);
    journal.transaction(() => {
      if (specs.length > 0) {
        journal.setMeta(`deletionProvenMs:${pass}`, provenMs);
        journal.setMeta(`deletionScheduledMs:${pass}`, clock.now());
        journal.setMeta(`deletionDueMs:${pass}`, this.dueMs(pass));
      }
      journal.setMeta('deletionScheduled', pass);
    });
  }

  /** Passes whose shards are not all done. */
  *open(): Generator<number> {
    const { journal } = this.#context;
    for (let pass = Number(journal.getMeta('deletedUpTo') ?? 0) + 1; pass <= this.#lastScheduled; pass++) {
      const { open, failed } = journal.counts('delete', pass);
      if (open + failed > 0) yield pass;
    }
  }

  /** When objects of the pass may go, by the grace period of now, which may be another than that of the start. */
  dueMs(pass: number): number {
    const { journal, settings, columns } = this.#context;
    const provenMs = Number(journal.getMeta(`deletionProvenMs:${pass}`) ?? 0);
    const dueMs = provenMs + (deletionGraceMs(settings) ?? 0);
    if (columns.length === 0 || settings.orphans !== 'move') return dueMs;
    return Math.max(
      dueMs,
      Number(journal.getMeta(`deletionScheduledMs:${pass}`) ?? 0) + settings.orphanGrace,
    );
  }

  /** What the shards of a pass did. */
  tallyOf(pass: number): Tally {
    const tally = emptyTally();
    for (const shard of this.#context.journal.finished({ stage: 'delete', pass })) {
      if (shard.state === 'done') addTally(tally, shard.outcome as Tally);
    }
    return tally;
  }

  /** Tries again what the store refused to delete when the run ended before. */
  reopenRefused(): void {
    const { journal } = this.#context;
    const refused = [...journal.finished({ stage: 'delete' })].filter(
      ({ state, outcome }) => state === 'done' && (outcome as Tally).deletes.refused > 0,
    );
    for (const { id } of refused) journal.reopen(id);
    if (refused.length > 0) journal.setMeta('deletedUpTo', 0);
  }

  /**
   * Gives what changed before it could be deleted to a pass. A listing finds it by itself; rows do not, because they
   * name the target already.
   */
  requeueChanged(pass: number): void {
    const { journal } = this.#context;
    for (let from = Number(journal.getMeta('deletedUpTo') ?? 0) + 1; from <= this.#lastScheduled; from++) {
      const { open, failed } = journal.counts('delete', from);
      if (open + failed > 0) return;
      const keys = new Set<string>();
      for (const shard of journal.finished({ stage: 'delete', pass: from })) {
        if ((shard.outcome as Tally).deletes.changed === 0) continue;
        for (const { object, outcome } of journal.details(shard.id)) {
          if (outcome === 'changed' && typeof object === 'string') keys.add(object);
        }
      }
      const all = [...keys];
      const specs: KeysSpec[] = [];
      for (let at = 0; at < all.length; at += KEYS_A_SHARD) {
        const some = all.slice(at, at + KEYS_A_SHARD);
        specs.push({ keys: some, prefix: '', objects: some.length, bytes: 0 });
      }
      journal.addShards('copy', pass, specs);
      journal.setMeta('deletedUpTo', from);
    }
  }

  get #lastScheduled(): number {
    return Number(this.#context.journal.getMeta('deletionScheduled') ?? 0);
  }
}

/** Finished copy and sweep shards of a pass. */
export function* shardsOfPass(journal: Journal, pass: number) {
  for (const stage of ['copy', 'sweep']) {
    for (const shard of journal.finished({ stage, pass })) {
      if (shard.state === 'done') yield shard;
    }
  }
}
