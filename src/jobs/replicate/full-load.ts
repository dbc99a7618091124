/**
 * The full load: tables under one snapshot, in chunks, each a Parquet file.
 *
 * A chunk is loaded into a temporary file, uploaded under its final name, and noted in the ledger; the files count only
 * when a manifest names them. A load whose process died is gone on with under its snapshot, where that is still held.
 * Where it is not, the tables that are not whole are read under another one: by ranges of their keys where that can be
 * told apart, each with its own place in the log, and from the beginning where it cannot.
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import type { SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../errors.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import type { ObjectHead, ObjectStore } from '../../stores/object-store.ts';
import type { ReplicateListener } from './events.ts';
import { loadFileName, tableFolder, timestampText } from './layout.ts';
import { type ChunkTask, columnsOf } from './load-chunk.ts';
import {
  chunkFields,
  chunkQuery,
  cutByKeys,
  cutByPages,
  hasIntegerKey,
  keySampleQuery,
} from './load-chunks.ts';
import type { Chunk, DoneChunk, LoadLedger, LoadPlan, PlannedTable } from './load-ledger.ts';
import type { LoadThreads } from './load-threads.ts';
import type { Manifest, ManifestFile, ManifestTable } from './manifest.ts';
import { changeSchemaId, manifestColumns, schemaIdOf } from './schema-id.ts';
import type { ReplicateSettings } from './settings.ts';
import type { HeldSnapshot } from './snapshot.ts';
import { NO_STATISTICS } from './statistics.ts';

export interface LoadTarget {
  readonly store: ObjectStore;
  readonly prefix: string;
  /** For temporary files. */
  readonly folder: string;
  /** Whether the files are gone once their epoch has landed. */
  readonly transient?: boolean | undefined;
}

export interface FullLoadOptions {
  readonly settings: ReplicateSettings;
  readonly target: LoadTarget;
  readonly ledger: LoadLedger;
  /** Connected before the snapshot was taken: what happens between the two may keep the load from its tables. */
  readonly threads: LoadThreads;
  readonly systemId: string;
  /** The plan of a load that died. */
  readonly before: LoadPlan | undefined;
  /** Numbers of the files begin behind this, by oid; where the folder of a table has files already. */
  readonly filesBefore: ReadonlyMap<number, number>;
  /** Entries of the tables in the publication, by their oids; none for a load alone. */
  readonly publishedAs: ReadonlyMap<number, number>;
  /** Where the changes begin that are landed after the load; the snapshot's place where it is left out. */
  readonly toLsn: Lsn | undefined;
  /** Gives the snapshot to a process that outlives this one. @returns the name under which it holds it */
  readonly keep: (snapshot: HeldSnapshot) => Promise<string | undefined>;
  /** Throws where another process has the job. */
  readonly checkOurs: () => Promise<void>;
  readonly emit: ReplicateListener;
  /** Of the start of the load, for the timestamp column. */
  readonly nowMs: number;
  readonly failpoint: Failpoint;
}

export interface FullLoad {
  readonly toLsn: Lsn;
  readonly files: readonly ManifestFile[];
  readonly schemas: Manifest['schemas'];
  readonly tables: readonly ManifestTable[];
}

/** Loads every chunk that is not loaded yet. @returns what the manifest says of all of them */
export async function fullLoad(
  options: FullLoadOptions,
  snapshot: HeldSnapshot,
  signal: AbortSignal,
): Promise<FullLoad> {
  const load = new Load(options, snapshot, signal);
  return await load.run();
}

/** What a job without a full load begins with. */
export function loadOfNothing(
  { lsn, tables }: HeldSnapshot,
  { publishedAs, toLsn = lsn }: Pick<FullLoadOptions, 'publishedAs' | 'toLsn'>,
): FullLoad {
  const listed = tables.map((table) => manifestTable(table, lsn, publishedAs.get(table.oid)));
  return { toLsn, files: [], schemas: {}, tables: listed };
}

function manifestTable(source: SourceTable, fromLsn: Lsn, publishedAs: number | undefined): ManifestTable {
  const { oid, schema, name, columns } = source;
  const sent = columns.filter(({ generated }) => !generated);
  const schemaId = changeSchemaId(chunkFields({ ...source, columns: sent }).map(({ column }) => column));
  const entry = publishedAs === undefined ? {} : { publishedAs };
  return { schema, name, oid, fromLsn: formatLsn(fromLsn), ...entry, schemaId, statistics: NO_STATISTICS };
}

class Load {
  readonly #options: FullLoadOptions;
  readonly #snapshot: HeldSnapshot;
  readonly #signal: AbortSignal;
  #kept: Promise<void> | undefined;

  constructor(options: FullLoadOptions, snapshot: HeldSnapshot, signal: AbortSignal) {
    this.#options = options;
    this.#snapshot = snapshot;
    this.#signal = signal;
  }

  async run(): Promise<FullLoad> {
    const { ledger, settings, threads, emit, before } = this.#options;
    const snapshot = this.#snapshot;
    await threads.begin(snapshot);
    const noted = before === undefined ? [] : notesOf(before, await ledger.done(this.#signal));
    const plan = before === undefined ? this.#firstPlan() : await this.#nextPlan(before, noted);
    const chunks = plan.tables.flatMap((table) => table.chunks);
    // What was planned anew has chunks of the same numbers.
    const kept = new Set(
      before?.tables.filter((table) => plan.tables.includes(table)).map(({ table }) => table.oid),
    );
    const loaded = new Map(noted.filter(({ oid }) => kept.has(oid)).map((chunk) => [nameOf(chunk), chunk]));
    const open = chunks.filter((chunk) => !loaded.has(nameOf(chunk)));
    await ledger.writePlan(plan, this.#signal);
    emit({ type: 'load-started', tables: plan.tables.length, chunks: open.length, chunksKept: loaded.size });
    this.#kept = this.#keep(plan);
    const sources = new Map(snapshot.tables.map((table) => [table.oid, table]));
    // While a file is uploaded, the thread that made it loads the next chunk.
    await forEachConcurrent(open, settings.workers * 2, async (chunk) => {
      loaded.set(nameOf(chunk), await this.#load(sources.get(chunk.oid)!, chunk));
    });
    await this.#kept;
    return resultOf(plan, (chunk) => loaded.get(nameOf(chunk))!);
  }

  /** Another process takes the snapshot, and the plan says so; a failure to do so costs no more than the resumption. */
  async #keep(plan: LoadPlan): Promise<void> {
    const { keep, ledger, emit } = this.#options;
    try {
      const name = await keep(this.#snapshot);
      if (name === undefined) return;
      await ledger.writePlan({ ...plan, snapshot: { ...plan.snapshot, name } }, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      emit({ type: 'notice', text: `if this load dies, it begins again: ${(error as Error).message}` });
    }
  }

  #firstPlan(): LoadPlan {
    const { systemId, toLsn } = this.#options;
    const { name, lsn, tables } = this.#snapshot;
    return {
      version: 1,
      systemId,
      snapshot: { name, lsn: formatLsn(lsn) },
      toLsn: formatLsn(toLsn ?? lsn),
      tables: tables.map((table) => this.#tableByPages(table)),
    };
  }

  async #nextPlan(before: LoadPlan, noted: readonly DoneChunk[]): Promise<LoadPlan> {
    const { name, lsn, tables } = this.#snapshot;
    const snapshot = { name, lsn: formatLsn(lsn) };
    // The same one, held by another process.
    if (before.snapshot.lsn === snapshot.lsn) return { ...before, snapshot };
    const planned: PlannedTable[] = [];
    for (const table of before.tables) {
      const source = tables.find(({ oid }) => oid === table.table.oid);
      const next = source && (await this.#tableAgain(table, source, noted));
      if (next !== table) await this.#options.ledger.abandon(table, this.#signal);
      if (next !== undefined) planned.push(next);
    }
    return { ...before, snapshot, tables: planned };
  }

  /** Of a table whose snapshot is gone. @returns the one before where what is loaded of it stays */
  async #tableAgain(
    before: PlannedTable,
    source: SourceTable,
    noted: readonly DoneChunk[],
  ): Promise<PlannedTable> {
    const { schema, name } = before.table;
    if (schema !== source.schema || name !== source.name) return this.#tableByPages(source);
    const count = noted.filter(({ oid }) => oid === source.oid).length;
    if (count === before.chunks.length) return before;
    const byKeys = before.chunks.every(({ keys }) => keys !== undefined);
    // Whoever rewrote or emptied the table did so for all ranges at once.
    const rewritten = String(fileNodes(source)) !== String(before.fileNodes);
    if (byKeys && count > 0 && !rewritten) return before;
    if (before.chunks.length === 1 || !hasIntegerKey(source)) return this.#tableByPages(source);
    const { rows } = await this.#snapshot.session.client.query<{ key: string }>(keySampleQuery(source));
    const sample = rows.map(({ key }) => key);
    const chunks = cutByKeys(source, sample, this.#sizes, this.#firstNumber(source));
    return { ...this.#table(source), chunks };
  }

  #tableByPages(source: SourceTable): PlannedTable {
    return { ...this.#table(source), chunks: cutByPages(source, this.#sizes, this.#firstNumber(source)) };
  }

  #table(source: SourceTable): Omit<PlannedTable, 'chunks'> {
    const publishedAs = this.#options.publishedAs.get(source.oid);
    return { table: manifestTable(source, this.#snapshot.lsn, publishedAs), fileNodes: fileNodes(source) };
  }

  get #sizes() {
    const { maxFileSize, workers } = this.#options.settings;
    return { bytesMax: maxFileSize, workers };
  }

  #firstNumber({ oid }: SourceTable): number {
    return (this.#options.filesBefore.get(oid) ?? 0) + 1;
  }

  async #load(table: SourceTable, chunk: Chunk): Promise<DoneChunk> {
    const { threads, target, ledger, checkOurs, failpoint, emit } = this.#options;
    const { schema, name } = table;
    this.#signal.throwIfAborted();
    const task = this.#taskOf(table, chunk);
    try {
      const { rows, bytes, sha256 } = await threads.load(task);
      const key = tableFolder(table) + loadFileName(chunk.number);
      if (rows > 0) await upload(target, { key, path: task.path, bytes, sha256 }, checkOurs, this.#signal);
      failpoint('chunk-uploaded');
      // A note is of no use to a load that cannot be gone on with.
      await this.#kept;
      const columns = manifestColumns(table, columnsOf(task));
      const file = { key, schema, table: name, schemaId: schemaIdOf(columns), rows, bytes, sha256 };
      const done: DoneChunk = {
        oid: chunk.oid,
        number: chunk.number,
        lsn: formatLsn(this.#snapshot.lsn),
        columns,
        ...(rows > 0 ? { file } : {}),
      };
      await ledger.writeDone(done, this.#signal);
      failpoint('chunk-noted');
      emit({ type: 'chunk-loaded', schema, table: name, rows, bytes });
      return done;
    } finally {
      await rm(task.path, { force: true });
    }
  }

  #taskOf(table: SourceTable, chunk: Chunk): ChunkTask {
    const { settings, target, nowMs } = this.#options;
    const time = timestampText(BigInt(nowMs) * 1000n);
    return {
      query: chunkQuery(table, chunk),
      fields: chunkFields(table),
      before: settings.opInFullLoad ? [{ name: 'Op', text: 'I' }] : [],
      after: settings.timestampColumn === undefined ? [] : [{ name: settings.timestampColumn, text: time }],
      path: join(target.folder, `load-${table.oid}-${chunk.number}.parquet`),
      compression: settings.compression,
      metadata: { 'longshore.table': `${table.schema}.${table.name}`, 'longshore.kind': 'full-load' },
    };
  }
}

/** Those of this plan: a note of one that was abandoned may reach the store late. */
function notesOf({ tables }: LoadPlan, noted: readonly DoneChunk[]): DoneChunk[] {
  const from = new Map(tables.map(({ table }) => [table.oid, parseLsn(table.fromLsn)]));
  return noted.filter(({ oid, lsn }) => {
    const planned = from.get(oid);
    return planned !== undefined && parseLsn(lsn) >= planned;
  });
}

/** What the manifest says of a load whose chunks are all done. */
function resultOf(plan: LoadPlan, doneOf: (chunk: Chunk) => DoneChunk): FullLoad {
  const schemas: Manifest['schemas'] = {};
  const files: ManifestFile[] = [];
  const tables = plan.tables.map(({ table, chunks }): ManifestTable => {
    const done = chunks.map(doneOf);
    for (const { file, columns } of done) {
      if (file === undefined) continue;
      schemas[file.schemaId] = columns;
      files.push(file);
    }
    const lsns = new Set(done.map(({ lsn }) => lsn));
    const [fromLsn] = lsns;
    if (lsns.size <= 1) return { ...table, fromLsn: fromLsn ?? table.fromLsn };
    const ranges = chunks.map((chunk, i) => ({ low: chunk.keys!.low, fromLsn: done[i]!.lsn }));
    return { ...table, keys: { column: chunks[0]!.keys!.column, ranges } };
  });
  files.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { toLsn: parseLsn(plan.toLsn), files, schemas, tables };
}

function nameOf({ oid, number }: { readonly oid: number; readonly number: number }): string {
  return `${oid}-${number}`;
}

function fileNodes({ leaves }: SourceTable): number[] {
  return leaves.map(({ fileNode }) => fileNode);
}

/** A file on the disk that is to be put under its name. */
export interface FinishedFile {
  /** Below the prefix of the job. */
  readonly key: string;
  readonly path: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/**
 * Puts a file under its name. What an attempt before left there is replaced as it was found, and never deleted: a request
 * that was given up may reach the store when others have come after it.
 * @param checkOurs throws where another process has the job; asked before anything is replaced
 * @throws OBJECT_FAILED where somebody else puts something there again and again
 */
export async function upload(
  { store, prefix }: Pick<LoadTarget, 'store' | 'prefix'>,
  file: FinishedFile,
  checkOurs: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { path, bytes: sizeBytes, sha256 } = file;
  const key = prefix + file.key;
  const attributes = { contentType: 'application/vnd.apache.parquet', metadata: { sha256 } };
  let there: ObjectHead | undefined;
  for (let replaced = 0; replaced <= REPLACED_MAX; replaced++) {
    const condition = { ifAbsent: there === undefined, ifTargetEtag: there?.etag };
    const { kind } = await store.put({ key, body: { path }, sizeBytes, attributes, ...condition }, signal);
    if (kind === 'copied') return;
    there = await store.head(key, signal);
    // The answer to an attempt before was lost.
    if (there?.sizeBytes === sizeBytes && there.attributes.metadata['sha256'] === sha256) return;
    await checkOurs();
  }
  throw new LongshoreError('OBJECT_FAILED', `${store.name}/${key} is another one whenever it is looked at`, {
    hint: 'stop whoever else writes below the prefix of this job',
  });
}

const REPLACED_MAX = 5;
