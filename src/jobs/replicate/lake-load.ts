/** Loads of tables into files: under which snapshot, the manifest that says that they are there, and what is left of one that failed. */

import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import {
  dropReplication,
  openTransactions,
  type Publication,
  type ServerFacts,
} from '../../databases/postgres/replication-setup.ts';
import type { SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { messageOf } from '../../errors.ts';
import { unbegin } from './beginning.ts';
import { type FullLoad, fullLoad, loadOfNothing } from './full-load.ts';
import type { LakeJob } from './lake-job.ts';
import { heapBytes } from './load-chunks.ts';
import { LoadLedger, type LoadPlan } from './load-ledger.ts';
import { LoadThreads } from './load-threads.ts';
import { type Manifest, writeManifest } from './manifest.ts';
import { keptTables, type Membership, membershipEvents } from './membership.ts';
import { type HeldSnapshot, snapshotHeldElsewhere, snapshotOfNow, snapshotOfSlot } from './snapshot.ts';
import { endHolders, startHolder } from './snapshot-holder.ts';
import { counted } from './statistics.ts';
import { temporarySlotOf } from './surroundings.ts';
import { deleteVoidFiles } from './void-files.ts';

/** A smaller full load is not worth a process that holds its snapshot. */
const KEPT_BYTES_MIN = 64 * 1024 ** 2;
/** When it is told what a slot that is made waits for. */
const SLOT_TELL_MS = 5_000;

/** Loads what is not loaded yet of some tables. @returns what their manifest says */
export async function loadTables(
  job: LakeJob,
  task: {
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
  },
): Promise<FullLoad> {
  const { mode, keepSnapshot } = job.settings;
  const { facts, ledger, plan, tables, publication, newSlot, toLsn, filesBefore } = task;
  const { signal, env, failpoint } = job.surroundings;
  const source = { connection: job.url.connection, doing: job.doing('take a snapshot'), tables };
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
    mode === 'cdc' ? undefined : await LoadThreads.connect(job.settings.from, job.settings.workers);
  if (snapshot === undefined) {
    await endHolders(job.control.client, job.slot);
    const slot = newSlot && before === undefined ? job.slot : temporarySlotOf(job.settings, 'load');
    if (mode === 'full-load') snapshot = await snapshotOfNow(source);
    else snapshot = await tellingOfWaits(job, snapshotOfSlot(source, slot, slot !== job.slot));
  }
  await using held = snapshot;
  failpoint('snapshot-taken');
  const publishedAs = publication?.entries ?? new Map<number, number>();
  if (threads === undefined) return loadOfNothing(held, { publishedAs, toLsn });
  using watch = mode === 'full-load' ? undefined : job.watchWal();
  const kept = before?.snapshot.lsn === formatLsn(held.lsn);
  const isLarge = held.tables.reduce((sum, table) => sum + heapBytes(table), 0) >= KEPT_BYTES_MIN;
  return await fullLoad(
    {
      settings: job.settings,
      target: job.target,
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
            from: job.settings.from,
            snapshot: name,
            slot: job.slot,
            tables: oids,
            keepMs: keepSnapshot,
          },
          env,
        );
      },
      checkOurs: () => job.checkOurs(ledger.epoch),
      emit: job.emit,
      nowMs: job.nowMs(),
      failpoint,
    },
    held,
    watch === undefined ? signal : AbortSignal.any([signal, watch.signal]),
  );
}

/** A slot is made when every transaction that was open has ended; one that stays open is named. */
async function tellingOfWaits<T>(job: LakeJob, making: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {
    openTransactions(job.control.client).then(
      ([oldest]) => {
        if (oldest !== undefined)
          job.emit({
            type: 'notice',
            text: `the slot is made when this transaction has ended: ${oldest}`,
          });
      },
      (error: unknown) => job.emit({ type: 'notice', text: `the slot takes long: ${messageOf(error)}` }),
    );
  }, SLOT_TELL_MS);
  try {
    return await making;
  } finally {
    clearTimeout(timer);
  }
}

/** Writes the manifest of a load, or of tables that left; then takes away what is of no use any more. */
export async function landLoad(
  job: LakeJob,
  { systemId, databaseOid }: ServerFacts,
  change: Membership | undefined,
  load: FullLoad | undefined,
  publication: Publication | undefined,
  ledger: LoadLedger,
): Promise<Manifest> {
  const { signal, failpoint } = job.surroundings;
  const tables = load?.tables ?? [];
  const toLsn = load === undefined ? change!.checkpoint.toLsn : formatLsn(load.toLsn);
  const lastCommitMicros = change?.checkpoint.lastCommitMicros;
  const lastChange = toLsn === change?.checkpoint.toLsn ? change.checkpoint.lastChange : { lsn: toLsn };
  const manifest = counted({
    version: 1,
    job: job.settings.name,
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
  await writeManifest(job.place, manifest, signal);
  failpoint('load-landed');
  await job.sink?.take(manifest);
  await finishLoad(job, manifest, ledger);
  const rows = manifest.files.reduce((sum, file) => sum + file.rows, 0);
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  const files = manifest.files.length;
  const { loaded } = job.totals;
  job.totals.loaded = {
    rows: loaded.rows + rows,
    files: loaded.files + files,
    bytes: loaded.bytes + bytes,
  };
  if (load !== undefined) job.emit({ type: 'load-finished', lsn: toLsn, rows, files });
  return manifest;
}

/** What stays behind when a process dies right after the manifest of a load: done again, nothing changes. */
export async function finishLoad(
  job: LakeJob,
  manifest: Manifest,
  ledger = new LoadLedger(job.place, manifest.epoch),
): Promise<void> {
  const { signal } = job.surroundings;
  if (manifest.kind === 'changes') return;
  await deleteVoidFiles(job.place, manifest, signal);
  await ledger.close(signal);
  await endHolders(job.control.client, job.slot);
}

/** Takes away all that a load made, on the server and in the bucket. */
export async function clearLoad(job: LakeJob, ledger: LoadLedger): Promise<void> {
  const { slot, place } = job;
  const signal = new AbortController().signal;
  await job.asked('clear away a load', async (client) => {
    await endHolders(client, slot);
    await dropReplication(client, slot, slot);
  });
  const plan = await ledger.plan(signal);
  for (const table of plan?.tables ?? []) await ledger.abandon(table, signal);
  await ledger.close(signal);
  await unbegin(place, signal);
}
