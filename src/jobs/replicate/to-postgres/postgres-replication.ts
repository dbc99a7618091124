/** A replication from PostgreSQL into PostgreSQL: makes the tables, loads them, follows what changes. */

import { inTransaction } from '../../../databases/postgres/in-transaction.ts';
import { formatLsn, type Lsn, parseLsn } from '../../../databases/postgres/lsn.ts';
import {
  checkServer,
  createSoundSlot,
  dropReplication,
  type SlotState,
  serverFacts,
  setPublication,
  slotState,
} from '../../../databases/postgres/replication-setup.ts';
import { checkAbsent } from '../../../databases/postgres/schema-create.ts';
import { readSequences, setSequences } from '../../../databases/postgres/sequence-values.ts';
import { quotedTable, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError, messageOf } from '../../../errors.ts';
import { openTemporaryFolder } from '../../../flow/temporary-folder.ts';
import { idleSlot } from '../idle-slot.ts';
import { lockJob } from '../job-lock.ts';
import type { ChangeLanding } from '../landing.ts';
import { addedTables, removedTables } from '../membership.ts';
import type { ReplicateSettings } from '../settings.ts';
import { type Surroundings, slotOf } from '../surroundings.ts';
import { tableFilter } from '../table-filter.ts';
import { ChosenTables } from './chosen-tables.ts';
import { addEnumLabels } from './enum-labels.ts';
import { followChanges } from './follow-changes.ts';
import { type Job, watchWal } from './job.ts';
import type { LandingUpTo } from './landing-up-to.ts';
import { clearJob, clearLoad, hasPlan, loadTables, resumeLoad } from './load-tables.ts';
import { jobTable } from './plan-load.ts';
import { Sides } from './sides.ts';
import { readJobColumns } from './source-columns.ts';
import { checkPresent, checkSlot, checkSystem, checkTablesHere, fail } from './target-checks.ts';
import { beginState, moveCheckpoint, NOT_LOADED, readState, type TargetState } from './target-state.ts';

/** Of a run, over all its attempts. */
export interface Totals {
  rows: number;
  bytes: number;
  changes: number;
  /** Whether what was to be loaded again is. */
  resynced: boolean;
}

/** Of one run; more come from a source that adds labels without end. */
const LABEL_ROUNDS_MAX = 100;

export class PostgresReplication {
  readonly #job: Job;
  readonly #totals: Totals;
  readonly #chosen: ChosenTables;
  readonly #folder: string;

  private constructor(job: Job, totals: Totals, folder: string) {
    this.#job = {
      ...job,
      emit: (event) => {
        if (event.type === 'epoch-landed') totals.changes += event.changes;
        job.emit(event);
      },
    };
    this.#totals = totals;
    this.#chosen = new ChosenTables(this.#job);
    this.#folder = folder;
  }

  /** Opens both sides, checks the source, and locks the job. @param stack keeps what is open */
  static async open(
    settings: ReplicateSettings,
    surroundings: Surroundings,
    totals: Totals,
    stack: AsyncDisposableStack,
  ): Promise<PostgresReplication> {
    const sides = new Sides(settings, surroundings.env, surroundings.signal);
    const follows = settings.mode !== 'full-load';
    const slot = slotOf(settings);
    const folder = stack.use(openTemporaryFolder('replicate'));
    const control = stack.use(await sides.openSource('read its catalogue'));
    const target = stack.use(await sides.openTarget('read its checkpoint'));
    const facts = await sides.within('source', 'ask about itself', async () => {
      const found = await serverFacts(control.client);
      const there = follows ? await slotState(control.client, slot) : undefined;
      // A slot that is ours already is not another one.
      const counted = there === undefined ? found : { ...found, slotsFree: found.slotsFree + 1 };
      checkServer(counted, sides.source.name, follows);
      await lockJob(control.client, slot);
      return found;
    });
    const job = { ...surroundings, settings, follows, sides, slot, facts, control, target };
    return new PostgresReplication(job, totals, folder.path);
  }

  async run(): Promise<TargetState> {
    const { settings, follows, sides, control } = this.#job;
    await this.#start();
    if (follows) {
      const until = settings.untilCaughtUp
        ? (await sides.within('source', 'tell where its log ends', () => serverFacts(control.client))).walLsn
        : undefined;
      await this.#followAndSetSequences(until);
    }
    return await this.#state();
  }

  /** Follows up to a place of the log and no further, for a job that has landed before. */
  async followTo(end: LandingUpTo, until: Lsn): Promise<void> {
    await this.#start();
    try {
      await this.#follow(until, (landing) => end.around(landing, this.#job.signal));
    } catch (error) {
      if (!end.reached) throw error;
    }
  }

  /** Until tables are loaded, and those of the job are those that are chosen. */
  async #start(): Promise<void> {
    const { settings, follows, sides, slot: slotName, facts } = this.#job;
    const slot = follows ? await this.#idleSlot() : undefined;
    const state = await this.#stateIfAny();
    if (state === undefined) {
      if (slot !== undefined)
        fail(
          `the slot ${slotName} is there, and nothing of the job ${settings.name} in ${sides.target.name}`,
          '`longshore replicate drop` takes it away, if nobody else uses it',
        );
      await this.#begin();
      return;
    }
    checkSystem(state, facts, settings.name, sides);
    if (state.lsn === undefined) await this.#goOn(state, slot);
    else if (settings.resync?.includes('*.*') === true && !this.#totals.resynced) {
      await clearJob(this.#job, state);
      await this.#begin();
    } else {
      checkSlot(state, { settings, slotName, slot });
      await this.#settle();
    }
  }

  /** A load that died before there was a checkpoint. */
  async #goOn(state: TargetState, slot: SlotState | undefined): Promise<void> {
    const { follows, emit } = this.#job;
    const slotServes = !follows || (slot !== undefined && !slot.lost);
    if (state.plan !== undefined && slotServes && this.#count(await resumeLoad(this.#job, state))) return;
    emit({ type: 'notice', text: 'a start before this one died: what it made is cleared away' });
    await clearJob(this.#job, state);
    await this.#begin();
  }

  /** Everything that can keep the job from starting is asked before anything is made. */
  async #begin(): Promise<void> {
    const { settings, follows, sides, target, facts } = this.#job;
    const tables = await this.#chosen.read();
    checkTablesHere(tables, settings, sides.source.name);
    await sides.within('target', 'look for the tables', () =>
      settings.mode === 'cdc'
        ? checkPresent(target.client, tables, sides.target.name)
        : checkAbsent(target.client, tables.map(quotedTable), sides.target.name),
    );
    if (follows) {
      const session = await sides.openReplication('open a replication connection');
      await session[Symbol.asyncDispose]();
    }
    await sides.within('target', 'begin the job', () =>
      inTransaction(target.client, () => beginState(target.client, settings.name, facts.systemId)),
    );
    const state = await this.#state();
    try {
      if (settings.mode === 'cdc') await this.#beginWithoutLoad(state, tables);
      else this.#count(await loadTables(this.#job, state, tables, true));
    } catch (error) {
      await this.#afterFailedLoad();
      throw error;
    }
    this.#totals.resynced = true;
  }

  /** The tables are there, and so are their rows; only changes come. */
  async #beginWithoutLoad(state: TargetState, tables: readonly SourceTable[]): Promise<void> {
    const { settings, sides, slot, control, target, facts } = this.#job;
    const { lsn, columns } = await sides.within('source', 'make a slot', async () => {
      await setPublication(control.client, slot, tables, facts.version);
      await using replication = await sides.openReplication('make a slot');
      const { consistentLsn } = await createSoundSlot(replication.client, control.client, slot);
      const oids = tables.map(({ oid }) => oid);
      return { lsn: consistentLsn, columns: await readJobColumns(control.client, oids) };
    });
    await sides.within('target', 'move the checkpoint', () =>
      inTransaction(target.client, () =>
        moveCheckpoint(target.client, settings.name, {
          epoch: state.epoch + 1,
          lsn,
          lastCommitMicros: undefined,
          tables: tables.map((table) => jobTable(table, formatLsn(lsn), columns)),
        }),
      ),
    );
  }

  /** Of a start that failed nothing is left; of a load that got somewhere, what the next one goes on with. */
  async #afterFailedLoad(): Promise<void> {
    const { emit } = this.#job;
    try {
      if (await hasPlan(this.#job)) {
        emit({ type: 'notice', text: 'the same command goes on with what is not loaded yet' });
        return;
      }
      const state = await this.#stateIfAny();
      if (state !== undefined && state.lsn === undefined) await clearJob(this.#job, state);
    } catch (error) {
      // The failure itself is what is thrown; the next start clears away what this could not.
      emit({ type: 'notice', text: `what the start made is not cleared away: ${messageOf(error)}` });
    }
  }

  /** Tables that came into the job are loaded; those that left it stay in the target as they are. */
  async #settle(): Promise<void> {
    const { settings, sides, emit } = this.#job;
    for (;;) {
      const state = await this.#state();
      if (state.plan !== undefined) {
        if (!this.#count(await resumeLoad(this.#job, state))) await clearLoad(this.#job, state.plan);
        continue;
      }
      const { resync } = settings;
      const isAgain = resync === undefined || this.#totals.resynced ? () => false : tableFilter(resync);
      const tables = await this.#chosen.readFit(state);
      const loaded = state.tables.filter(({ fromLsn }) => fromLsn !== NOT_LOADED);
      const added = addedTables(loaded, tables, isAgain);
      const left = removedTables(state.tables, tables);
      if (added.length === 0 && left.length === 0) return;
      if (tables.length === 0)
        fail(
          `no table of ${sides.source.name} is chosen by ${settings.tables.join(', ')} any more`,
          '`longshore replicate drop` ends the job; its tables stay',
        );
      for (const { schema, name } of left)
        emit({ type: 'notice', text: `${schema}.${name} has left the job; it stays in the target` });
      await this.#publish(state, tables, left);
      if (added.length > 0) this.#count(await loadTables(this.#job, await this.#state(), added, false));
      this.#totals.resynced = true;
    }
  }

  /** Changes of tables that left are applied up to here. */
  async #publish(
    state: TargetState,
    tables: readonly SourceTable[],
    left: readonly TargetState['tables'][number][],
  ): Promise<void> {
    const { settings, sides, control, target, slot, facts } = this.#job;
    const untilLsn = await sides.within('source', 'change the publication', async () => {
      await setPublication(control.client, slot, tables, facts.version);
      return formatLsn((await serverFacts(control.client)).walLsn);
    });
    if (left.length === 0) return;
    await sides.within('target', 'move the checkpoint', () =>
      inTransaction(target.client, () =>
        moveCheckpoint(target.client, settings.name, {
          epoch: state.epoch + 1,
          lsn: parseLsn(state.lsn!),
          lastCommitMicros: undefined,
          tables: state.tables.map((one) => (left.includes(one) ? { ...one, untilLsn } : one)),
        }),
      ),
    );
  }

  async #followAndSetSequences(until: Lsn | undefined): Promise<void> {
    const { emit } = this.#job;
    try {
      await this.#follow(until, (landing) => landing);
    } catch (error) {
      try {
        await this.#setSequences();
      } catch (failure) {
        // Why the job ended is what is thrown.
        emit({ type: 'notice', text: `the sequences are not set: ${messageOf(failure)}` });
      }
      throw error;
    }
    await this.#setSequences();
  }

  /** A change stream does not tell of them. */
  async #setSequences(): Promise<void> {
    const { sides, control, target } = this.#job;
    const oids = (await this.#state()).tables.map(({ oid }) => oid);
    const sequences = await sides.within('source', 'read its sequences', () =>
      readSequences(control.client, oids),
    );
    await sides.within('target', 'set sequences', () => setSequences(target.client, sequences));
  }

  async #follow(until: Lsn | undefined, around: (landing: ChangeLanding) => ChangeLanding): Promise<void> {
    const { settings, sides, control, slot } = this.#job;
    using watch = watchWal(this.#job);
    try {
      for (let rounds = 0; ; ) {
        await this.#addLabels();
        try {
          if ((await this.#followOnce(until, around, watch.signal)) === 'reached') return;
          await this.#idleSlot();
          await this.#settle();
        } catch (error) {
          // A label that came while changes were followed; the changes are sent again.
          if (!isUnknownLabel(error) || ++rounds > LABEL_ROUNDS_MAX || (await this.#addLabels()) === 0)
            throw error;
          await this.#idleSlot();
        }
      }
    } catch (error) {
      if (watch.limitReached && settings.walLimitAction === 'drop')
        await sides.within('source', 'drop the slot', () => dropReplication(control.client, slot, slot));
      throw error;
    }
  }

  async #followOnce(
    until: Lsn | undefined,
    around: (landing: ChangeLanding) => ChangeLanding,
    watched: AbortSignal,
  ): Promise<'reached' | 'asked'> {
    const state = await this.#state();
    return await followChanges(this.#job, state, {
      until,
      around,
      folder: this.#folder,
      shouldEnd: () => this.#chosen.changed(state),
      signal: AbortSignal.any([this.#job.signal, watched]),
    });
  }

  async #addLabels(): Promise<number> {
    const { sides, control, target } = this.#job;
    return await sides.within('target', 'add labels to enums', () =>
      addEnumLabels(control.client, target.client),
    );
  }

  #idleSlot(): Promise<SlotState | undefined> {
    const { slot, sides, control } = this.#job;
    return sides.within('source', 'list slots', () => idleSlot(control.client, slot, this.#job));
  }

  async #state(): Promise<TargetState> {
    const state = await this.#stateIfAny();
    if (state !== undefined) return state;
    const { settings, sides } = this.#job;
    throw new LongshoreError(
      'JOURNAL_FOREIGN',
      `longshore.checkpoint of ${sides.target.name} does not name the job ${settings.name} any more`,
      { hint: 'restore it, or begin a job of another name' },
    );
  }

  async #stateIfAny(): Promise<TargetState | undefined> {
    const { sides, target, settings } = this.#job;
    return await sides.within('target', 'read its checkpoint', () => readState(target.client, settings.name));
  }

  /** @returns whether anything was loaded */
  #count(loaded: { readonly rows: number; readonly bytes: number } | undefined): boolean {
    this.#totals.rows += loaded?.rows ?? 0;
    this.#totals.bytes += loaded?.bytes ?? 0;
    return loaded !== undefined;
  }
}

/** `invalid_text_representation`: of an enum, a label that the target has not yet. */
function isUnknownLabel(error: unknown): boolean {
  return error instanceof LongshoreError && error.context['sqlState'] === '22P02';
}
