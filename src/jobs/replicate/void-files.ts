/** Files of a table from before it was loaded again: who lists its folder must not find its rows twice. */

import { LongshoreError } from '../../errors.ts';
import { deleteKeys, listKeys } from '../../stores/list-keys.ts';
import { loadFileName, loadFileNumber, tableFolder } from './layout.ts';
import type { LoadPlan } from './load-ledger.ts';
import { allManifests, type Manifest, type ManifestPlace } from './manifest.ts';
import type { TableName } from './table-filter.ts';

/** Deletes what manifests before this one say of the tables that came into the job with it. */
export async function deleteVoidFiles(
  place: ManifestPlace,
  { epoch, events, files: own }: Manifest,
  signal: AbortSignal,
): Promise<void> {
  const added = events.filter(({ kind }) => kind === 'table-added');
  if (added.length === 0) return;
  for await (const manifest of allManifests(place, signal)) {
    if (manifest.epoch >= epoch) return;
    const keys = manifest.files
      .filter(({ schema, table }) => added.some((event) => event.schema === schema && event.table === table))
      // A name that was free again may be its own.
      .filter(({ key }) => !own.some((file) => file.key === key))
      .map(({ key }) => place.prefix + key);
    await deleteKeys(place.store, keys, signal);
  }
}

/** The highest number of the files of full loads in the folder of a table; 0 for none. */
export async function lastLoadNumber(
  { store, prefix }: ManifestPlace,
  table: TableName,
  signal: AbortSignal,
): Promise<number> {
  const folder = prefix + tableFolder(table);
  let last = 0;
  for await (const key of listKeys(store, `${folder}LOAD`, signal)) {
    last = Math.max(last, loadFileNumber(key.slice(folder.length)) ?? 0);
  }
  return last;
}

/**
 * Whoever lists the folder of a table that comes into the job must find rows of this job alone.
 * @param plan of a load that died, whose files are there
 * @throws CHECK_FAILED for files of somebody else
 */
export async function checkFolder(
  place: ManifestPlace,
  table: TableName & { readonly oid: number },
  plan: LoadPlan | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { store, prefix, job } = place;
  const folder = prefix + tableFolder(table);
  const [first] = (await store.list({ prefix: folder, limit: 1 }, signal)).objects;
  if (first === undefined) return;
  const own = new Set<string>();
  for await (const { files } of allManifests(place, signal))
    for (const { key } of files) own.add(prefix + key);
  const planned = plan?.tables.find((one) => one.table.oid === table.oid)?.chunks ?? [];
  for (const { number } of planned) own.add(folder + loadFileName(number));
  for await (const key of listKeys(store, folder, signal)) {
    if (own.has(key)) continue;
    throw new LongshoreError(
      'CHECK_FAILED',
      `${store.name}/${key} is there already, and not of the job ${job}`,
      {
        hint: `take it away, or leave the table out with --tables '!${table.schema}.${table.name}'`,
      },
    );
  }
}
