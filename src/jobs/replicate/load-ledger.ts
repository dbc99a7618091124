/**
 * The ledger of a full load, in the bucket: a note that it was begun, its plan, and a note for each chunk whose file is
 * in place. A load that died is gone on with from it, or cleared away by it; files of somebody else are never touched.
 */

import { z } from 'zod';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import { deleteKeys, deleteObjects, listKeys } from '../../stores/list-keys.ts';
import type { DeleteRequest } from '../../stores/object-store.ts';
import { chunkKey, chunksPrefix, loadFileName, planKey, tableFolder } from './layout.ts';
import {
  fileSchema,
  lsnSchema,
  type ManifestPlace,
  manifestColumnSchema,
  manifestTableSchema,
  putJson,
  readJson,
} from './manifest.ts';

const count = z.number().int().nonnegative();

/** A part of a table that becomes one file: pages of a leaf, or a range of keys. */
export const chunkSchema = z.strictObject({
  oid: count,
  leaf: z.strictObject({ schema: z.string(), name: z.string() }),
  /** From 1, in its table. */
  number: count,
  /** Pages from `low` to before `high`; without `high` to the end. */
  pages: z.strictObject({ low: count, high: count.optional() }).optional(),
  /** Keys from `low` to before `high`, open where null. */
  keys: z
    .strictObject({ column: z.string(), low: z.string().nullable(), high: z.string().nullable() })
    .optional(),
});

const plannedTableSchema = z.strictObject({
  table: manifestTableSchema,
  /** Of its leaves, when the snapshot was taken: others where it was rewritten or emptied since. */
  fileNodes: z.array(count),
  chunks: z.array(chunkSchema),
});

const planSchema = z.strictObject({
  version: z.literal(1),
  systemId: z.string(),
  /** That is being read; its name, and where it stands in the log. */
  snapshot: z.strictObject({ name: z.string(), lsn: lsnSchema }),
  /** Where the changes begin that are landed after the load. */
  toLsn: lsnSchema,
  tables: z.array(plannedTableSchema),
});

const doneSchema = z.strictObject({
  oid: count,
  number: count,
  /** Under which it was read. */
  lsn: lsnSchema,
  /** Absent for a chunk without rows. */
  file: fileSchema.optional(),
  columns: z.array(manifestColumnSchema),
});

export type Chunk = z.output<typeof chunkSchema>;
export type PlannedTable = z.output<typeof plannedTableSchema>;
export type LoadPlan = z.output<typeof planSchema>;
export type DoneChunk = z.output<typeof doneSchema>;

const AT_ONCE = 16;

/** Of one load, which becomes the files of one epoch. */
export class LoadLedger {
  readonly #place: ManifestPlace;
  readonly #epoch: number;

  constructor(place: ManifestPlace, epoch: number) {
    this.#place = place;
    this.#epoch = epoch;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** @throws JOURNAL_FOREIGN for a plan that cannot be read */
  plan(signal: AbortSignal): Promise<LoadPlan | undefined> {
    const { store, prefix, job } = this.#place;
    return readJson(store, prefix + planKey(job, this.#epoch), planSchema, signal);
  }

  async writePlan(plan: LoadPlan, signal: AbortSignal): Promise<void> {
    const { store, prefix, job } = this.#place;
    await putJson(store, prefix + planKey(job, this.#epoch), jsonOf(plan), false, signal);
  }

  /** Notes a chunk whose file is in place. */
  async writeDone(done: DoneChunk, signal: AbortSignal): Promise<void> {
    await putJson(this.#place.store, this.#keyOf(done), jsonOf(done), false, signal);
  }

  async done(signal: AbortSignal): Promise<DoneChunk[]> {
    const { store } = this.#place;
    const keys = await Array.fromAsync(listKeys(store, this.#chunksPrefix, signal));
    const done: DoneChunk[] = [];
    await forEachConcurrent(keys, AT_ONCE, async (key) => {
      const note = await readJson(store, key, doneSchema, signal);
      if (note !== undefined) done.push(note);
    });
    return done;
  }

  /** Takes everything that was loaded of a table away: the notes first, since a file without one is made again. */
  async abandon({ table, chunks }: PlannedTable, signal: AbortSignal): Promise<void> {
    const { store, prefix } = this.#place;
    await deleteKeys(
      store,
      chunks.map((chunk) => this.#keyOf(chunk)),
      signal,
    );
    // As they are now: a deletion that was given up may reach the store when the names are of other files.
    const folder = prefix + tableFolder(table);
    const found: DeleteRequest[] = [];
    await forEachConcurrent(chunks, AT_ONCE, async ({ number }) => {
      const head = await store.head(folder + loadFileName(number), signal);
      if (head !== undefined) found.push({ key: head.key, etag: head.etag });
    });
    await deleteObjects(store, found, signal);
  }

  /** Takes the notes away, the plan last; the files stay. */
  async close(signal: AbortSignal): Promise<void> {
    const { store, prefix, job } = this.#place;
    const keys = await Array.fromAsync(listKeys(store, this.#chunksPrefix, signal));
    await deleteKeys(store, keys, signal);
    await deleteKeys(store, [prefix + planKey(job, this.#epoch)], signal);
  }

  get #chunksPrefix(): string {
    return this.#place.prefix + chunksPrefix(this.#place.job, this.#epoch);
  }

  #keyOf({ oid, number }: Pick<DoneChunk, 'oid' | 'number'>): string {
    return this.#place.prefix + chunkKey(this.#place.job, this.#epoch, oid, number);
  }
}

function jsonOf(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}
