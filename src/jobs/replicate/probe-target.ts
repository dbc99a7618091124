/** Tries on a marker object what a replication does with a bucket: write, write if absent, read, list, delete. */

import { randomUUID } from 'node:crypto';
import { LongshoreError } from '../../errors.ts';
import { listKeys } from '../../stores/list-keys.ts';
import { META_FOLDER } from './layout.ts';
import { type ManifestPlace, putJson, readObject } from './manifest.ts';

/** @throws STORE_UNSUPPORTED where a condition is not honoured; the errors of the store where it refuses something */
export async function probeTarget({ store, prefix, job }: ManifestPlace, signal: AbortSignal): Promise<void> {
  const folder = `${prefix}${META_FOLDER}/${job}/probe-`;
  const key = `${folder}${randomUUID()}.json`;
  const first = Buffer.from('{"written":1}');
  await putJson(store, key, first, false, signal);
  try {
    const again = await putJson(store, key, Buffer.from('{"written":2}'), true, signal);
    const there = await readObject(store, key, signal);
    if (again.kind === 'copied' || there?.equals(first) !== true) {
      throw new LongshoreError(
        'STORE_UNSUPPORTED',
        `${store.name} overwrites an object that was to be written only if it is absent`,
        { hint: 'two processes could land the same epoch: use a store that honours If-None-Match' },
      );
    }
    let listed = false;
    for await (const found of listKeys(store, folder, signal)) listed ||= found === key;
    if (!listed)
      throw new LongshoreError(
        'STORE_UNSUPPORTED',
        `${store.name} does not list what was just written to it`,
        {
          hint: 'use a store whose listings are up to date',
        },
      );
  } finally {
    await store.delete([{ key }], signal);
  }
}
