/** Rows of a table as the files of a replica have them, at one place of the server's log. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import { type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import type { SourceTable } from '../../databases/postgres/table-catalogue.ts';
import type { RowText } from '../../formats/columns/row-texts.ts';
import { CHANGE_COLUMNS, type Op } from './change-table.ts';
import { type ColumnsThen, namesNow } from './column-names.ts';
import { fetchFile } from './fetch-file.ts';
import { parquetRows } from './lake-lookup.ts';
import type { Manifest, ManifestFile, ManifestPlace } from './manifest.ts';
import { RowsByKey } from './rows-by-key.ts';

/** A file, and what its columns are called now. */
interface LakeFile {
  readonly file: ManifestFile;
  readonly names: ReadonlyMap<string, string>;
  readonly identity: readonly string[] | undefined;
}

interface LakeEpoch {
  readonly isChanges: boolean;
  readonly files: readonly LakeFile[];
  readonly truncations: { readonly lsn: Lsn; readonly ordinal: number }[];
}

/**
 * @param before the place: what committed at or behind it is left out
 * @param isLoaded whether the table was loaded, and not followed alone
 */
export async function lakeRows(
  table: SourceTable,
  place: ManifestPlace,
  manifests: readonly Manifest[],
  before: Lsn,
  isLoaded: boolean,
  signal: AbortSignal,
): Promise<RowsByKey> {
  const epochs = epochsOf(table, manifests);
  const files = epochs.flatMap((epoch) => epoch.files);
  const identities = files.flatMap(({ identity }) => (identity === undefined ? [] : [identity]));
  const rows = new RowsByKey(table, identities, isLoaded);
  try {
    const wanted = new Set([...rows.columns.map(({ name }) => name), ...identities.flat()]);
    for (const { isChanges, files, truncations } of epochs) {
      const left = truncations.filter(({ lsn }) => lsn < before);
      for (const { file, names, identity } of files) {
        const path = join(rows.folder, 'file.parquet');
        await fetchFile(place, file, path, signal);
        const read = namedRows(
          path,
          [...names].filter(([, now]) => wanted.has(now)),
          isChanges ? META : [],
        );
        if (isChanges) await applyChanges(rows, read, identity && rows.identityOf(identity), left, before);
        else for await (const { row } of read) rows.put(row);
        await rm(path);
      }
      if (left.length > 0) rows.clear();
    }
    return rows;
  } catch (error) {
    rows[Symbol.dispose]();
    throw error;
  }
}

const META = [CHANGE_COLUMNS.op, CHANGE_COLUMNS.commitLsn, CHANGE_COLUMNS.ordinal];

/** From where the table was loaded last. */
function epochsOf(table: SourceTable, manifests: readonly Manifest[]): LakeEpoch[] {
  const isOwn = (one: { readonly schema: string; readonly table: string }): boolean =>
    one.schema === table.schema && one.table === table.name;
  const first = manifests.findLastIndex(({ events }) =>
    events.some((event) => event.kind === 'table-added' && isOwn(event)),
  );
  const since = manifests.slice(Math.max(0, first));
  const known = new Map<string, ColumnsThen>();
  const stages = since.flatMap(({ files, schemas }) =>
    files.filter(isOwn).map(({ schemaId, identity }): ColumnsThen => {
      const id = JSON.stringify([schemaId, identity]);
      // The others are columns of the job itself.
      const names = schemas[schemaId]!.filter(({ type }) => type !== '').map(({ name }) => name);
      const stage = known.get(id) ?? { names, key: identity ?? [] };
      known.set(id, stage);
      return stage;
    }),
  );
  const named = namesNow(stages, table).values();
  return since.map(({ kind, files, events }) => ({
    isChanges: kind === 'changes',
    files: files.filter(isOwn).map((file) => {
      const names = named.next().value!;
      return { file, names, identity: file.identity?.map((name) => names.get(name) ?? name) };
    }),
    truncations: events
      .filter((event) => event.kind === 'truncate' && isOwn(event))
      .map(({ lsn, ordinal }) => ({ lsn: parseLsn(lsn), ordinal })),
  }));
}

interface LakeRow {
  readonly row: RowText;
  /** Columns of the job itself. */
  readonly own: RowText;
}

/** @param names of the file, and what they are called now */
async function* namedRows(
  path: string,
  names: readonly (readonly [string, string])[],
  own: readonly string[],
): AsyncGenerator<LakeRow> {
  const isSame = names.every(([then, now]) => then === now);
  for await (const row of parquetRows(path, [...names.map(([then]) => then), UNFIT_COLUMN, ...own])) {
    yield { row: isSame ? row : renamed(row, names), own: row };
  }
}

function renamed(row: RowText, names: readonly (readonly [string, string])[]): RowText {
  const found = Object.create(null) as Record<string, string | null>;
  for (const [then, now] of names) found[now] = row[then] ?? null;
  const side = row[UNFIT_COLUMN] ?? null;
  found[UNFIT_COLUMN] = side;
  if (side === null) return found;
  const unfit = JSON.parse(Buffer.from(side, 'latin1').toString()) as Record<string, string>;
  const now = new Map(names);
  const texts = Object.fromEntries(
    Object.entries(unfit).map(([name, text]) => [now.get(name) ?? name, text]),
  );
  found[UNFIT_COLUMN] = Buffer.from(JSON.stringify(texts)).toString('latin1');
  return found;
}

async function applyChanges(
  rows: RowsByKey,
  changes: AsyncIterable<LakeRow>,
  identity: number | undefined,
  truncations: { readonly lsn: Lsn; readonly ordinal: number }[],
  before: Lsn,
): Promise<void> {
  for await (const { row, own } of changes) {
    const at = BigInt(own[CHANGE_COLUMNS.commitLsn]!);
    if (at >= before) return;
    while (
      truncations[0] !== undefined &&
      comesBefore(truncations[0], at, Number(own[CHANGE_COLUMNS.ordinal]))
    ) {
      rows.clear();
      truncations.shift();
    }
    rows.change(own[CHANGE_COLUMNS.op] as Op, row, identity);
  }
}

function comesBefore(
  event: { readonly lsn: Lsn; readonly ordinal: number },
  lsn: Lsn,
  ordinal: number,
): boolean {
  return event.lsn < lsn || (event.lsn === lsn && event.ordinal < ordinal);
}
