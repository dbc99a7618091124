/** Runs a replication: checks what it needs, loads what is not loaded, follows what changes. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { folderPrefix, parseStoreUrl } from '../../config/store-url.ts';
import { type Doing, postgresError } from '../../databases/postgres/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import {
  beginUnderSnapshot,
  checkServer,
  createSlot,
  dropReplication,
  type ServerFacts,
  serverFacts,
  setPublication,
  slotState,
} from '../../databases/postgres/replication-setup.ts';
import { quotedTable, readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../errors.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import { type Failpoint, noFailpoint } from '../../flow/failpoint.ts';
import { openStore } from '../../stores/open-store.ts';
import { begin, wasBegun } from './beginning.ts';
import type { ReplicateListener } from './events.ts';
import { follow } from './follow.ts';
import { type FullLoad, fullLoad, type LoadTarget } from './full-load.ts';
import { type Manifest, type ManifestPlace, newestManifest, writeManifest } from './manifest.ts';
import { type ReplicateOptions, type ReplicateSettings, resolveReplicateOptions } from './settings.ts';
import { tableFilter, unmatched } from './table-filter.ts';
import { columnProblem, identityProblem } from './table-problems.ts';
import { TableRegistry } from './table-registry.ts';

export interface ReplicateEnvironment {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly clock?: Clock | undefined;
  readonly emit?: ReplicateListener | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly failpoint?: Failpoint | undefined;
}

export interface ReplicateSummary {
  readonly job: string;
  readonly seconds: number;
  /** The newest epoch of the replica. */
  readonly epoch: number;
  /** Everything that committed up to this is in the files. */
  readonly lsn: string;
  /** Of this process. */
  readonly loaded: { readonly rows: number; readonly files: number; readonly bytes: number };
  readonly changes: number;
}

/**
 * Replicates tables of a PostgreSQL database into Parquet files.
 *
 * May be called again after it failed, was stopped or its process died: it goes on behind the last epoch that is in
 * the bucket.
 *
 * @throws {LongshoreError} CONFIG_INVALID, URL_INVALID, CHECK_FAILED, RUN_LOCKED and the errors of the store and database
 * @example
 * ```ts
 * import { replicate } from 'longshore';
 * await replicate({ from: 'postgres://localhost/shop', to: 's3://lake/shop/', untilCaughtUp: true });
 * ```
 */
export async function replicate(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<ReplicateSummary> {
  const settings = resolveReplicateOptions(options);
  await using stack = new AsyncDisposableStack();
  const replication = await Replication.open(settings, environment, stack);
  return await replication.run();
}

/** Takes the slot and the publication of a job away; its files stay. */
export async function dropReplicationOf(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<void> {
  const settings = resolveReplicateOptions(options);
  const url = databaseOf(settings, environment.env ?? process.env);
  const doing = {
    action: `drop the replication of ${url.name}`,
    database: url.name,
    user: url.connection.user,
  };
  await using session = await openSession(url.connection, { doing });
  try {
    await dropReplication(session.client, slotOf(settings), slotOf(settings));
  } catch (error) {
    throw postgresError(error, doing);
  }
}

/** Of the slot, and of the publication. */
export function slotOf({ name }: Pick<ReplicateSettings, 'name'>): string {
  return name === 'longshore' ? name : `longshore_${name}`;
}

function databaseOf(settings: ReplicateSettings, env: Readonly<Record<string, string | undefined>>) {
  const url = parseDatabaseUrl(settings.from, env);
  if (url.dialect === 'postgres') return url;
  throw new LongshoreError('URL_INVALID', `${url.name} is no PostgreSQL`, { hint: 'give a postgres:// URL' });
}

class Replication {
  readonly #settings: ReplicateSettings;
  readonly #clock: Clock;
  readonly #emit: ReplicateListener;
  readonly #signal: AbortSignal;
  readonly #failpoint: Failpoint;
  readonly #url: ReturnType<typeof databaseOf>;
  readonly #control: Session;
  readonly #place: ManifestPlace;
  readonly #target: LoadTarget;
  #loaded = { rows: 0, files: 0, bytes: 0 };
  #changes = 0;

  private constructor(parts: {
    settings: ReplicateSettings;
    environment: ReplicateEnvironment;
    url: ReturnType<typeof databaseOf>;
    control: Session;
    place: ManifestPlace;
    target: LoadTarget;
  }) {
    this.#settings = parts.settings;
    this.#clock = parts.environment.clock ?? systemClock;
    const emit = parts.environment.emit ?? (() => undefined);
    this.#emit = (event) => {
      if (event.type === 'epoch-landed') this.#changes += event.changes;
      emit(event);
    };
    this.#signal = parts.environment.signal ?? new AbortController().signal;
    this.#failpoint = parts.environment.failpoint ?? noFailpoint;
    this.#url = parts.url;
    this.#control = parts.control;
    this.#place = parts.place;
    this.#target = parts.target;
  }

  static async open(
    settings: ReplicateSettings,
    environment: ReplicateEnvironment,
    stack: AsyncDisposableStack,
  ): Promise<Replication> {
    const env = environment.env ?? process.env;
    const url = databaseOf(settings, env);
    const to = parseStoreUrl(settings.to);
    const { store } = stack.use(await openStore(to, { env, clock: environment.clock ?? systemClock }));
    const folder = mkdtempSync(join(tmpdir(), 'longshore-replicate-'));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const prefix = folderPrefix(to.prefix);
    const doing = {
      action: `read the catalogue of ${url.name}`,
      database: url.name,
      user: url.connection.user,
    };
    const control = stack.use(await openSession(url.connection, { doing }));
    return new Replication({
      settings,
      environment,
      url,
      control,
      place: { store, prefix, job: settings.name },
      target: { store, prefix, folder },
    });
  }

  async run(): Promise<ReplicateSummary> {
    const { mode, untilCaughtUp } = this.#settings;
    const startedMs = this.#clock.now();
    const facts = await this.#asked((client) => serverFacts(client), 'ask about itself');
    const follows = mode !== 'full-load';
    const before = await newestManifest(this.#place, this.#signal);
    const slot = follows
      ? await this.#asked((client) => slotState(client, slotOf(this.#settings)), 'list slots')
      : undefined;
    // A slot that is ours already is not another one.
    checkServer(
      slot === undefined ? facts : { ...facts, slotsFree: facts.slotsFree + 1 },
      this.#url.name,
      follows,
    );
    const tables = await this.#chosenTables(follows);
    let checkpoint: Manifest;
    if (before === undefined) checkpoint = await this.#begin(facts, tables, slot !== undefined);
    else {
      this.#checkCheckpoint(before, facts, slot, follows);
      checkpoint = before;
    }
    if (follows) {
      const until = untilCaughtUp
        ? (await this.#asked((client) => serverFacts(client), 'tell where its log ends')).walLsn
        : undefined;
      checkpoint = await this.#follow(facts, tables, checkpoint, until);
    }
    const seconds = (this.#clock.now() - startedMs) / 1000;
    this.#emit({ type: 'run-finished', seconds });
    return {
      job: this.#settings.name,
      seconds,
      epoch: checkpoint.epoch,
      lsn: checkpoint.toLsn,
      loaded: this.#loaded,
      changes: this.#changes,
    };
  }

  async #chosenTables(follows: boolean): Promise<SourceTable[]> {
    const all = await this.#asked((client) => readTables(client), 'list its tables');
    const { tables: patterns } = this.#settings;
    const [absent] = unmatched(patterns, all);
    if (absent !== undefined) {
      throw new LongshoreError('TABLE_NOT_FOUND', `${this.#url.name} has no table ${absent}`, {
        hint: 'name tables as schema.table; capitals count',
      });
    }
    const chosen = all.filter(tableFilter(patterns));
    const fail = (what: string, hint: string): never => {
      throw new LongshoreError('CHECK_FAILED', what, { hint });
    };
    if (chosen.length === 0)
      fail(`no table of ${this.#url.name} is chosen by ${patterns.join(', ')}`, 'choose some with --tables');
    for (const table of chosen) {
      const name = `${table.schema}.${table.name}`;
      if (!table.canSelect)
        fail(`the role may not read ${name}`, `GRANT SELECT ON ${quotedTable(table)} TO the role`);
      const problem =
        columnProblem(table, this.#settings.timestampColumn) ??
        (follows ? identityProblem(table) : undefined);
      if (problem !== undefined) fail(problem.what, problem.fix);
    }
    return chosen;
  }

  /** @throws CHECK_FAILED where the slot and the files do not belong together any more */
  #checkCheckpoint(
    { systemId, toLsn, epoch }: Manifest,
    facts: ServerFacts,
    slot: Awaited<ReturnType<typeof slotState>>,
    follows: boolean,
  ): void {
    const resync = 'begin a job of another name or under another prefix, which loads everything again';
    const fail = (what: string, hint: string): never => {
      throw new LongshoreError('CHECK_FAILED', what, { hint });
    };
    if (systemId !== facts.systemId) fail(`the files are of another server than ${this.#url.name}`, resync);
    if (!follows) {
      fail(
        `the job ${this.#settings.name} has loaded already (epoch ${epoch})`,
        'give another --name or another prefix',
      );
    }
    const name = slotOf(this.#settings);
    if (slot === undefined)
      fail(`the replication slot ${name} is gone: changes since ${toLsn} are lost`, resync);
    if (slot!.lost) fail(`the server has given up the log that the slot ${name} needs`, resync);
    if (slot!.active) fail(`another process follows the slot ${name}`, 'stop it, or wait until it has ended');
    const confirmed: Lsn | undefined = slot!.confirmedLsn;
    if (confirmed !== undefined && confirmed > parseLsn(toLsn)) {
      fail(
        `the slot ${name} is at ${formatLsn(confirmed)}, ahead of the files at ${toLsn}: changes between are lost`,
        resync,
      );
    }
  }

  /** The full load, or without one the place from which changes are followed. */
  async #begin(facts: ServerFacts, tables: SourceTable[], slotThere: boolean): Promise<Manifest> {
    const { mode, name } = this.#settings;
    const slot = slotOf(this.#settings);
    const died = await wasBegun(this.#place, this.#signal);
    if (slotThere && !died) {
      throw new LongshoreError('CHECK_FAILED', `the slot ${slot} is there, and no files of the job ${name}`, {
        hint: '`longshore replicate drop` takes it away, if nobody else uses it',
      });
    }
    if (died) {
      this.#emit({ type: 'notice', text: 'a start before this one died: what it loaded is loaded again' });
      await this.#asked(
        (client) => dropReplication(client, slot, slot),
        'drop the slot of a start that died',
      );
    }
    await begin(this.#place, facts.systemId, tables, this.#signal);
    if (mode === 'full-load') {
      await using holder = await this.#session('take a snapshot');
      const { snapshot, lsn } = await exportSnapshot(holder);
      await lockTables(holder, tables);
      return this.#land(facts, lsn, await this.#load(tables, snapshot));
    }
    try {
      await this.#asked(
        (client) => setPublication(client, slot, tables, facts.version),
        'make a publication',
      );
      await using replication = await this.#session('make a replication slot', true);
      const created = await this.#within('make a replication slot', () =>
        createSlot(replication.client, slot),
      );
      if (mode === 'cdc') return await this.#land(facts, created.consistentLsn, { files: [], schemas: {} });
      await using holder = await this.#session('take the snapshot');
      await beginUnderSnapshot(holder.client, created.snapshot);
      await lockTables(holder, tables);
      return await this.#land(facts, created.consistentLsn, await this.#load(tables, created.snapshot));
    } catch (error) {
      // A start that fails leaves nothing on the server.
      await dropReplication(this.#control.client, slot, slot).catch(() => undefined);
      throw error;
    }
  }

  #load(tables: readonly SourceTable[], snapshot: string): Promise<FullLoad> {
    const about = { emit: this.#emit, nowMs: this.#clock.now(), failpoint: this.#failpoint };
    return fullLoad(this.#settings, tables, snapshot, this.#target, about, this.#signal);
  }

  async #land(facts: ServerFacts, lsn: Lsn, load: FullLoad): Promise<Manifest> {
    const manifest: Manifest = {
      version: 1,
      job: this.#settings.name,
      epoch: 0,
      kind: 'full-load',
      systemId: facts.systemId,
      fromLsn: '0/0',
      toLsn: formatLsn(lsn),
      files: [...load.files],
      schemas: { ...load.schemas },
      events: [],
    };
    await writeManifest(this.#place, manifest, this.#signal);
    this.#loaded = {
      rows: load.files.reduce((sum, { rows }) => sum + rows, 0),
      files: load.files.length,
      bytes: load.files.reduce((sum, { bytes }) => sum + bytes, 0),
    };
    this.#emit({
      type: 'load-finished',
      lsn: manifest.toLsn,
      rows: this.#loaded.rows,
      files: this.#loaded.files,
    });
    return manifest;
  }

  async #follow(
    facts: ServerFacts,
    tables: readonly SourceTable[],
    checkpoint: Manifest,
    until: Lsn | undefined,
  ): Promise<Manifest> {
    const slot = slotOf(this.#settings);
    await using replication = await this.#session('follow the change stream', true);
    const registry = new TableRegistry(this.#control.client, tables);
    await this.#within('follow the change stream', () =>
      follow(
        replication,
        {
          settings: this.#settings,
          slot,
          publication: slot,
          version: facts.version,
          checkpoint,
          until,
          place: this.#place,
          target: this.#target,
          registry,
          emit: this.#emit,
          failpoint: this.#failpoint,
          nowMs: () => this.#clock.now(),
        },
        this.#signal,
      ),
    );
    return (await newestManifest(this.#place, this.#signal)) ?? checkpoint;
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
      this.#signal.throwIfAborted();
      throw postgresError(error, this.#doing(action));
    }
  }
}

async function exportSnapshot({ client }: Session): Promise<{ snapshot: string; lsn: Lsn }> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const { rows } = await client.query<{ snapshot: string; lsn: string }>(
    `SELECT pg_export_snapshot() AS snapshot,
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn`,
  );
  return { snapshot: rows[0]!.snapshot, lsn: parseLsn(rows[0]!.lsn) };
}

/** Before anything is read: a table that is truncated or rewritten afterwards would look empty to the snapshot. */
async function lockTables({ client }: Session, tables: readonly SourceTable[]): Promise<void> {
  await client.query(`LOCK TABLE ${tables.map(quotedTable).join(', ')} IN ACCESS SHARE MODE`);
}
