/**
 * Manifests: what makes files part of the replica. An epoch is a range of LSNs, and its manifest names the files that
 * hold exactly the transactions that committed in it. Epoch 0 is the full load. A manifest is written once, on the
 * condition that it is absent; a reader that reads files by their manifests sees all tables at one LSN.
 */

import { z } from 'zod';
import { isRetryable, LongshoreError } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import { listKeys } from '../../stores/list-keys.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { manifestKey, manifestPrefix } from './layout.ts';

export const lsnSchema = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);
const count = z.number().int().nonnegative();

export const manifestColumnSchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  parquet: z.string(),
});

export const fileSchema = z.strictObject({
  /** Below the prefix of the job. */
  key: z.string(),
  schema: z.string(),
  table: z.string(),
  /** Of `schemas`. */
  schemaId: z.string(),
  rows: count,
  bytes: count,
  sha256: z.string(),
  inserts: count.optional(),
  updates: count.optional(),
  deletes: count.optional(),
  firstLsn: lsnSchema.optional(),
  lastLsn: lsnSchema.optional(),
  /** Of changes: names of the columns that say which row one is of; absent where the whole row does. */
  identity: z.array(z.string()).optional(),
});

const eventSchema = z.strictObject({
  kind: z.enum(['truncate', 'schema', 'table-added', 'table-removed']),
  schema: z.string(),
  table: z.string(),
  lsn: lsnSchema,
  /** Place among the changes of its transaction. */
  ordinal: count,
  detail: z.string().optional(),
});

/** Of all epochs up to this one, since the table was loaded last. */
const statisticsSchema = z.strictObject({
  /** Rows of the full load. */
  loaded: count,
  inserts: count,
  updates: count,
  deletes: count,
  /** Changes of columns. */
  ddls: count,
  truncations: count,
  files: count,
  bytes: count,
  /** Of the last change. */
  lastLsn: lsnSchema.optional(),
  /** Microseconds since 1970 of the last commit of its epoch, as text. */
  lastCommitMicros: z.string().optional(),
});

/** A table of the job, and from where on its changes are in change files: what is before is in its full load. */
export const manifestTableSchema = z.strictObject({
  schema: z.string(),
  name: z.string(),
  /** Of the server; another table of the same name has another one. */
  oid: count,
  /** Changes that committed at or behind this are in change files. */
  fromLsn: lsnSchema,
  /** Of a table that left the job: changes that committed before this are still landed. */
  untilLsn: lsnSchema.optional(),
  /** Oid of its entry in the publication, which it loses with its place there; absent as `publicationOid` is. */
  publishedAs: count.optional(),
  /** Of the columns that changes have, as they were last seen. */
  schemaId: z.string(),
  statistics: statisticsSchema,
  /** Where ranges of its keys were loaded at places of their own. */
  keys: z
    .strictObject({
      column: z.string(),
      /** Each up to the next; `low` is null for the first one. */
      ranges: z.array(z.strictObject({ low: z.string().nullable(), fromLsn: lsnSchema })),
    })
    .optional(),
});

export const manifestSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  epoch: count,
  /** `tables`: tables were added, removed or loaded again; its files are of full loads. */
  kind: z.enum(['full-load', 'changes', 'tables']),
  /** Identifier of the PostgreSQL cluster, which a restored or another one has not. */
  systemId: z.string(),
  /** Of the database; another one of the same server has another one. Absent in manifests of before. */
  databaseOid: count.optional(),
  /** Of the publication, which another one of its name has not; absent for a load alone, and in manifests of before. */
  publicationOid: count.optional(),
  /** Everything that committed after this … */
  fromLsn: lsnSchema,
  /** … and up to this is in the files. */
  toLsn: lsnSchema,
  /** Microseconds since 1970 of the last commit, as text; absent where there was none. */
  lastCommitMicros: z.string().optional(),
  /**
   * The commit of the last change in files of changes, by which a log that is another one is known; without a time: no
   * change is in them, and none that committed before this is missing. Absent in manifests of before.
   */
  lastChange: z.strictObject({ lsn: lsnSchema, commitMicros: z.string().optional() }).optional(),
  files: z.array(fileSchema),
  schemas: z.record(z.string(), z.array(manifestColumnSchema)),
  events: z.array(eventSchema),
  tables: z.array(manifestTableSchema),
});

export type Manifest = z.output<typeof manifestSchema>;
export type ManifestFile = Manifest['files'][number];
export type ManifestStatistics = ManifestTable['statistics'];
export type ManifestTable = Manifest['tables'][number];
export type ManifestEvent = Manifest['events'][number];
export type ManifestColumn = z.output<typeof manifestColumnSchema>;

/** Where the manifests of a job lie. */
export interface ManifestPlace {
  readonly store: ObjectStore;
  /** Of the job; ends in a slash, or is empty. */
  readonly prefix: string;
  readonly job: string;
}

/**
 * Writes a manifest.
 * @throws RUN_LOCKED where another process has written that epoch
 */
export async function writeManifest(
  place: ManifestPlace,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<void> {
  const key = place.prefix + manifestKey(place.job, manifest.epoch);
  const body = Buffer.from(`${JSON.stringify(manifest)}\n`);
  const outcome = await putJson(place.store, key, body, true, signal);
  if (outcome.kind === 'copied') return;
  // An answer that was lost leaves our own there.
  const there = await readObject(place.store, key, signal);
  if (there?.equals(body)) return;
  throw landedByOther(place, manifest.epoch);
}

export function landedByOther({ job }: ManifestPlace, epoch: number): LongshoreError {
  return new LongshoreError('RUN_LOCKED', `another process has written epoch ${epoch} of the job ${job}`, {
    hint: 'stop one of the two; whatever this one did not commit was not confirmed to the server either',
  });
}

/**
 * The newest manifest of the job, or undefined for none. Epochs follow one another without a gap, so that it is found
 * by halving, in a few requests, however many there are.
 */
export async function newestManifest(
  place: ManifestPlace,
  signal: AbortSignal,
): Promise<Manifest | undefined> {
  const { store, prefix, job } = place;
  const isThere = async (epoch: number): Promise<boolean> => {
    const startAfter = epoch === 0 ? undefined : prefix + manifestKey(job, epoch - 1);
    const page = await store.list({ prefix: prefix + manifestPrefix(job), startAfter, limit: 1 }, signal);
    return page.objects.length > 0;
  };
  if (!(await isThere(0))) return undefined;
  let there = 0;
  let absent = 1;
  while (await isThere(absent)) {
    there = absent;
    absent *= 2;
  }
  while (absent - there > 1) {
    const middle = Math.floor((there + absent) / 2);
    if (await isThere(middle)) there = middle;
    else absent = middle;
  }
  return readManifest(store, prefix + manifestKey(job, there), signal);
}

/**
 * All manifests of the job, the oldest first.
 * @throws JOURNAL_FOREIGN where one is missing, or does not begin where the one before ends
 */
export async function* allManifests(place: ManifestPlace, signal: AbortSignal): AsyncGenerator<Manifest> {
  let before: Manifest | undefined;
  for await (const key of manifestKeys(place, signal)) {
    const manifest = await readManifest(place.store, key, signal);
    const epoch = before === undefined ? 0 : before.epoch + 1;
    if (manifest.epoch !== epoch || (before !== undefined && manifest.fromLsn !== before.toLsn)) {
      throw new LongshoreError(
        'JOURNAL_FOREIGN',
        `the manifest of epoch ${epoch} of the job ${place.job} is missing before ${place.store.name}/${key}`,
        { hint: RESTORE },
      );
    }
    yield manifest;
    before = manifest;
  }
}

/** Of the manifests, the oldest first. */
export function manifestKeys(
  { store, prefix, job }: ManifestPlace,
  signal: AbortSignal,
): AsyncGenerator<string> {
  return listKeys(store, prefix + manifestPrefix(job), signal);
}

/** @throws JOURNAL_FOREIGN for what is no manifest */
export async function readManifest(store: ObjectStore, key: string, signal: AbortSignal): Promise<Manifest> {
  const manifest = await readJson(store, key, manifestSchema, signal);
  if (manifest !== undefined) return manifest;
  throw new LongshoreError('JOURNAL_FOREIGN', `${store.name}/${key} is gone`, { hint: RESTORE });
}

/**
 * Reads one of the job's own objects; undefined where there is none.
 * @throws JOURNAL_FOREIGN for one that is something else
 */
export async function readJson<T>(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const bytes = await readObject(store, key, signal);
  if (bytes === undefined) return undefined;
  const parsed = schema.safeParse(parseJson(bytes));
  if (parsed.success) return parsed.data;
  throw new LongshoreError('JOURNAL_FOREIGN', `${store.name}/${key} is not what this job writes there`, {
    hint: RESTORE,
  });
}

const RESTORE = 'restore it, or begin a job of another name or under another prefix';

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    // No schema takes it.
    return undefined;
  }
}

/** @param ifAbsent whether an object that is there stays */
export function putJson(
  store: ObjectStore,
  key: string,
  body: Buffer,
  ifAbsent: boolean,
  signal: AbortSignal,
): ReturnType<ObjectStore['put']> {
  const attributes = { contentType: 'application/json', metadata: {} };
  return store.put({ key, body, sizeBytes: body.byteLength, attributes, ifAbsent }, signal);
}

/** Small objects only. A body that breaks off is read again; the store itself tries again only until there is one. */
export function readObject(
  store: ObjectStore,
  key: string,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  let begun = false;
  const read = async (): Promise<Buffer | undefined> => {
    begun = false;
    const opened = await store.get({ key }, signal);
    if (opened === undefined) return undefined;
    begun = true;
    const chunks: Buffer[] = [];
    for await (const chunk of opened.body as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  return withRetry(read, undefined, { signal, shouldRetry: (error) => begun && isRetryable(error) });
}
