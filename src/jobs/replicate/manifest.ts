/**
 * Manifests: what makes files part of the replica. An epoch is a range of LSNs, and its manifest names the files that
 * hold exactly the transactions that committed in it. Epoch 0 is the full load. A manifest is written once, on the
 * condition that it is absent; a reader that reads files by their manifests sees all tables at one LSN.
 */

import { z } from 'zod';
import { LongshoreError } from '../../errors.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { manifestKey, manifestPrefix } from './layout.ts';

const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);
const count = z.number().int().nonnegative();

const columnSchema = z.strictObject({ name: z.string(), type: z.string(), parquet: z.string() });

const fileSchema = z.strictObject({
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
  firstLsn: lsn.optional(),
  lastLsn: lsn.optional(),
});

const eventSchema = z.strictObject({
  kind: z.enum(['truncate', 'schema', 'table-added', 'table-removed']),
  schema: z.string(),
  table: z.string(),
  lsn,
  /** Place among the changes of its transaction. */
  ordinal: count,
  detail: z.string().optional(),
});

export const manifestSchema = z.strictObject({
  version: z.literal(1),
  job: z.string(),
  epoch: count,
  kind: z.enum(['full-load', 'changes']),
  /** Identifier of the PostgreSQL cluster, which a restored or another one has not. */
  systemId: z.string(),
  /** Everything that committed after this … */
  fromLsn: lsn,
  /** … and up to this is in the files. */
  toLsn: lsn,
  /** Microseconds since 1970 of the last commit, as text; absent where there was none. */
  lastCommitMicros: z.string().optional(),
  files: z.array(fileSchema),
  schemas: z.record(z.string(), z.array(columnSchema)),
  events: z.array(eventSchema),
});

export type Manifest = z.output<typeof manifestSchema>;
export type ManifestFile = Manifest['files'][number];
export type ManifestEvent = Manifest['events'][number];
export type ManifestColumn = z.output<typeof columnSchema>;

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
  throw new LongshoreError(
    'RUN_LOCKED',
    `another process has written epoch ${manifest.epoch} of the job ${place.job}`,
    {
      hint: 'stop one of the two; whatever this one did not commit was not confirmed to the server either',
    },
  );
}

/** The newest manifest of the job, or undefined for none. */
export async function newestManifest(
  place: ManifestPlace,
  signal: AbortSignal,
): Promise<Manifest | undefined> {
  let newest: string | undefined;
  for await (const key of manifestKeys(place, signal)) newest = key;
  return newest === undefined ? undefined : readManifest(place.store, newest, signal);
}

/** All manifests of the job, the oldest first. */
export async function* allManifests(place: ManifestPlace, signal: AbortSignal): AsyncGenerator<Manifest> {
  for await (const key of manifestKeys(place, signal)) yield readManifest(place.store, key, signal);
}

async function* manifestKeys(
  { store, prefix, job }: ManifestPlace,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const under = prefix + manifestPrefix(job);
  for (let startAfter: string | undefined; ; ) {
    const page = await store.list({ prefix: under, startAfter }, signal);
    for (const { key } of page.objects) yield key;
    startAfter = page.objects.at(-1)?.key;
    if (!page.more || startAfter === undefined) return;
  }
}

async function readManifest(store: ObjectStore, key: string, signal: AbortSignal): Promise<Manifest> {
  const bytes = await readObject(store, key, signal);
  let value: unknown;
  try {
    value = JSON.parse(bytes?.toString() ?? '');
  } catch {
    value = undefined;
  }
  const parsed = manifestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new LongshoreError('JOURNAL_FOREIGN', `${store.name}/${key} is not a manifest`, {
    hint: 'restore it, or begin a job of another name or under another prefix',
  });
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

/** Small objects only. */
export async function readObject(
  store: ObjectStore,
  key: string,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const opened = await store.get({ key }, signal);
  if (opened === undefined) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of opened.body as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
