/**
 * A replica in a DuckDB database. Its files are staged in a folder beside the database and applied from there, each epoch
 * in one transaction together with the checkpoint that says so.
 *
 * What a crash leaves: before the manifest, what it leaves of any replica → manifest written (the next start applies it) →
 * transaction committed (the next start deletes the files) → files deleted → confirmed to the server by the caller.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError, messageOf } from '../../../errors.ts';
import type { Clock } from '../../../flow/clock.ts';
import type { Failpoint } from '../../../flow/failpoint.ts';
import { deleteKeys } from '../../../stores/list-keys.ts';
import { manifestKey } from '../layout.ts';
import { type Manifest, type ManifestPlace, readManifest } from '../manifest.ts';
import type { ManifestSink } from '../manifest-sink.ts';
import type { ReplicateSettings } from '../settings.ts';
import type { TableName } from '../table-filter.ts';
import { type ApplyOptions, applyManifest, foreign } from './apply-manifest.ts';
import { DuckDbFile, installedDuckDb } from './duckdb-file.ts';
import type { SourceCatalogue } from './source-catalogue.ts';
import { isInMetaSchema, metaSchemaProblem } from './warehouse-problems.ts';
import { isThere, makeState, readCheckpoint, readTables, type WarehouseTable } from './warehouse-state.ts';

export interface WarehouseOptions {
  readonly path: string;
  readonly settings: Pick<ReplicateSettings, 'mode' | 'timestampColumn' | 'workers'>;
  /** Of the staged files. */
  readonly place: ManifestPlace;
  readonly source: SourceCatalogue;
  readonly notice: (text: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly failpoint: Failpoint;
}

/** Makes the folder of the staged files. @throws BUCKET_NOT_FOUND where there is none for the database */
export function makeStaging(path: string): void {
  try {
    mkdirSync(`${path}.longshore`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    throw new LongshoreError('BUCKET_NOT_FOUND', `cannot make ${path}.longshore: ${messageOf(error)}`, {
      cause: error,
      hint: 'make the folder of the database, or name another one with --to',
    });
  }
}

export class Warehouse implements ManifestSink {
  readonly #options: WarehouseOptions;
  #stale: readonly TableName[] = [];

  private constructor(options: WarehouseOptions) {
    this.#options = options;
  }

  /** @throws CHECK_FAILED where DuckDB is not installed */
  static async make(options: WarehouseOptions): Promise<Warehouse> {
    await installedDuckDb();
    return new Warehouse(options);
  }

  async check(tables: readonly SourceTable[]): Promise<void> {
    using db = await this.open();
    for (const table of tables) {
      if (isInMetaSchema(table))
        throw new LongshoreError('CHECK_FAILED', metaSchemaProblem.what, { hint: metaSchemaProblem.fix });
      if (await isThere(db, table)) throw foreign(table, db.path);
    }
  }

  async catchUp(newest: Manifest | undefined): Promise<number> {
    const { place, signal } = this.#options;
    using db = await this.open();
    if (newest !== undefined) this.#note(await this.tables(db), newest);
    const last = newest?.epoch ?? -1;
    const applied = await this.appliedEpoch(db);
    if (applied > last) {
      const files = `${place.store.name} has ${newest === undefined ? 'none' : `${last}`}`;
      throw new LongshoreError(
        'CHECK_FAILED',
        `${db.path} is at epoch ${applied} of ${place.job}, and ${files}`,
        {
          hint: 'restore the folder beside the database, or begin with another file',
        },
      );
    }
    for (let epoch = Math.max(applied, 0); epoch <= last; epoch++) {
      const manifest = await readManifest(place.store, place.prefix + manifestKey(place.job, epoch), signal);
      if (epoch > applied) await this.#apply(db, manifest);
      else await this.#deleteFiles(manifest);
    }
    return last - applied;
  }

  async take(manifest: Manifest): Promise<void> {
    using db = await this.open();
    await this.#apply(db, manifest);
  }

  needsAgain({ schema, name }: TableName): boolean {
    return this.#stale.some((table) => table.schema === schema && table.name === name);
  }

  get needsSome(): boolean {
    return this.#stale.length > 0;
  }

  /** The newest epoch that is applied; -1 for none. */
  async appliedEpoch(db: DuckDbFile): Promise<number> {
    return (await readCheckpoint(db, this.#options.place.job))?.epoch ?? -1;
  }

  tables(db: DuckDbFile): Promise<WarehouseTable[]> {
    return readTables(db, this.#options.place.job);
  }

  get applyOptions(): ApplyOptions {
    const { settings, place, source, notice } = this.#options;
    return {
      source,
      pathOf: (key) => join(place.store.bucket, place.prefix + key),
      follows: settings.mode !== 'full-load',
      reloads: settings.mode === 'full-load-and-cdc',
      timestampColumn: settings.timestampColumn,
      notice,
    };
  }

  async #apply(db: DuckDbFile, manifest: Manifest): Promise<void> {
    const tables = await db.transaction(() => applyManifest(db, manifest, this.applyOptions));
    this.#options.failpoint('applied');
    this.#note(tables, manifest);
    await this.#deleteFiles(manifest);
  }

  async #deleteFiles({ files }: Manifest): Promise<void> {
    const { place, signal } = this.#options;
    await deleteKeys(
      place.store,
      files.map(({ key }) => place.prefix + key),
      signal,
    );
  }

  #note(tables: readonly WarehouseTable[], manifest: Manifest): void {
    const isMember = ({ schema, name }: TableName): boolean =>
      manifest.tables.some((one) => one.schema === schema && one.name === name && one.untilLsn === undefined);
    this.#stale = tables.filter((table) => table.stale !== null && isMember(table));
  }

  /** Opens the database, for as long as it is worked on. */
  async open(): Promise<DuckDbFile> {
    const { path, settings, clock, signal, notice } = this.#options;
    const db = await DuckDbFile.open({ path, threads: settings.workers, clock, signal, onWait: notice });
    try {
      await makeState(db);
      return db;
    } catch (error) {
      db[Symbol.dispose]();
      throw error;
    }
  }
}
