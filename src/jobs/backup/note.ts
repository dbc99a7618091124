/** Small notes of Longshore in the bucket, as JSON: read with their form checked, put whole. */

import { z } from 'zod';
import { LongshoreError } from '../../errors.ts';
import { type BackupPlace, readObject } from './repository.ts';

/** Undefined where there is none. @param key below the prefix @throws OBJECT_FAILED for what has another form */
export async function readNote<T>(
  place: BackupPlace,
  key: string,
  form: z.ZodType<T>,
  signal?: AbortSignal,
): Promise<{ readonly value: T; readonly etag: string } | undefined> {
  const object = await readObject(place, key, signal);
  if (object === undefined) return undefined;
  try {
    return { value: form.parse(JSON.parse(object.body.toString('utf8'))), etag: object.etag };
  } catch (error) {
    if (!(error instanceof z.ZodError || error instanceof SyntaxError)) throw error;
    throw new LongshoreError(
      'OBJECT_FAILED',
      `${place.store.name}/${place.prefix}${key} is not in the form of this Longshore`,
      { cause: error, hint: 'look who else writes there, or use the version that wrote it' },
    );
  }
}

/** What a note is put on the condition of: that nothing is there, that it has this ETag still; none for one that replaces it. */
export interface NoteCondition {
  readonly ifAbsent?: boolean;
  readonly ifTargetEtag?: string;
}

/** @returns its ETag; undefined where the condition does not hold */
export async function putNote(
  { store, prefix }: BackupPlace,
  key: string,
  value: unknown,
  { ifAbsent = false, ifTargetEtag }: NoteCondition = {},
  signal?: AbortSignal,
): Promise<string | undefined> {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  const attributes = { contentType: 'application/json', metadata: {} };
  const request = { key: prefix + key, body, sizeBytes: body.byteLength, attributes, ifAbsent, ifTargetEtag };
  const outcome = await store.put(request, signal);
  return outcome.kind === 'copied' ? outcome.etag : undefined;
}
