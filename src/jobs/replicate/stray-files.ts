/** Parquet files in the folders of tables that belong to no replica: whoever lists a folder reads them. */

import { listKeys } from '../../stores/list-keys.ts';
import { META_FOLDER, tableFolder } from './layout.ts';
import { type Manifest, type ManifestPlace, manifestKeys, readManifest } from './manifest.ts';
import type { TableName } from './table-filter.ts';

export interface StrayFiles {
  /** Some of them, below the prefix of the job. */
  readonly listed: readonly string[];
  readonly count: number;
}

const LISTED = 20;

/** By tables, in their order. @param manifests of the job */
export async function strayFiles(
  place: ManifestPlace,
  tables: readonly TableName[],
  manifests: readonly Manifest[],
  signal: AbortSignal,
): Promise<StrayFiles[]> {
  const own = new NamedFiles();
  for (const manifest of manifests) own.add(manifest);
  let others: readonly NamedFiles[] | undefined;
  const found: StrayFiles[] = [];
  for (const table of tables) {
    const listed: string[] = [];
    let count = 0;
    for await (const key of listKeys(place.store, place.prefix + tableFolder(table), signal)) {
      const name = key.slice(place.prefix.length);
      if (!/\.parquet$/i.test(name) || own.has(table, name)) continue;
      others ??= await filesOfOthers(place, signal);
      if (others.some((files) => files.has(table, name))) continue;
      count++;
      if (listed.length < LISTED) listed.push(name);
    }
    found.push({ listed, count });
  }
  return found;
}

/** What manifests name. Of a table that was loaded again, only what was named since. */
class NamedFiles {
  /** By the folder of their table. */
  readonly #named = new Map<string, Set<string>>();

  add({ files, events }: Manifest): void {
    for (const { kind, schema, table } of events)
      if (kind === 'table-added') this.#named.delete(tableFolder({ schema, name: table }));
    for (const { schema, table, key } of files) {
      const folder = tableFolder({ schema, name: table });
      const keys = this.#named.get(folder) ?? new Set();
      this.#named.set(folder, keys.add(key));
    }
  }

  has(table: TableName, key: string): boolean {
    return this.#named.get(tableFolder(table))?.has(key) === true;
  }
}

/** Of other jobs under the same prefix. */
async function filesOfOthers(
  { store, prefix, job }: ManifestPlace,
  signal: AbortSignal,
): Promise<NamedFiles[]> {
  const jobs = new Set<string>();
  const folder = `${prefix}${META_FOLDER}/`;
  for await (const key of listKeys(store, folder, signal)) jobs.add(key.slice(folder.length).split('/')[0]!);
  jobs.delete(job);
  const found: NamedFiles[] = [];
  for (const other of jobs) {
    const named = new NamedFiles();
    const manifests = manifestKeys({ store, prefix, job: other }, signal);
    for await (const key of manifests) named.add(await readManifest(store, key, signal));
    found.push(named);
  }
  return found;
}
