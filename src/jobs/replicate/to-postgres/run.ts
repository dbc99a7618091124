/** Runs a replication from PostgreSQL into PostgreSQL: makes the tables, loads them, follows what changes. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatLsn, type Lsn, parseLsn } from '../../../databases/postgres/lsn.ts';
import {
  checkServer,
  createSlot,
  dropReplication,
  type SlotState,
  serverFacts,
  setPublication,
  slotState,
} from '../../../databases/postgres/replication-setup.ts';
import { checkAbsent } from '../../../databases/postgres/schema-create.ts';
import { readSequences, setSequences } from '../../../databases/postgres/sequence-values.ts';
import {
  listTables,
  quotedTable,
  readTables,
  type SourceTable,
} from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError, messageOf } from '../../../errors.ts';
import { systemClock } from '../../../flow/clock.ts';
import { noFailpoint } from '../../../flow/failpoint.ts';
import { follow } from '../follow.ts';
import { lockJob } from '../job-lock.ts';
import type { ChangeLanding } from '../landing.ts';
import { type ReplicateEnvironment, type ReplicateSummary, slotOf } from '../run.ts';
import { type ReplicateOptions, type ReplicateSettings, resolveReplicateOptions } from '../settings.ts';
import { tableFilter, unmatched } from '../table-filter.ts';
import { addEnumLabels } from './enum-labels.ts';
import { type Job, watchWal } from './job.ts';
import type { LandingUpTo } from './landing-up-to.ts';
import { clearJob, clearLoad, hasPlan, loadTables, resumeLoad } from './load-tables.ts';
import { jobTable } from './plan-load.ts';
import { PostgresLanding } from './postgres-landing.ts';
import { inTransaction, Sides, silenceTriggers } from './sides.ts';
import { readJobColumns } from './source-columns.ts';
import {
  checkSlot,
  checkSystem,
  checkTablesHere,
  fail,
  OWN_SCHEMA,
  tableProblemHere,
} from './target-checks.ts';
import { beginState, type JobTable, moveCheckpoint, readState, type TargetState } from './target-state.ts';

/** How long changes are gathered where nothing else is said: a database is read while it follows. */
export const EVERY = '1s';
/** Changes are landed when about so much is gathered. */
const EPOCH_BYTES = 64 * 1024 ** 2;
const SLOT_LOOK_MS = 250;
const SLOT_WAIT_MS = 5_000;

/** @see replicate */
export async function replicateToPostgres(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<ReplicateSummary> {
  const settings = settingsHere(options);
  await using stack = new AsyncDisposableStack();
  const replication = await PostgresReplication.open(settings, environment, stack);
  return await replication.run();
}

export function settingsHere(options: ReplicateOptions): ReplicateSettings {
  return resolveReplicateOptions({ ...options, every: options.every ?? EVERY });
}

export class PostgresReplication {
  readonly #job: Job;
  /** Oids of tables that appeared and cannot be replicated; each is told once. */
  readonly #unfit = new Set<number>();
  readonly #folder: string;
  #resync: (table: { readonly schema: string; readonly name: string }) => boolean;
  #loaded = { rows: 0, files: 0, bytes: 0 };
  #changes = 0;

  private constructor(job: Job, folder: string) {
    const { settings, emit } = job;
    this.#job = {
      ...job,
      emit: (event) => {
        if (event.type === 'epoch-landed') this.#changes += event.changes;
        emit(event);
      },
    };
    this.#folder = folder;
    this.#resync = settings.resync === undefined ? () => false : tableFilter(settings.resync);
  }

  /** Opens both sides, checks the source, and locks the job. */
  static async open(
    settings: ReplicateSettings,
    environment: ReplicateEnvironment,
    stack: AsyncDisposableStack,
  ): Promise<PostgresReplication> {
    const env = environment.env ?? process.env;
    const clock = environment.clock ?? systemClock;
    const signal = environment.signal ?? new AbortController().signal;
    const sides = new Sides(settings, env, signal);
    const follows = settings.mode !== 'full-load';
    const slot = slotOf(settings);
    const folder = mkdtempSync(join(tmpdir(), 'longshore-replicate-'));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
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
    return new PostgresReplication(
      {
        settings,
        follows,
        sides,
        slot,
        facts,
        control,
        target,
        env,
        clock,
        signal,
        emit: environment.emit ?? (() => undefined),
        failpoint: environment.failpoint ?? noFailpoint,
      },
      folder,
    );
  }

  async run(): Promise<ReplicateSummary> {
    const { settings, follows, sides, control, clock, emit } = this.#job;
    const startedMs = clock.now();
    await this.#start();
    if (follows) {
      const until = settings.untilCaughtUp
        ? (await sides.within('source', 'tell where its log ends', () => serverFacts(control.client))).walLsn
        : undefined;
      await this.#followAndSetSequences(until);
    }
    const state = await this.#state();
    const seconds = (clock.now() - startedMs) / 1000;
    emit({ type: 'run-finished', seconds });
    return {
      job: settings.name,
      seconds,
      epoch: state!.epoch,
      lsn: state!.lsn!,
      loaded: this.#loaded,
      changes: this.#changes,
    };
  }

  /** Follows up to a place of the log and no further, for a job that has landed before. */
  async followTo(end: LandingUpTo, until: Lsn, signal: AbortSignal): Promise<void> {
    await this.#start();
    try {
      await this.#follow(until, (landing) => end.around(landing, signal));
    } catch (error) {
      if (!end.reached) throw error;
    }
  }

  /** Until tables are loaded, and those of the job are those that are chosen. */
  async #start(): Promise<void> {
    const { settings, follows, sides, slot: slotName, facts } = this.#job;
    const slot = follows ? await this.#idleSlot() : undefined;
    const state = await this.#state();
    if (state !== undefined) checkSystem(state, facts, settings.name, sides);
    if (state === undefined) {
      if (slot !== undefined)
        fail(
          `the slot ${slotName} is there, and nothing of the job ${settings.name} in ${sides.target.name}`,
          '`longshore replicate drop` takes it away, if nobody else uses it',
        );
      await this.#begin();
    } else if (state.lsn === undefined) await this.#goOn(state, slot);
    else if (settings.resync?.includes('*.*') === true) {
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
    if (state.plan !== undefined && slotServes) {
      const loaded = await resumeLoad(this.#job, state);
      if (loaded !== undefined) {
        this.#count(loaded);
        return;
      }
    }
    emit({ type: 'notice', text: 'a start before this one died: what it made is cleared away' });
    await clearJob(this.#job, state);
    await this.#begin();
  }

  /** Everything that can keep the job from starting is asked before anything is made. */
  async #begin(): Promise<void> {
    const { settings, follows, sides, target, facts } = this.#job;
    const tables = await this.#chosenTables();
    checkTablesHere(tables, settings, sides.source.name);
    const names = tables.map(quotedTable);
    if (settings.mode === 'cdc') await this.#checkPresent(names);
    else
      await sides.within('target', 'look for the tables', () =>
        checkAbsent(target.client, names, sides.target.name),
      );
    if (follows) {
      const session = await sides.openReplication('open a replication connection');
      await session[Symbol.asyncDispose]();
    }
    await sides.within('target', 'begin the job', () =>
      inTransaction(target, () => beginState(target.client, settings.name, facts.systemId)),
    );
    const state = (await this.#state())!;
    try {
      if (settings.mode === 'cdc') await this.#beginWithoutLoad(state, tables);
      else this.#count(await loadTables(this.#job, state, tables, true));
    } catch (error) {
      await this.#afterFailedLoad();
      throw error;
    }
  }

  /** The tables are there, and so are their rows; only changes come. */
  async #beginWithoutLoad(state: TargetState, tables: readonly SourceTable[]): Promise<void> {
    const { settings, sides, slot, control, target, facts } = this.#job;
    const { lsn, columns } = await sides.within('source', 'make a slot', async () => {
      await setPublication(control.client, slot, tables, facts.version);
      await using replication = await sides.openReplication('make a slot');
      const { consistentLsn } = await createSlot(replication.client, slot, false);
      const oids = tables.map(({ oid }) => oid);
      return { lsn: consistentLsn, columns: await readJobColumns(control.client, oids) };
    });
    await sides.within('target', 'move the checkpoint', () =>
      inTransaction(target, () =>
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
      const state = await this.#state();
      if (state !== undefined && state.lsn === undefined) await clearJob(this.#job, state);
    } catch (error) {
      // The failure itself is what is thrown; the next start clears away what this could not.
      emit({ type: 'notice', text: `what the start made is not cleared away: ${messageOf(error)}` });
    }
  }

  /** Tables that came into the job are loaded; those that left it stay in the target as they are. */
  async #settle(): Promise<void> {
    const { sides, control, slot, facts, emit, target, settings } = this.#job;
    for (;;) {
      const state = (await this.#state())!;
      if (state.plan !== undefined) {
        const loaded = await resumeLoad(this.#job, state);
        if (loaded === undefined) await clearLoad(this.#job, state.plan);
        else this.#count(loaded);
        continue;
      }
      const tables = (await this.#chosenTables()).filter((table) => this.#isFit(table, state));
      const members = state.tables.filter(({ untilLsn }) => untilLsn === undefined);
      const added = tables.filter(
        (table) => this.#resync(table) || !members.some((one) => isSame(one, table)),
      );
      const left = members.filter((one) => !tables.some((table) => isSame(one, table)));
      if (added.length === 0 && left.length === 0) return;
      if (tables.length === 0)
        fail(
          `no table of ${sides.source.name} is chosen by ${settings.tables.join(', ')} any more`,
          '`longshore replicate drop` ends the job; its tables stay',
        );
      for (const { schema, name } of left)
        emit({ type: 'notice', text: `${schema}.${name} has left the job; it stays in the target` });
      const untilLsn = await sides.within('source', 'change the publication', async () => {
        await setPublication(control.client, slot, tables, facts.version);
        return (await serverFacts(control.client)).walLsn;
      });
      if (left.length > 0)
        await sides.within('target', 'move the checkpoint', () =>
          inTransaction(target, () =>
            moveCheckpoint(target.client, settings.name, {
              epoch: state.epoch + 1,
              lsn: parseLsn(state.lsn!),
              lastCommitMicros: undefined,
              tables: state.tables.map((one) =>
                left.includes(one) ? { ...one, untilLsn: formatLsn(untilLsn) } : one,
              ),
            }),
          ),
        );
      if (added.length > 0) this.#count(await loadTables(this.#job, (await this.#state())!, added, false));
      this.#resync = () => false;
    }
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

  /** Numbers that the source gives from now on are not in the target yet, and will not be given there again. */
  async #setSequences(): Promise<void> {
    const { sides, control, target } = this.#job;
    const state = await this.#state();
    const oids = (state?.tables ?? []).map(({ oid }) => oid);
    const sequences = await sides.within('source', 'read its sequences', () =>
      readSequences(control.client, oids),
    );
    await sides.within('target', 'set sequences', () => setSequences(target.client, sequences));
  }

  async #follow(until: Lsn | undefined, around: (landing: ChangeLanding) => ChangeLanding): Promise<void> {
    const { settings, sides, control, slot } = this.#job;
    using watch = watchWal(this.#job);
    try {
      for (let labels = 0; ; ) {
        await this.#addLabels();
        try {
          if ((await this.#followOnce(until, around, watch.signal)) === 'reached') return;
          await this.#idleSlot();
          await this.#settle();
        } catch (error) {
          // A label that came while changes were followed; the changes are sent again.
          if (!isUnknownLabel(error) || labels++ > 100 || (await this.#addLabels()) === 0) throw error;
          await this.#idleSlot();
        }
      }
    } catch (error) {
      if (watch.limitReached && settings.walLimitAction === 'drop')
        await sides.within('source', 'drop the slot', () => dropReplication(control.client, slot, slot));
      throw error;
    }
  }

  async #addLabels(): Promise<number> {
    const { sides, control, target } = this.#job;
    return await sides.within('target', 'add labels to enums', () =>
      addEnumLabels(control.client, target.client),
    );
  }

  async #followOnce(
    until: Lsn | undefined,
    around: (landing: ChangeLanding) => ChangeLanding,
    watched: AbortSignal,
  ): Promise<'reached' | 'asked'> {
    const { settings, sides, slot, facts, control, clock, signal, emit, failpoint } = this.#job;
    const state = (await this.#state())!;
    await using apply = await sides.openTarget('write changes');
    const replica = await sides.within('target', 'write changes', () => silenceTriggers(apply));
    if (!replica)
      emit({
        type: 'notice',
        text: 'the role may not set session_replication_role: triggers and foreign keys of the target act, and changes are written one by one',
      });
    await using replication = await sides.openReplication('follow the change stream');
    return await sides.within('source', 'follow the change stream', () =>
      follow(
        replication,
        {
          slot,
          publication: slot,
          version: facts.version,
          fromLsn: parseLsn(state.lsn!),
          tables: state.tables,
          landing: around(
            new PostgresLanding({
              job: settings.name,
              state,
              source: control.client,
              target: apply.client,
              database: sides.target.name,
              replica,
              emit,
              failpoint,
            }),
          ),
          every: settings.every,
          epochBytes: EPOCH_BYTES,
          until,
          shouldEnd: () => this.#tablesChanged(state),
          folder: this.#folder,
          emit,
          failpoint,
          nowMs: () => clock.now(),
        },
        AbortSignal.any([signal, watched]),
      ),
    );
  }

  /** Whether tables were made, renamed or dropped that make others the tables of the job. */
  async #tablesChanged({ tables }: TargetState): Promise<boolean> {
    const { sides, control } = this.#job;
    const now = (await sides.within('source', 'list its tables', () => listTables(control.client))).filter(
      (table) => this.#isChosen(table) && !this.#unfit.has(table.oid),
    );
    const members = tables.filter(({ untilLsn }) => untilLsn === undefined);
    return (
      now.some((table) => !members.some((one) => isSame(one, table))) ||
      members.some((one) => !now.some((table) => isSame(one, table)))
    );
  }

  /** Once nobody follows it: a process that died may be known to the server a little longer. */
  async #idleSlot(): Promise<SlotState | undefined> {
    const { clock, signal, slot: name, sides, control } = this.#job;
    for (const startedMs = clock.now(); ; await clock.wait(SLOT_LOOK_MS, signal)) {
      const slot = await sides.within('source', 'list slots', () => slotState(control.client, name));
      if (slot?.active !== true) return slot;
      if (clock.now() - startedMs < SLOT_WAIT_MS) continue;
      throw new LongshoreError('RUN_LOCKED', `another process follows the slot ${name}`, {
        hint: 'stop it, or wait until it has ended',
      });
    }
  }

  async #chosenTables(): Promise<SourceTable[]> {
    const { settings, sides, control } = this.#job;
    const all = await sides.within('source', 'list its tables', () => readTables(control.client));
    const [absent] = unmatched(settings.tables, all);
    if (absent !== undefined)
      throw new LongshoreError('TABLE_NOT_FOUND', `${sides.source.name} has no table ${absent}`, {
        hint: 'name tables as schema.table; capitals count',
      });
    return all.filter((table) => this.#isChosen(table));
  }

  #isChosen(table: { readonly schema: string; readonly name: string }): boolean {
    return table.schema !== OWN_SCHEMA && tableFilter(this.#job.settings.tables)(table);
  }

  /** Tables that came into a job that runs must not keep it from running. */
  #isFit(table: SourceTable, { tables }: TargetState): boolean {
    const { follows, emit } = this.#job;
    const problem = tableProblemHere(table, follows);
    if (problem === undefined) return true;
    if (tables.some(({ oid }) => oid === table.oid)) fail(problem.what, problem.fix);
    if (!this.#unfit.has(table.oid))
      emit({ type: 'notice', text: `left out: ${problem.what} → ${problem.fix}` });
    this.#unfit.add(table.oid);
    return false;
  }

  async #checkPresent(names: readonly string[]): Promise<void> {
    const { sides, target } = this.#job;
    const { rows } = await sides.within('target', 'look for the tables', () =>
      target.client.query<{ name: string }>(
        'SELECT n AS name FROM unnest($1::text[]) n WHERE to_regclass(n) IS NULL',
        [names],
      ),
    );
    if (rows[0] !== undefined)
      fail(
        `${rows[0].name} is not in ${sides.target.name}, and --mode cdc loads nothing`,
        'load it there first, or choose --mode full-load-and-cdc',
      );
  }

  async #state(): Promise<TargetState | undefined> {
    const { sides, target, settings } = this.#job;
    return await sides.within('target', 'read its checkpoint', () => readState(target.client, settings.name));
  }

  #count({ rows, bytes }: { readonly rows: number; readonly bytes: number }): void {
    this.#loaded = { rows: this.#loaded.rows + rows, files: 0, bytes: this.#loaded.bytes + bytes };
  }
}

function isSame(one: JobTable, other: { oid: number; schema: string; name: string }): boolean {
  return one.oid === other.oid && one.schema === other.schema && one.name === other.name;
}

/** `invalid_text_representation`: of an enum, a label that the target has not yet. */
function isUnknownLabel(error: unknown): boolean {
  return error instanceof LongshoreError && error.context['sqlState'] === '22P02';
}
