/** Files of a table from before it was loaded again: who lists its folder must not find its rows twice. */

import { deleteKeys, listKeys } from '../../stores/list-keys.ts';
import { loadFileNumber, tableFolder } from './layout.ts';
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
