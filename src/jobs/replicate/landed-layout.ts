/** How the files of a job are laid out, from its manifests: who lands more of them does it in the same way. */

import { UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import { CHANGE_COLUMNS } from './change-table.ts';
import { manifestKey, tableFolder } from './layout.ts';
import { type Manifest, type ManifestPlace, readManifest } from './manifest.ts';
import type { ReplicateOptions } from './settings.ts';

export type Layout = Pick<ReplicateOptions, 'datePartition' | 'timestampColumn'>;

/** What the newest files show; nothing where there are none. @param newest of the manifests */
export async function landedLayout(
  place: ManifestPlace,
  newest: Manifest,
  signal: AbortSignal,
): Promise<Layout> {
  let loaded: Layout | undefined;
  for (let manifest = newest; ; ) {
    const shown = layoutOf(manifest);
    if (shown?.datePartition !== undefined) return shown;
    // Files of full loads lie in no partitions.
    loaded ??= shown;
    if (manifest.epoch === 0) return loaded ?? {};
    const before = place.prefix + manifestKey(place.job, manifest.epoch - 1);
    manifest = await readManifest(place.store, before, signal);
  }
}

function layoutOf({ kind, files, schemas }: Manifest): Layout | undefined {
  const [file] = files;
  if (file === undefined) return undefined;
  const { key, schema, table, schemaId } = file;
  // Columns of the job itself have no type of PostgreSQL.
  const own = schemas[schemaId]!.filter(({ type, name }) => type === '' && !OWN.has(name));
  const timestampColumn = own[0]?.name;
  if (kind !== 'changes') return { timestampColumn };
  const folder = tableFolder({ schema, name: table });
  return { timestampColumn, datePartition: key.slice(folder.length).includes('/') };
}

const OWN: ReadonlySet<string> = new Set([...Object.values(CHANGE_COLUMNS), UNFIT_COLUMN]);
