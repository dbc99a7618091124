/**
 * The beginning of a job: a note in the bucket, written before anything else is made. A start that died is recognised by
 * it, and what it made is cleared away; files of somebody else are never touched.
 */

import { LongshoreError } from '../../errors.ts';
import { deleteKeys, listKeys } from '../../stores/list-keys.ts';
import { beginningKey, tableFolder } from './layout.ts';
import { type ManifestPlace, putJson, readObject } from './manifest.ts';
import type { TableName } from './table-filter.ts';

/** What stands in the note. */
interface Beginning {
  readonly systemId: string;
  readonly tables: readonly TableName[];
}

/** Whether a start of this job died before its first manifest. */
export async function wasBegun(place: ManifestPlace, signal: AbortSignal): Promise<boolean> {
  return (await readObject(place.store, place.prefix + beginningKey(place.job), signal)) !== undefined;
}

/**
 * Notes the beginning, where nothing lies in the folders of the tables; clears them where a start of this job died.
 * @throws CHECK_FAILED where files of another job lie there
 */
export async function begin(
  place: ManifestPlace,
  systemId: string,
  tables: readonly TableName[],
  signal: AbortSignal,
): Promise<void> {
  const { store, prefix, job } = place;
  await unbegin(place, signal);
  for (const table of tables) {
    const folder = prefix + tableFolder(table);
    const [found] = (await store.list({ prefix: folder, limit: 1 }, signal)).objects;
    if (found === undefined) continue;
    throw new LongshoreError(
      'CHECK_FAILED',
      `${store.name}/${found.key} is there already, and not of the job ${job}`,
      {
        hint: 'name another prefix with --to, or take the files away',
      },
    );
  }
  // Who may write and not delete learns it now, and not when everything is loaded.
  await deleteKeys(store, [prefix + beginningKey(job)], signal);
  const note: Beginning = { systemId, tables: tables.map(({ schema, name }) => ({ schema, name })) };
  await putJson(store, prefix + beginningKey(job), Buffer.from(JSON.stringify(note)), false, signal);
}

/** Clears the folders of the tables of a start that died, and takes its note away; nothing where there is none. */
export async function unbegin(place: ManifestPlace, signal: AbortSignal): Promise<void> {
  const { store, prefix, job } = place;
  const there = await readObject(store, prefix + beginningKey(job), signal);
  if (there === undefined) return;
  const { tables } = JSON.parse(there.toString()) as Beginning;
  for (const table of tables) {
    const keys = await Array.fromAsync(listKeys(store, prefix + tableFolder(table), signal));
    await deleteKeys(store, keys, signal);
  }
  await deleteKeys(store, [prefix + beginningKey(job)], signal);
}
