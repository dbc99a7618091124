/**
 * Loads tables of a job, from a snapshot to the checkpoint that says that they are there; goes on with a load that died,
 * as long as its snapshot is held, and clears away what another one left.
 *
 * Steps, and what a crash after each leaves: the job is noted (the next start clears it away) → slot and snapshot (the
 * same) → tables are made and the plan is noted, in one transaction (the next start goes on) → chunks, each with its note
 * (the same) → indexes and constraints, each with its note (the same) → sequences, statistics and the checkpoint, in one
 * transaction (changes are followed).
 */

import { inTransaction } from '../../../databases/postgres/in-transaction.ts';
import { type Lsn, parseLsn } from '../../../databases/postgres/lsn.ts';
import { dropReplication, setPublication } from '../../../databases/postgres/replication-setup.ts';
import { foldTables } from '../../../databases/postgres/schema-create.ts';
import { readSequences, setSequences } from '../../../databases/postgres/sequence-values.ts';
import type { SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError, messageOf } from '../../../errors.ts';
import { heapBytes } from '../load-chunks.ts';
import { type HeldSnapshot, snapshotHeldElsewhere, snapshotOfNow, snapshotOfSlot } from '../snapshot.ts';
import { endHolders, startHolder } from '../snapshot-holder.ts';
import { temporarySlotOf } from '../surroundings.ts';
import { type Job, watchWal } from './job.ts';
import {
  completeTables,
  copyRows,
  isCopied,
  type Loaded,
  type LoadOptions,
  type LoadSources,
} from './load.ts';
import { planLoad } from './plan-load.ts';
import { Readers } from './readers.ts';
import {
  addStatistics,
  claimState,
  endState,
  type JobTable,
  type LoadPlan,
  moveCheckpoint,
  noCounts,
  readState,
  renameSnapshot,
  type TargetState,
  writePlan,
} from './target-state.ts';

/** A smaller load is not worth a process that holds its snapshot. */
const KEPT_BYTES_MIN = 64 * 1024 ** 2;

/** Makes tables, loads them, and moves the checkpoint. @param newSlot whether the slot of the job is made for it */
export async function loadTables(
  job: Job,
  state: TargetState,
  tables: readonly SourceTable[],
  newSlot: boolean,
): Promise<Loaded> {
  const { sides, slot, follows, control } = job;
  if (follows && newSlot)
    await sides.within('source', 'make a publication', () =>
      setPublication(control.client, slot, tables, job.facts.version),
    );
  const plan = await beginLoad(job, state, tables, newSlot);
  return await complete(job, state, plan);
}

/** Until every row is copied: the snapshot is not held for longer, since the source cannot clean up behind it. */
async function beginLoad(
  job: Job,
  state: TargetState,
  tables: readonly SourceTable[],
  newSlot: boolean,
): Promise<LoadPlan> {
  const { settings, sides, slot, follows, target, emit, failpoint } = job;
  const source = { connection: sides.source.connection, doing: sides.doing(sides.source, SNAPSHOT), tables };
  await using readers = await Readers.open(sides, settings.workers);
  await using held = !follows
    ? await snapshotOfNow(source)
    : await snapshotOfSlot(source, newSlot ? slot : temporarySlotOf(settings, 'load'), !newSlot);
  failpoint('snapshot-taken');
  await readers.begin(sides, held);
  const { plan, notices } = await planLoad(held, { settings, state, sides, target });
  failpoint('tables-made');
  for (const text of notices) emit({ type: 'notice', text });
  const kept = keep(job, held, plan);
  try {
    await copy(job, plan, held, { readers, kept });
  } finally {
    await kept;
  }
  return plan;
}

const SNAPSHOT = 'take a snapshot';

/**
 * Goes on with a load that died.
 * @returns undefined where its snapshot is gone before every row is copied, with nothing done
 */
export async function resumeLoad(job: Job, state: TargetState): Promise<Loaded | undefined> {
  const plan = state.plan!;
  const { sides, emit } = job;
  if (!(await isCopied(loadOptions(job, plan)))) {
    const named = plan.tables.map(({ table }) => ({ ...NO_FACTS, ...table, columns: [] }));
    const held = await snapshotHeldElsewhere(
      { connection: sides.source.connection, doing: sides.doing(sides.source, SNAPSHOT), tables: named },
      plan.snapshot.name,
      parseLsn(plan.snapshot.lsn),
    );
    if (held === undefined) return undefined;
    await using snapshot = held;
    await using readers = await Readers.open(sides, job.settings.workers);
    if (!(await canRead(job, readers, snapshot))) return undefined;
    emit({ type: 'notice', text: 'a full load before this one died: it is gone on with' });
    await copy(job, plan, snapshot, { readers, kept: Promise.resolve() });
  }
  return await complete(job, state, plan);
}

/** False where a table was changed while nobody held it: the snapshot is of no use any more. */
async function canRead({ sides }: Job, readers: Readers, held: HeldSnapshot): Promise<boolean> {
  try {
    await readers.begin(sides, held);
    return true;
  } catch (error) {
    if (error instanceof LongshoreError && error.code === 'DATABASE_CONFLICT') return false;
    throw error;
  }
}

/** Only the oid is asked for. */
const NO_FACTS = {
  partitioned: false,
  leaves: [],
  primaryKey: [],
  replicaIdentity: 'd',
  identityColumns: [],
  canSelect: true,
  isOwner: true,
  rowsEstimate: 0,
} as const;

/** Takes away everything that the job made, in the source and in the target. */
export async function clearJob(job: Job, state: TargetState): Promise<void> {
  const { sides, control, slot, follows, target, settings } = job;
  await sides.within('source', 'clear away a load', async () => {
    await endHolders(control.client, slot);
    if (follows) await dropReplication(control.client, slot, slot);
  });
  await sides.within('target', 'clear away a load', () =>
    inTransaction(target.client, async () => {
      await claimState(target.client, settings.name);
      for (const text of foldTables([...(state.plan?.drops ?? []), ...state.drops]))
        await target.client.query(text);
      await endState(target.client, settings.name);
    }),
  );
}

/** Takes away what a load of more tables made that died and cannot be gone on with; the job stays. */
export async function clearLoad(
  { sides, control, slot, target, settings }: Job,
  plan: LoadPlan,
): Promise<void> {
  await sides.within('source', 'clear away a load', () => endHolders(control.client, slot));
  await sides.within('target', 'clear away a load', () =>
    inTransaction(target.client, async () => {
      await claimState(target.client, settings.name);
      for (const text of plan.drops) await target.client.query(text);
      await writePlan(target.client, settings.name, undefined);
    }),
  );
}

async function copy(
  job: Job,
  plan: LoadPlan,
  held: HeldSnapshot,
  sources: Omit<LoadSources, 'tables'>,
): Promise<void> {
  using watch = job.follows ? watchWal(job) : undefined;
  const signal = watch === undefined ? job.signal : AbortSignal.any([job.signal, watch.signal]);
  const tables = new Map(held.tables.map((table) => [table.oid, table]));
  await copyRows(loadOptions(job, plan), { ...sources, tables }, signal);
}

async function complete(job: Job, state: TargetState, plan: LoadPlan): Promise<Loaded> {
  const { sides, control, slot, emit, failpoint } = job;
  await sides.within('source', 'let the snapshot go', () => endHolders(control.client, slot));
  using watch = job.follows ? watchWal(job) : undefined;
  const signal = watch === undefined ? job.signal : AbortSignal.any([job.signal, watch.signal]);
  const loaded = await completeTables(loadOptions(job, plan), signal);
  await finish(job, state, plan, loaded);
  failpoint('load-landed');
  emit({ type: 'load-finished', lsn: plan.snapshot.lsn, rows: loaded.rows, files: 0 });
  return loaded;
}

function loadOptions({ settings, sides, emit, failpoint }: Job, plan: LoadPlan): LoadOptions {
  return {
    job: settings.name,
    workers: settings.workers,
    plan,
    openTarget: (action) => sides.openTarget(action),
    doing: (action) => sides.doing(sides.target, action),
    emit,
    failpoint,
  };
}

async function finish(job: Job, state: TargetState, plan: LoadPlan, loaded: Loaded): Promise<void> {
  const { settings, sides, control, target } = job;
  const tables = plan.tables.map(({ table }) => table);
  const sequences = await sides.within('source', 'read its sequences', () =>
    readSequences(
      control.client,
      tables.map(({ oid }) => oid),
    ),
  );
  const isLoaded = (one: JobTable): boolean =>
    tables.some(({ oid, schema, name }) => oid === one.oid || (schema === one.schema && name === one.name));
  const lsn: Lsn = parseLsn(state.lsn ?? plan.snapshot.lsn);
  await sides.within('target', 'move the checkpoint', () =>
    inTransaction(target.client, async () => {
      await moveCheckpoint(target.client, settings.name, {
        epoch: state.epoch + 1,
        lsn,
        lastCommitMicros: undefined,
        tables: [...state.tables.filter((one) => !isLoaded(one)), ...tables],
        drops: [...plan.drops, ...state.drops],
      });
      await setSequences(target.client, sequences);
      await addStatistics(
        target.client,
        settings.name,
        tables.map((table) => [table, { ...noCounts(), loaded: loaded.rowsByTable.get(table.oid) ?? 0 }]),
      );
      await writePlan(target.client, settings.name, undefined);
    }),
  );
}

/** Gives the snapshot to a process that outlives this one, and the plan its name; a failure costs no more than the resumption. */
async function keep(job: Job, held: HeldSnapshot, plan: LoadPlan): Promise<void> {
  const { settings, sides, slot, env, emit } = job;
  const bytes = held.tables.reduce((sum, table) => sum + heapBytes(table), 0);
  if (settings.keepSnapshot === 0 || bytes < KEPT_BYTES_MIN) return;
  try {
    const name = await startHolder(
      {
        from: settings.from,
        snapshot: held.name,
        slot,
        tables: held.tables.map(({ oid }) => oid),
        keepMs: settings.keepSnapshot,
      },
      env,
    );
    await using session = await sides.openTarget('note the snapshot');
    await renameSnapshot(session.client, settings.name, plan.id, name);
  } catch (error) {
    emit({ type: 'notice', text: `if this load dies, it begins again: ${messageOf(error)}` });
  }
}

/** Whatever the load got to, for the next start. @returns whether there is something to go on with */
export async function hasPlan({ target, settings }: Job): Promise<boolean> {
  return (await readState(target.client, settings.name))?.plan !== undefined;
}
