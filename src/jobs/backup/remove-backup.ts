/** Takes one backup away: each object only if it is what was looked at, the manifest last. */

import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import type { DeleteOutcome, DeleteRequest, ObjectHead } from '../../stores/object-store.ts';
import { drillKey } from './drill-record.ts';
import { type BackupPlace, isOwn, type StoredBackup } from './repository.ts';

export interface RemovedBackup {
  /** `held`: an object lock keeps it, and nothing of it was changed. `failed`: its manifest is there yet. */
  readonly end: 'gone' | 'held' | 'failed';
  /** Why it is there yet. */
  readonly why?: string;
  /** Of the lock, in ISO 8601 and UTC. */
  readonly heldUntil?: string;
  /** Objects that were deleted now. */
  readonly objects: number;
  readonly bytes: number;
  /** Of these, those that stay as versions behind a delete marker. */
  readonly markers: number;
}

export interface RemoveOptions {
  /** Keys of backups that are kept, below the prefix. */
  readonly staying: ReadonlySet<string>;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** As many as a store deletes in one request. */
const KEYS_AT_ONCE = 1000;
const HEADS = 16;

/** @throws the errors of the store, but for what it refuses */
export async function removeBackup(
  place: BackupPlace,
  backup: StoredBackup,
  { staying, clock, signal }: RemoveOptions,
): Promise<RemovedBackup> {
  const { manifest, manifestKey, etag } = backup;
  const done = { objects: 0, bytes: 0, markers: 0 };
  const failed = (why: string): RemovedBackup => ({ end: 'failed', why, ...done });
  const sizes = new Map(manifest.files.map(({ key, bytes }) => [key, bytes]));
  const named = [
    ...new Set([...sizes.keys(), ...(manifest.globals === undefined ? [] : [manifest.globals])]),
  ];
  const foreign = named.find((key) => !isOwn(key, manifestKey) || staying.has(key));
  if (foreign !== undefined) return failed(`${manifestKey} names ${foreign}, which is not its own`);
  const drill = drillKey(manifestKey);
  const heads = await headsOf(place, [...named, drill, manifestKey], signal);

  const held = Math.max(...[...heads.values()].map(({ lock }) => lock?.untilMs ?? 0));
  if (held > clock.now()) {
    const heldUntil = new Date(held).toISOString();
    return { end: 'held', why: 'an object lock holds it', heldUntil, ...done };
  }
  for (const [key, { sizeBytes }] of heads) {
    if ((sizes.get(key) ?? sizeBytes) !== sizeBytes) return failed(`${key} is not what was put there`);
  }
  const now = heads.get(manifestKey);
  if (now !== undefined && now.etag !== etag) return failed(`${manifestKey} is another one now`);

  for (const keys of [named, [drill], [manifestKey]]) {
    const requests = keys.flatMap((key) => {
      const head = heads.get(key);
      return head === undefined ? [] : [{ key: head.key, etag: head.etag }];
    });
    for (let at = 0; at < requests.length; at += KEYS_AT_ONCE) {
      const some = requests.slice(at, at + KEYS_AT_ONCE);
      const outcomes = await deleteSome(place, some, signal);
      for (const [i, outcome] of outcomes.entries()) {
        if (outcome.kind !== 'deleted') continue;
        done.objects++;
        done.bytes += heads.get(some[i]!.key.slice(place.prefix.length))!.sizeBytes;
        if (outcome.markerVersionId !== undefined) done.markers++;
      }
      const why = outcomes
        .map((outcome, i) => whyNot(outcome, some[i]!.key))
        .find((one) => one !== undefined);
      if (why !== undefined) return failed(why);
    }
  }
  return { end: 'gone', ...done };
}

/** By their keys below the prefix, of those that are there. */
async function headsOf(
  { store, prefix }: BackupPlace,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, ObjectHead>> {
  const heads = await mapConcurrent(keys, HEADS, (key) => store.head(prefix + key, signal));
  return new Map(heads.flatMap((head, i) => (head === undefined ? [] : [[keys[i]!, head]])));
}

/** A refusal is an outcome, also where one key alone is asked for. */
async function deleteSome(
  { store }: BackupPlace,
  requests: readonly DeleteRequest[],
  signal: AbortSignal | undefined,
): Promise<DeleteOutcome[]> {
  try {
    return await store.delete(requests, signal);
  } catch (error) {
    if (!(error instanceof LongshoreError && error.code === 'STORE_DENIED')) throw error;
    return requests.map(() => ({ kind: 'failed', code: 'AccessDenied', message: error.message }));
  }
}

function whyNot(outcome: DeleteOutcome, key: string): string | undefined {
  if (outcome.kind === 'changed') return `${key} is another one now`;
  if (outcome.kind !== 'failed') return undefined;
  return `the store does not let ${key} be deleted: ${outcome.message || outcome.code}`;
}
