/**
 * One attempt at a replication into files: checks what it needs, loads what is not loaded, follows what changes. It begins
 * from what is in the bucket, and may be made again after it failed, was stopped or its process died.
 */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { parseReplicaUrl } from '../../config/replica-url.ts';
import { folderPrefix } from '../../config/store-url.ts';
import { type Doing, postgresError } from '../../databases/postgres/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import {
  checkServer,
  dropReplication,
  openTransactions,
  type Problem,
  type Publication,
  readPublication,
  type ServerFacts,
  type SlotState,
  serverFacts,
  setPublication,
  slotState,
} from '../../databases/postgres/replication-setup.ts';
import {
  listTables,
  partitionRoots,
  readTables,
  type SourceTable,
} from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { monotonicMs } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { begin, unbegin, wasBegun } from './beginning.ts';
import { dropPending, readPending } from './epoch.ts';
import type { ReplicateListener } from './events.ts';
import { follow } from './follow.ts';
import { type FullLoad, fullLoad, type LoadTarget, loadOfNothing } from './full-load.ts';
import { idleSlot } from './idle-slot.ts';
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
import { LakeLanding } from './lake-landing.ts';
import { heapBytes } from './load-chunks.ts';
import { LoadLedger, type LoadPlan } from './load-ledger.ts';
import { LoadThreads } from './load-threads.ts';
import { type Manifest, type ManifestPlace, newestManifest, writeManifest } from './manifest.ts';
import type { ManifestSink } from './manifest-sink.ts';
import { addedTables, keptTables, type Membership, membershipEvents, removedTables } from './membership.ts';
import { probeTarget } from './probe-target.ts';
import { isSameLog, needsComparison } from './same-log.ts';
import type { ReplicateSettings } from './settings.ts';
import { type HeldSnapshot, snapshotHeldElsewhere, snapshotOfNow, snapshotOfSlot } from './snapshot.ts';
import { endHolders, startHolder } from './snapshot-holder.ts';
import { counted } from './statistics.ts';
import { databaseOf, type Surroundings, slotOf, temporarySlotOf } from './surroundings.ts';
import { tableFilter, unmatched } from './table-filter.ts';
import { distinctTables, tableProblem } from './table-problems.ts';
import { TableRegistry } from './table-registry.ts';
import { openTemporaryFolder } from './temporary-folder.ts';
import { sourceCatalogue } from './to-duckdb/source-catalogue.ts';
import { makeStaging, Warehouse } from './to-duckdb/warehouse.ts';
import { checkFolder, deleteVoidFiles, lastLoadNumber } from './void-files.ts';
import { WalWatch } from './wal-watch.ts';

/** Of a process, which may make several attempts. */
export interface Totals {
  loaded: { readonly rows: number; readonly files: number; readonly bytes: number };
  changes: number;
  /** Whether the tables that were to be loaded again are. */
  resynced: boolean;
}

/** A smaller full load is not worth a process that holds its snapshot. */
const KEPT_BYTES_MIN = 64 * 1024 ** 2;
/** An epoch is landed when the changes of so many files are gathered. */
const EPOCH_FILES = 4;
/** When it is told what a slot that is made waits for. */
const SLOT_TELL_MS = 5_000;

export class Replication {
  readonly #settings: ReplicateSettings;
  readonly #environment: Surroundings;
  readonly #emit: ReplicateListener;
  readonly #url: DatabaseUrl;
  readonly #slot: string;
  /** For the catalogue, and for values that updates leave out. */
  readonly #control: Session;
  readonly #place: ManifestPlace;
  readonly #target: LoadTarget;
  #sink: ManifestSink | undefined;
  /** Oids of tables that appeared and cannot be replicated; each is told once. */
  readonly #unfit = new Set<number>();
  #resync: (table: SourceTable) => boolean;
  /** Whether the job has landed anything. */
  #begun = false;
  readonly #totals: Totals;

  private constructor(
    settings: ReplicateSettings,
    surroundings: Surroundings,
    totals: Totals,
    url: DatabaseUrl,
    control: Session,
    target: LoadTarget,
  ) {
    this.#settings = settings;
    this.#environment = surroundings;
    this.#totals = totals;
    this.#emit = (event) => {
      if (event.type === 'epoch-landed') totals.changes += event.changes;
      surroundings.emit(event);
    };
    this.#url = url;
    this.#slot = slotOf(settings);
    this.#control = control;
    this.#place = { store: target.store, prefix: target.prefix, job: settings.name };
    this.#target = target;
    const { resync } = settings;
    this.#resync = resync === undefined || totals.resynced ? () => false : tableFilter(resync);
  }

  static async open(
    settings: ReplicateSettings,
    surroundings: Surroundings,
    totals: Totals,
    applies: boolean,
    stack: AsyncDisposableStack,
  ): Promise<Replication> {
    const { env, clock } = surroundings;
    const url = databaseOf(settings, env);
    const { store: to, duckdb } = parseReplicaUrl(settings.to);
    if (duckdb !== undefined) makeStaging(duckdb);
    const { store } = stack.use(await openStore(to, { env, clock }));
    const { path: folder } = stack.use(openTemporaryFolder());
    const doing = {
      action: `read the catalogue of ${url.name}`,
      database: url.name,
      user: url.connection.user,
    };
    const control = stack.use(await openSession(url.connection, { doing }));
    const replication = new Replication(settings, surroundings, totals, url, control, {
      store,
      prefix: folderPrefix(to.prefix),
      folder,
      transient: duckdb !== undefined,
    });
    if (duckdb !== undefined && applies) {
      replication.#sink = await Warehouse.make({
        path: duckdb,
        settings,
        place: replication.#place,
        source: sourceCatalogue(control.client),
        notice: (text) => replication.#emit({ type: 'notice', text }),
        ...surroundings,
      });
    }
    return replication;
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
    const isStop = this.#environment.signal.aborted;
    if (isStop || !this.#begun || (error instanceof LongshoreError && error.code === 'RUN_LOCKED')) return;
    try {
      await noteError(this.#place, error, this.#nowMs(), this.#environment.signal);
    } catch (noting) {
      this.#emit({ type: 'notice', text: `the error is not noted in the bucket: ${messageOf(noting)}` });
    }
  }

  async #run(): Promise<Manifest> {
    const { mode, untilCaughtUp } = this.#settings;
    const facts = await this.#asked((client) => serverFacts(client), 'ask about itself');
    const follows = mode !== 'full-load';
    const there = follows
      ? await this.#asked((client) => slotState(client, this.#slot), 'list slots')
      : undefined;
    // A slot that is ours already is not another one.
    checkServer(
      there === undefined ? facts : { ...facts, slotsFree: facts.slotsFree + 1 },
      this.#url.name,
      follows,
    );
    await this.#asked((client) => lockJob(client, this.#slot), 'lock the job');
    const before = await newestManifest(this.#place, this.#environment.signal);
    const slot = follows ? await this.#idleSlot() : undefined;
    const caughtUp = (await this.#sink?.catchUp(before)) ?? 0;
    let checkpoint: Manifest;
    if (before === undefined) checkpoint = await this.#begin(facts, slot);
    else if (!follows && caughtUp > 0) {
      // The load that died was whole but for that.
      await this.#finishLoad(before);
      checkpoint = before;
    } else {
      this.#begun = true;
      checkCheckpoint(before, {
        settings: this.#settings,
        url: this.#url.name,
        slotName: this.#slot,
        facts,
        slot,
      });
      await this.#checkLog(before, slot);
      checkpoint = await this.#continue(facts, before, slot);
    }
    if (follows) {
      const until = untilCaughtUp
        ? (await this.#asked((client) => serverFacts(client), 'tell where its log ends')).walLsn
        : undefined;
      checkpoint = await this.#follow(facts, checkpoint, until);
    }
    return checkpoint;
  }

  /** @throws CHECK_FAILED where the server was set back, and writes another log since than the one of the files */
  async #checkLog(before: Manifest, slot: SlotState | undefined): Promise<void> {
    const confirmed = slot?.confirmedLsn;
    if (confirmed === undefined || this.#settings.resync?.includes('*.*') === true) return;
    if (!needsComparison(before, confirmed)) return;
    const { clock, signal } = this.#environment;
    const same = await this.#within('compare its log with the files', async () => {
      await using session = await this.#session('compare its log with the files', true);
      return await isSameLog(session, this.#slot, confirmed, before, () => clock.now(), signal);
    });
    await this.#idleSlot();
    if (!same) throw otherLog(this.#url.name, confirmed);
  }

  #idleSlot(): Promise<SlotState | undefined> {
    return this.#asked((client) => idleSlot(client, this.#slot, this.#environment), 'list slots');
  }

  /** The full load, or without one the place from which changes are followed. */
  async #begin(facts: ServerFacts, slot: SlotState | undefined): Promise<Manifest> {
    const { mode, name } = this.#settings;
    const { signal } = this.#environment;
    const follows = mode !== 'full-load';
    const died = await wasBegun(this.#place, signal);
    if (slot?.elsewhere !== undefined) {
      throw new LongshoreError(
        'CHECK_FAILED',
        `the slot ${this.#slot} is of the database ${slot.elsewhere} of the same server`,
        { hint: 'give the job another --name' },
      );
    }
    if (slot !== undefined && !died) {
      throw new LongshoreError(
        'CHECK_FAILED',
        `the slot ${this.#slot} is there, and no files of the job ${name}`,
        {
          hint: '`longshore replicate drop` takes it away, if nobody else uses it',
        },
      );
    }
    const tables = await this.#chosenTables();
    checkTables(tables, this.#settings, this.#url.name);
    await this.#sink?.check(tables);
    if (follows) await this.#checkReplication();
    await probeTarget(this.#place, signal);
    const ledger = new LoadLedger(this.#place, 0);
    let plan = died ? await ledger.plan(signal) : undefined;
    const slotServes = !follows || (slot !== undefined && !slot.lost);
    if (plan !== undefined && (plan.systemId !== facts.systemId || !slotServes)) plan = undefined;
    if (died) {
      const text =
        plan === undefined
          ? 'a start before this one died: what it made is cleared away'
          : 'a full load before this one died: it is gone on with';
      this.#emit({ type: 'notice', text });
    }
    if (plan === undefined) {
      if (died) await this.#clear(ledger);
      await begin(this.#place, facts.systemId, tables, signal);
    }
    try {
      const publication =
        mode === 'full-load' ? undefined : await this.#publish(facts, plannedOf(tables, plan));
      const load = await this.#load({
        facts,
        ledger,
        plan,
        tables,
        publication,
        newSlot: follows,
        toLsn: undefined,
        filesBefore: new Map(),
      });
      const manifest = await this.#land(facts, undefined, load, publication, ledger);
      this.#begun = true;
      return manifest;
    } catch (error) {
      await this.#afterFailedLoad(ledger);
      throw error;
    }
  }

  /** Gives the publication exactly these tables. */
  async #publish(
    { version }: ServerFacts,
    tables: readonly { readonly schema: string; readonly name: string }[],
  ): Promise<Publication> {
    return await this.#asked(async (client) => {
      await setPublication(client, this.#slot, tables, version);
      return (await readPublication(client, this.#slot))!;
    }, 'make the publication');
  }

  /** Of a start that failed nothing is left; of a load that got somewhere, what the next one goes on with. */
  async #afterFailedLoad(ledger: LoadLedger): Promise<void> {
    try {
      const some = await ledger.done(new AbortController().signal);
      if (some.length > 0) {
        this.#emit({ type: 'notice', text: 'the same command goes on with what is not loaded yet' });
        return;
      }
      await this.#clear(ledger);
    } catch (error) {
      // The failure itself is what is thrown; the next start clears away what this could not.
      this.#emit({
        type: 'notice',
        text: `what the start made is not cleared away: ${(error as Error).message}`,
      });
    }
  }

  /** Takes away all that a load made, on the server and in the bucket. */
  async #clear(ledger: LoadLedger): Promise<void> {
    const signal = new AbortController().signal;
    await endHolders(this.#control.client, this.#slot);
    await dropReplication(this.#control.client, this.#slot, this.#slot);
    const plan = await ledger.plan(signal);
    for (const table of plan?.tables ?? []) await ledger.abandon(table, signal);
    await ledger.close(signal);
    await unbegin(this.#place, signal);
  }

  /** What was added to the job and removed from it since its newest manifest; and tables that are to be loaded again. */
  async #continue(facts: ServerFacts, before: Manifest, slot: SlotState | undefined): Promise<Manifest> {
    const { signal } = this.#environment;
    await this.#finishLoad(before);
    // A publication that was away is not there for the log of then.
    let newSlot =
      slot === undefined ||
      slot.lost ||
      (this.#settings.resync?.includes('*.*') === true && !this.#totals.resynced);
    let checkpoint = await this.#landPending(facts, before, newSlot);
    if (this.#environment.membersOnly) return checkpoint;
    for (;;) {
      const tables = this.#fit(await this.#chosenTables(), checkpoint);
      if (tables.length === 0) {
        throw new LongshoreError('CHECK_FAILED', `no table of the job ${this.#settings.name} is left`, {
          hint: '`longshore replicate drop` ends it; its files stay',
        });
      }
      const isAgain = (table: SourceTable): boolean =>
        this.#resync(table) || this.#sink?.needsAgain(table) === true;
      const added = addedTables(checkpoint.tables, tables, isAgain);
      const removed = removedTables(checkpoint.tables, tables, isAgain);
      const stay = new Set(tables.filter((table) => !added.includes(table)).map(({ oid }) => oid));
      const published = await this.#asked(
        (client) => readPublication(client, this.#slot),
        'read the publication',
      );
      if (stay.size > 0) checkPublication(this.#slot, checkpoint, published, stay);
      if (removed.length > 0) {
        const left = removed.map(({ oid }) => oid);
        const roots = await this.#asked((client) => partitionRoots(client, left), 'list partitions');
        checkAttached(
          removed,
          roots,
          tables.filter(({ oid }) => stay.has(oid)),
        );
      }
      const ledger = new LoadLedger(this.#place, checkpoint.epoch + 1);
      let plan = await ledger.plan(signal);
      if (added.length === 0 && removed.length === 0 && plan === undefined)
        return withSource(checkpoint, facts.databaseOid, published!);
      for (const table of added) await checkFolder(this.#place, table, plan, signal);
      if (newSlot)
        await this.#asked((client) => dropReplication(client, this.#slot, this.#slot), 'drop the slot');
      if (plan !== undefined && (newSlot || !sameTables(plan, added))) {
        for (const table of plan.tables) await ledger.abandon(table, signal);
        await ledger.close(signal);
        plan = undefined;
      }
      const publication = await this.#publish(facts, tables);
      const { walLsn } = await this.#asked((client) => serverFacts(client), 'tell where its log ends');
      let load: FullLoad | undefined;
      if (added.length > 0) {
        load = await this.#load({
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
      checkpoint = await this.#land(
        facts,
        { checkpoint, added, removed, lsn: formatLsn(walLsn) },
        load,
        publication,
        ledger,
      );
      newSlot = false;
      this.#resync = () => false;
      this.#totals.resynced = true;
    }
  }

  /** Those that can be replicated beside one another; what the job has comes first. */
  #fit(chosen: readonly SourceTable[], checkpoint: Manifest): SourceTable[] {
    const fit = chosen.filter((table) => this.#isFit(table, checkpoint));
    const added = new Set(addedTables(checkpoint.tables, fit));
    const [members, others] = [fit.filter((table) => !added.has(table)), [...added]];
    const distinct = new Set(distinctTables([...members, ...others], (...left) => this.#leaveOut(...left)));
    return fit.filter((table) => distinct.has(table));
  }

  /** Told once. */
  #leaveOut({ oid }: SourceTable, { what, fix }: Problem): void {
    if (!this.#unfit.has(oid)) this.#emit({ type: 'notice', text: `left out: ${what} → ${fix}` });
    this.#unfit.add(oid);
  }

  /** Tables that came into a job that runs must not keep it from running. */
  #isFit(table: SourceTable, { tables }: Manifest): boolean {
    const { mode, timestampColumn } = this.#settings;
    const problem = tableProblem(table, timestampColumn, mode !== 'full-load');
    if (problem === undefined) return true;
    if (tables.some(({ oid }) => oid === table.oid))
      throw new LongshoreError('CHECK_FAILED', problem.what, { hint: problem.fix });
    this.#leaveOut(table, problem);
    return false;
  }

  /** The highest number of a file of a full load in each folder. */
  async #filesBefore(tables: readonly SourceTable[]): Promise<Map<number, number>> {
    const { signal } = this.#environment;
    const found = new Map<number, number>();
    for (const table of tables) {
      found.set(table.oid, await lastLoadNumber(this.#place, table, signal));
    }
    return found;
  }

  async #load(task: {
    readonly facts: ServerFacts;
    readonly ledger: LoadLedger;
    readonly plan: LoadPlan | undefined;
    readonly tables: readonly SourceTable[];
    /** Undefined for a load alone. */
    readonly publication: Publication | undefined;
    /** Whether the slot of the job is to be made. */
    readonly newSlot: boolean;
    readonly toLsn: Lsn | undefined;
    readonly filesBefore: ReadonlyMap<number, number>;
  }): Promise<FullLoad> {
    const { mode, keepSnapshot } = this.#settings;
    const { facts, ledger, plan, tables, publication, newSlot, toLsn, filesBefore } = task;
    const { signal, env, failpoint } = this.#environment;
    const source = { connection: this.#url.connection, doing: this.#doing('take a snapshot'), tables };
    let before = plan;
    let snapshot: HeldSnapshot | undefined;
    if (before !== undefined) {
      const { name, lsn } = before.snapshot;
      snapshot = await snapshotHeldElsewhere(source, name, parseLsn(lsn));
      if (snapshot === undefined && mode === 'full-load') {
        // Nothing says what happened between two snapshots.
        for (const table of before.tables) await ledger.abandon(table, signal);
        before = undefined;
      }
    }
    await using threads =
      mode === 'cdc' ? undefined : await LoadThreads.connect(this.#settings.from, this.#settings.workers);
    if (snapshot === undefined) {
      await endHolders(this.#control.client, this.#slot);
      const slot = newSlot && before === undefined ? this.#slot : temporarySlotOf(this.#settings, 'load');
      if (mode === 'full-load') snapshot = await snapshotOfNow(source);
      else snapshot = await this.#tellingOfWaits(snapshotOfSlot(source, slot, slot !== this.#slot));
    }
    await using held = snapshot;
    failpoint('snapshot-taken');
    const publishedAs = publication?.entries ?? new Map<number, number>();
    if (threads === undefined) return loadOfNothing(held, { publishedAs, toLsn });
    using watch = mode === 'full-load' ? undefined : this.#watch();
    const kept = before?.snapshot.lsn === formatLsn(held.lsn);
    const isLarge = held.tables.reduce((sum, table) => sum + heapBytes(table), 0) >= KEPT_BYTES_MIN;
    return await fullLoad(
      {
        settings: this.#settings,
        target: this.#target,
        ledger,
        threads,
        systemId: facts.systemId,
        before,
        filesBefore,
        publishedAs,
        toLsn,
        keep: async ({ name, tables: locked }) => {
          if (kept) return before!.snapshot.name;
          if (keepSnapshot === 0 || !isLarge) return undefined;
          const oids = locked.map(({ oid }) => oid);
          return startHolder(
            {
              from: this.#settings.from,
              snapshot: name,
              slot: this.#slot,
              tables: oids,
              keepMs: keepSnapshot,
            },
            env,
          );
        },
        emit: this.#emit,
        nowMs: this.#nowMs(),
        failpoint,
      },
      held,
      watch === undefined ? signal : AbortSignal.any([signal, watch.signal]),
    );
  }

  /** A slot is made when every transaction that was open has ended; one that stays open is named. */
  async #tellingOfWaits<T>(making: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      openTransactions(this.#control.client).then(
        ([oldest]) => {
          if (oldest !== undefined)
            this.#emit({
              type: 'notice',
              text: `the slot is made when this transaction has ended: ${oldest}`,
            });
        },
        (error: unknown) => this.#emit({ type: 'notice', text: `the slot takes long: ${messageOf(error)}` }),
      );
    }, SLOT_TELL_MS);
    try {
      return await making;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Writes the manifest of a load, or of tables that left; then takes away what is of no use any more. */
  async #land(
    { systemId, databaseOid }: ServerFacts,
    change: Membership | undefined,
    load: FullLoad | undefined,
    publication: Publication | undefined,
    ledger: LoadLedger,
  ): Promise<Manifest> {
    const { signal, failpoint } = this.#environment;
    const tables = load?.tables ?? [];
    const toLsn = load === undefined ? change!.checkpoint.toLsn : formatLsn(load.toLsn);
    const lastCommitMicros = change?.checkpoint.lastCommitMicros;
    const lastChange = toLsn === change?.checkpoint.toLsn ? change.checkpoint.lastChange : { lsn: toLsn };
    const manifest = counted({
      version: 1,
      job: this.#settings.name,
      epoch: change === undefined ? 0 : change.checkpoint.epoch + 1,
      kind: change === undefined ? 'full-load' : 'tables',
      systemId,
      databaseOid,
      ...(publication === undefined ? {} : { publicationOid: publication.oid }),
      fromLsn: change?.checkpoint.toLsn ?? '0/0',
      toLsn,
      ...(lastCommitMicros === undefined ? {} : { lastCommitMicros }),
      ...(lastChange === undefined ? {} : { lastChange }),
      files: [...(load?.files ?? [])],
      schemas: { ...load?.schemas },
      events: change === undefined ? [] : membershipEvents(change),
      tables: [...(change === undefined ? [] : keptTables(change)), ...tables],
    });
    await writeManifest(this.#place, manifest, signal);
    failpoint('load-landed');
    await this.#sink?.take(manifest);
    await this.#finishLoad(manifest, ledger);
    const rows = manifest.files.reduce((sum, file) => sum + file.rows, 0);
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
    const files = manifest.files.length;
    const { loaded } = this.#totals;
    this.#totals.loaded = {
      rows: loaded.rows + rows,
      files: loaded.files + files,
      bytes: loaded.bytes + bytes,
    };
    if (load !== undefined) this.#emit({ type: 'load-finished', lsn: toLsn, rows, files });
    return manifest;
  }

  /** What stays behind when a process dies right after the manifest of a load: done again, nothing changes. */
  async #finishLoad(manifest: Manifest, ledger = new LoadLedger(this.#place, manifest.epoch)): Promise<void> {
    const { signal } = this.#environment;
    if (manifest.kind === 'changes') return;
    await deleteVoidFiles(this.#place, manifest, signal);
    await ledger.close(signal);
    await endHolders(this.#control.client, this.#slot);
  }

  async #follow(facts: ServerFacts, from: Manifest, until: Lsn | undefined): Promise<Manifest> {
    using watch = this.#watch();
    try {
      for (let checkpoint = from; ; ) {
        const { end, landed } = await this.#followFrom(facts, checkpoint, until, watch);
        if (end === 'reached' && this.#sink?.needsSome !== true) return landed;
        checkpoint = await this.#continue(facts, landed, await this.#idleSlot());
      }
    } catch (error) {
      if (watch.limitReached && this.#settings.walLimitAction === 'drop')
        await dropReplication(this.#control.client, this.#slot, this.#slot);
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
    const { every, maxFileSize } = this.#settings;
    const { clock, signal, failpoint } = this.#environment;
    const tables = await this.#asked((client) => readTables(client), 'list its tables');
    await using landing = new LakeLanding({
      settings: this.#settings,
      checkpoint,
      place: this.#place,
      target: this.#target,
      registry: new TableRegistry(this.#control.client, tables, this.#slot),
      sink: this.#sink,
      failpoint,
    });
    await using replication = await this.#session('follow the change stream', true);
    // A server that stops waits for those who follow it; that it stops can be seen on any other session.
    const lost = new AbortController();
    const onEnd = (): void =>
      lost.abort(
        new LongshoreError('DATABASE_UNREACHABLE', `the server of ${this.#url.name} ended a session`, {
          hint: 'check that it runs and can be reached',
        }),
      );
    this.#control.client.once('end', onEnd);
    const end = await this.#within('follow the change stream', () =>
      follow(
        replication,
        {
          slot: this.#slot,
          publication: this.#slot,
          version: facts.version,
          fromLsn: parseLsn(checkpoint.toLsn),
          tables: checkpoint.tables,
          landing,
          every,
          epochBytes: EPOCH_FILES * maxFileSize,
          until,
          shouldEnd: async () => this.#sink?.needsSome === true || (await this.#tablesChanged(checkpoint)),
          folder: this.#target.folder,
          emit: this.#emit,
          failpoint,
          clock,
        },
        AbortSignal.any([signal, watch.signal, lost.signal]),
      ),
    ).finally(() => this.#control.client.off('end', onEnd));
    return { end, landed: landing.checkpoint };
  }

  /** What a process that died was landing: landed as it was begun, before anything else gets the number of its epoch. */
  async #landPending(facts: ServerFacts, checkpoint: Manifest, newSlot: boolean): Promise<Manifest> {
    const pending = await readPending(this.#place, checkpoint.epoch + 1, this.#environment.signal);
    if (pending === undefined) return checkpoint;
    if (newSlot) {
      await dropPending(this.#place, pending, this.#environment.signal);
      return checkpoint;
    }
    using watch = this.#watch();
    const { landed } = await this.#followFrom(facts, checkpoint, parseLsn(pending.toLsn), watch);
    return landed;
  }

  /** Whether tables were made, renamed or dropped that make others the tables of the job. */
  async #tablesChanged({ tables }: Manifest): Promise<boolean> {
    const chosen = tableFilter(this.#settings.tables);
    const now = (await this.#asked((client) => listTables(client), 'list its tables'))
      .filter(chosen)
      .filter(({ oid }) => !this.#unfit.has(oid));
    return addedTables(tables, now).length > 0 || removedTables(tables, now).length > 0;
  }

  async #chosenTables(): Promise<SourceTable[]> {
    const all = await this.#asked((client) => readTables(client), 'list its tables');
    const { tables: patterns } = this.#settings;
    const [absent] = unmatched([...patterns, ...(this.#settings.resync ?? [])], all);
    if (absent !== undefined) {
      throw new LongshoreError('TABLE_NOT_FOUND', `${this.#url.name} has no table ${absent}`, {
        hint: 'name tables as schema.table; capitals count',
      });
    }
    return all.filter(tableFilter(patterns));
  }

  /** Whether the server itself is spoken to: what pools connections for it may not pass replication on. */
  async #checkReplication(): Promise<void> {
    const session = await this.#session('open a replication connection', true);
    await session[Symbol.asyncDispose]();
  }

  #watch(): WalWatch {
    const { clock } = this.#environment;
    return new WalWatch(this.#control.client, this.#slot, this.#settings, this.#emit, () =>
      monotonicMs(clock),
    );
  }

  #nowMs(): number {
    return this.#environment.clock.now();
  }

  #doing(action: string): Doing {
    return {
      action: `${action} (${this.#url.name})`,
      database: this.#url.name,
      user: this.#url.connection.user,
    };
  }

  #session(action: string, replication = false): Promise<Session> {
    return openSession(this.#url.connection, { doing: this.#doing(action), replication });
  }

  #asked<T>(work: (client: Session['client']) => Promise<T>, action: string): Promise<T> {
    return this.#within(action, () => work(this.#control.client));
  }

  async #within<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#environment.signal.throwIfAborted();
      throw postgresError(error, this.#doing(action));
    }
  }
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
