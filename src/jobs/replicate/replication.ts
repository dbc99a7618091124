/**
 * One attempt at a replication into files: checks what it needs, loads what is not loaded, follows what changes. It begins
 * from what is in the bucket, and may be made again after it failed, was stopped or its process died.
 */

import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import {
  checkServer,
  dropReplication,
  type ServerFacts,
  type SlotState,
  slotState,
} from '../../databases/postgres/replication-setup.ts';
import { partitionRoots, readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { begin, wasBegun } from './beginning.ts';
import { dropPending, readPending } from './epoch.ts';
import { follow } from './follow.ts';
import type { FullLoad } from './full-load.ts';
import {
  checkAttached,
  checkCheckpoint,
  checkPublication,
  checkTables,
  otherLog,
  withSource,
} from './job-checks.ts';
import { lockJob } from './job-lock.ts';
import { noteError } from './job-notes.ts';
import { JobTables } from './job-tables.ts';
import type { LakeJob } from './lake-job.ts';
import { LakeLanding } from './lake-landing.ts';
import { clearLoad, finishLoad, landLoad, loadTables } from './lake-load.ts';
import { LoadLedger, type LoadPlan } from './load-ledger.ts';
import { type Manifest, newestManifest } from './manifest.ts';
import { addedTables, removedTables } from './membership.ts';
import { probeTarget } from './probe-target.ts';
import { isSameLog, needsComparison } from './same-log.ts';
import { tableFilter } from './table-filter.ts';
import { TableRegistry } from './table-registry.ts';
import { checkFolder, lastLoadNumber } from './void-files.ts';
import type { WalWatch } from './wal-watch.ts';

/** An epoch is landed when the changes of so many files are gathered. */
const EPOCH_FILES = 4;

export class Replication {
  readonly #job: LakeJob;
  readonly #tables: JobTables;
  #resync: (table: SourceTable) => boolean;
  /** Whether the job has landed anything. */
  #begun = false;

  constructor(job: LakeJob) {
    this.#job = job;
    this.#tables = new JobTables(job);
    const { resync } = job.settings;
    this.#resync = resync === undefined || job.totals.resynced ? () => false : tableFilter(resync);
  }

  /** @returns the newest manifest of the replica */
  async run(): Promise<Manifest> {
    try {
      return await this.#run();
    } catch (error) {
      await this.#noteError(error);
      throw error;
    }
  }

  /** For `status`; only of a job that has something, and not of a stop or of a second process. */
  async #noteError(error: unknown): Promise<void> {
    const isStop = this.#job.surroundings.signal.aborted;
    if (isStop || !this.#begun || isLocked(error)) return;
    try {
      await noteError(this.#job.place, error, this.#job.nowMs(), this.#job.surroundings.signal);
    } catch (noting) {
      this.#job.notice(`the error is not noted in the bucket: ${messageOf(noting)}`);
    }
  }

  async #run(): Promise<Manifest> {
    const { follows, settings } = this.#job;
    const facts = await this.#job.facts();
    const there = follows
      ? await this.#job.asked('list slots', (client) => slotState(client, this.#job.slot))
      : undefined;
    // A slot that is ours already is not another one.
    checkServer(
      there === undefined ? facts : { ...facts, slotsFree: facts.slotsFree + 1 },
      this.#job.url.name,
      follows,
    );
    await this.#job.asked('lock the job', (client) => lockJob(client, this.#job.slot));
    const before = await newestManifest(this.#job.place, this.#job.surroundings.signal);
    const slot = follows ? await this.#job.idleSlot() : undefined;
    const caughtUp = (await this.#job.sink?.catchUp(before)) ?? 0;
    let checkpoint: Manifest;
    if (before === undefined) checkpoint = await this.#begin(facts, slot);
    else if (!follows && caughtUp > 0) {
      // The load that died was whole but for that.
      await finishLoad(this.#job, before);
      checkpoint = before;
    } else {
      this.#begun = true;
      checkCheckpoint(before, {
        settings,
        url: this.#job.url.name,
        slotName: this.#job.slot,
        facts,
        slot,
      });
      await this.#checkLog(before, slot);
      checkpoint = await this.#continue(facts, before, slot);
    }
    if (follows) {
      const until = settings.untilCaughtUp
        ? (await this.#job.facts('tell where its log ends')).walLsn
        : undefined;
      checkpoint = await this.#follow(facts, checkpoint, until);
    }
    return checkpoint;
  }

  /** @throws CHECK_FAILED where the server was set back, and writes another log since than the one of the files */
  async #checkLog(before: Manifest, slot: SlotState | undefined): Promise<void> {
    const confirmed = slot?.confirmedLsn;
    if (confirmed === undefined || this.#job.settings.resync?.includes('*.*') === true) return;
    if (!needsComparison(before, confirmed)) return;
    const { clock, signal } = this.#job.surroundings;
    const same = await this.#job.within('compare its log with the files', async () => {
      await using session = await this.#job.session('compare its log with the files', true);
      return await isSameLog(session, this.#job.slot, confirmed, before, () => clock.now(), signal);
    });
    await this.#job.idleSlot();
    if (!same) throw otherLog(this.#job.url.name, confirmed);
  }

  /** The full load, or without one the place from which changes are followed. */
  async #begin(facts: ServerFacts, slot: SlotState | undefined): Promise<Manifest> {
    const { follows, settings } = this.#job;
    const { signal } = this.#job.surroundings;
    const died = await wasBegun(this.#job.place, signal);
    if (slot?.elsewhere !== undefined) {
      throw new LongshoreError(
        'CHECK_FAILED',
        `the slot ${this.#job.slot} is of the database ${slot.elsewhere} of the same server`,
        { hint: 'give the job another --name' },
      );
    }
    if (slot !== undefined && !died) {
      throw new LongshoreError(
        'CHECK_FAILED',
        `the slot ${this.#job.slot} is there, and no files of the job ${settings.name}`,
        {
          hint: '`longshore replicate drop` takes it away, if nobody else uses it',
        },
      );
    }
    const tables = await this.#tables.chosen();
    checkTables(tables, settings, this.#job.url.name);
    await this.#job.sink?.check(tables);
    if (follows) await this.#checkReplication();
    await probeTarget(this.#job.place, signal);
    const ledger = new LoadLedger(this.#job.place, 0);
    let plan = died ? await ledger.plan(signal) : undefined;
    const slotServes = !follows || (slot !== undefined && !slot.lost);
    if (plan !== undefined && (plan.systemId !== facts.systemId || !slotServes)) plan = undefined;
    if (died) {
      const text =
        plan === undefined
          ? 'a start before this one died: what it made is cleared away'
          : 'a full load before this one died: it is gone on with';
      this.#job.notice(text);
    }
    if (plan === undefined) {
      if (died) await clearLoad(this.#job, ledger);
      await begin(this.#job.place, facts.systemId, tables, signal);
    }
    try {
      const publication = follows ? await this.#job.publish(facts, plannedOf(tables, plan)) : undefined;
      const load = await loadTables(this.#job, {
        facts,
        ledger,
        plan,
        tables,
        publication,
        newSlot: follows,
        toLsn: undefined,
        filesBefore: new Map(),
      });
      const manifest = await landLoad(this.#job, facts, undefined, load, publication, ledger);
      this.#begun = true;
      return manifest;
    } catch (error) {
      // Where another process has the job, what is there is its own.
      if (!isLocked(error)) await this.#afterFailedLoad(ledger);
      throw error;
    }
  }

  /** Of a start that failed nothing is left; of a load that got somewhere, what the next one goes on with. */
  async #afterFailedLoad(ledger: LoadLedger): Promise<void> {
    try {
      const some = await ledger.done(new AbortController().signal);
      if (some.length > 0) {
        this.#job.notice('the same command goes on with what is not loaded yet');
        return;
      }
      await clearLoad(this.#job, ledger);
    } catch (error) {
      // The failure itself is what is thrown; the next start clears away what this could not.
      this.#job.notice(`what the start made is not cleared away: ${messageOf(error)}`);
    }
  }

  /** What was added to the job and removed from it since its newest manifest; and tables that are to be loaded again. */
  async #continue(facts: ServerFacts, before: Manifest, slot: SlotState | undefined): Promise<Manifest> {
    const { signal } = this.#job.surroundings;
    await finishLoad(this.#job, before);
    // A publication that was away is not there for the log of then.
    let newSlot =
      slot === undefined ||
      slot.lost ||
      (this.#job.settings.resync?.includes('*.*') === true && !this.#job.totals.resynced);
    let checkpoint = await this.#landPending(facts, before, newSlot);
    if (this.#job.surroundings.membersOnly) return checkpoint;
    for (;;) {
      const tables = await this.#tables.fit(checkpoint);
      if (tables.length === 0) {
        throw new LongshoreError('CHECK_FAILED', `no table of the job ${this.#job.settings.name} is left`, {
          hint: '`longshore replicate drop` ends it; its files stay',
        });
      }
      const isAgain = (table: SourceTable): boolean =>
        this.#resync(table) || this.#job.sink?.needsAgain(table) === true;
      const added = addedTables(checkpoint.tables, tables, isAgain);
      const removed = removedTables(checkpoint.tables, tables, isAgain);
      const stay = new Set(tables.filter((table) => !added.includes(table)).map(({ oid }) => oid));
      const published = await this.#job.publication();
      if (stay.size > 0) checkPublication(this.#job.slot, checkpoint, published, stay);
      if (removed.length > 0) {
        const left = removed.map(({ oid }) => oid);
        const roots = await this.#job.asked('list partitions', (client) => partitionRoots(client, left));
        checkAttached(
          removed,
          roots,
          tables.filter(({ oid }) => stay.has(oid)),
        );
      }
      const ledger = new LoadLedger(this.#job.place, checkpoint.epoch + 1);
      let plan = await ledger.plan(signal);
      if (added.length === 0 && removed.length === 0 && plan === undefined)
        return withSource(checkpoint, facts.databaseOid, published!);
      for (const table of added) await checkFolder(this.#job.place, table, plan, signal);
      if (newSlot)
        await this.#job.asked('drop the slot', (client) =>
          dropReplication(client, this.#job.slot, this.#job.slot),
        );
      if (plan !== undefined && (newSlot || !sameTables(plan, added))) {
        for (const table of plan.tables) await ledger.abandon(table, signal);
        await ledger.close(signal);
        plan = undefined;
      }
      const publication = await this.#job.publish(facts, tables);
      const { walLsn } = await this.#job.facts('tell where its log ends');
      let load: FullLoad | undefined;
      if (added.length > 0) {
        load = await loadTables(this.#job, {
          facts,
          ledger,
          plan,
          tables: added,
          publication,
          newSlot,
          toLsn: newSlot ? undefined : parseLsn(checkpoint.toLsn),
          filesBefore: await this.#filesBefore(added),
        });
      }
      checkpoint = await landLoad(
        this.#job,
        facts,
        { checkpoint, added, removed, lsn: formatLsn(walLsn) },
        load,
        publication,
        ledger,
      );
      newSlot = false;
      this.#resync = () => false;
      this.#job.totals.resynced = true;
    }
  }

  /** The highest number of a file of a full load in each folder. */
  async #filesBefore(tables: readonly SourceTable[]): Promise<Map<number, number>> {
    const { signal } = this.#job.surroundings;
    const found = new Map<number, number>();
    for (const table of tables) {
      found.set(table.oid, await lastLoadNumber(this.#job.place, table, signal));
    }
    return found;
  }

  async #follow(facts: ServerFacts, from: Manifest, until: Lsn | undefined): Promise<Manifest> {
    using watch = this.#job.watchWal();
    try {
      for (let checkpoint = from; ; ) {
        const { end, landed } = await this.#followFrom(facts, checkpoint, until, watch);
        if (end === 'reached' && this.#job.sink?.needsSome !== true) return landed;
        checkpoint = await this.#continue(facts, landed, await this.#job.idleSlot());
      }
    } catch (error) {
      if (watch.limitReached && this.#job.settings.walLimitAction === 'drop')
        await dropReplication(this.#job.control.client, this.#job.slot, this.#job.slot);
      throw error;
    }
  }

  /** Follows behind a manifest, until everything up to a place is landed or other tables are those of the job. */
  async #followFrom(
    facts: ServerFacts,
    checkpoint: Manifest,
    until: Lsn | undefined,
    watch: WalWatch,
  ): Promise<{ end: 'reached' | 'asked'; landed: Manifest }> {
    const { every, maxFileSize } = this.#job.settings;
    const { clock, signal, failpoint } = this.#job.surroundings;
    const tables = await this.#job.asked('list its tables', (client) => readTables(client));
    await using landing = new LakeLanding({
      settings: this.#job.settings,
      checkpoint,
      place: this.#job.place,
      target: this.#job.target,
      registry: new TableRegistry(this.#job.control.client, tables, this.#job.slot),
      checkOurs: (epoch) => this.#job.checkOurs(epoch),
      sink: this.#job.sink,
      failpoint,
    });
    await using replication = await this.#job.session('follow the change stream', true);
    // A server that stops waits for those who follow it; that it stops can be seen on any other session.
    const lost = new AbortController();
    const onEnd = (): void =>
      lost.abort(
        new LongshoreError('DATABASE_UNREACHABLE', `the server of ${this.#job.url.name} ended a session`, {
          hint: 'check that it runs and can be reached',
        }),
      );
    this.#job.control.client.once('end', onEnd);
    const end = await this.#job
      .within('follow the change stream', () =>
        follow(
          replication,
          {
            slot: this.#job.slot,
            publication: this.#job.slot,
            version: facts.version,
            fromLsn: parseLsn(checkpoint.toLsn),
            tables: checkpoint.tables,
            landing,
            every,
            epochBytes: EPOCH_FILES * maxFileSize,
            until,
            shouldEnd: async () =>
              this.#job.sink?.needsSome === true || (await this.#tables.changed(checkpoint)),
            folder: this.#job.target.folder,
            emit: this.#job.emit,
            failpoint,
            clock,
          },
          AbortSignal.any([signal, watch.signal, lost.signal]),
        ),
      )
      .finally(() => this.#job.control.client.off('end', onEnd));
    return { end, landed: landing.checkpoint };
  }

  /** What a process that died was landing: landed as it was begun, before anything else gets the number of its epoch. */
  async #landPending(facts: ServerFacts, checkpoint: Manifest, newSlot: boolean): Promise<Manifest> {
    const pending = await readPending(this.#job.place, checkpoint.epoch + 1, this.#job.surroundings.signal);
    if (pending === undefined) return checkpoint;
    if (newSlot) {
      await dropPending(this.#job.place, pending, this.#job.surroundings.signal);
      return checkpoint;
    }
    using watch = this.#job.watchWal();
    const { landed } = await this.#followFrom(facts, checkpoint, parseLsn(pending.toLsn), watch);
    return landed;
  }

  /** Whether the server itself is spoken to: what pools connections for it may not pass replication on. */
  async #checkReplication(): Promise<void> {
    const session = await this.#job.session('open a replication connection', true);
    await session[Symbol.asyncDispose]();
  }
}

function isLocked(error: unknown): boolean {
  return error instanceof LongshoreError && error.code === 'RUN_LOCKED';
}

/** Those of a load that died, where there is one; else all. */
function plannedOf(tables: readonly SourceTable[], plan: LoadPlan | undefined): readonly SourceTable[] {
  if (plan === undefined) return tables;
  const oids = new Set(plan.tables.map(({ table }) => table.oid));
  return tables.filter(({ oid }) => oids.has(oid));
}

function sameTables({ tables }: LoadPlan, added: readonly SourceTable[]): boolean {
  const oids = new Set(added.map(({ oid }) => oid));
  return tables.every(({ table }) => oids.has(table.oid));
}
