/**
 * Looks rows up in the files of a replica, by their keys: the newest image of each, with the columns asked for. Files are
 * read from the newest to the oldest, until every key is found.
 */

import { openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { ParquetFile } from 'parquet-wasm/node';
import { fieldDecoder } from '../../databases/postgres/field-decoder.ts';
import { type FieldMapping, UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import { BatchBuilder } from '../../formats/columns/batch-builder.ts';
import { type RowText, rowTexts } from '../../formats/columns/row-texts.ts';
import { CHANGE_COLUMNS, type FilledValue } from './change-table.ts';
import { fetchFile } from './fetch-file.ts';
import { type ManifestPlace, manifestKeys, readManifest } from './manifest.ts';
import { keyText } from './row-key.ts';
import { UnfitColumn } from './unfit-column.ts';

/** By key, as a JSON array of the texts of its columns: what the files say of each column, by its name. */
export type StoredImages = ReadonlyMap<string, ReadonlyMap<string, FilledValue>>;

export interface LookupTable {
  /** Of landed files; undefined where they are not looked into. */
  readonly place: ManifestPlace | undefined;
  readonly table: { readonly schema: string; readonly table: string };
  readonly mappings: readonly FieldMapping[];
  readonly keyNames: readonly string[];
  /** For temporary files. */
  readonly folder: string;
  /** Files that are not landed yet, in their order. */
  readonly paths: readonly string[];
}

export async function newestImages(
  about: LookupTable,
  keys: ReadonlySet<string>,
  columns: readonly string[],
): Promise<StoredImages> {
  const lookup = new Lookup(about, keys, columns);
  for (const path of about.paths.toReversed()) await lookup.readFile(path);
  await lookup.readLanded();
  return lookup.found;
}

class Lookup {
  readonly found = new Map<string, Map<string, FilledValue>>();
  readonly #about: LookupTable;
  readonly #columns: readonly string[];
  readonly #mappings: ReadonlyMap<string, FieldMapping>;
  /** Keys as files store them, and as they were asked for. */
  readonly #open: Map<string, string>;

  constructor(about: LookupTable, keys: ReadonlySet<string>, columns: readonly string[]) {
    this.#about = about;
    this.#columns = columns;
    this.#mappings = new Map(about.mappings.map((mapping) => [mapping.column.name, mapping]));
    this.#open = storedKeys(about, [...keys]);
  }

  async readLanded(): Promise<void> {
    const { place, table, folder } = this.#about;
    if (place === undefined) return;
    const signal = new AbortController().signal;
    const manifests = await Array.fromAsync(manifestKeys(place, signal));
    for (const key of manifests.reverse()) {
      if (this.#open.size === 0) return;
      const { files, events } = await readManifest(place.store, key, signal);
      for (const file of files.toReversed()) {
        if (file.schema !== table.schema || file.table !== table.table) continue;
        const path = join(folder, 'lookup.parquet');
        await fetchFile(place, file, path, signal);
        await this.readFile(path);
        await rm(path);
      }
      // What is before is void, and gone.
      const isAdded = events.some(
        (event) =>
          event.kind === 'table-added' && event.schema === table.schema && event.table === table.table,
      );
      if (isAdded) return;
    }
  }

  /** Of rows with the same key the last one counts. */
  async readFile(path: string): Promise<void> {
    if (this.#open.size === 0) return;
    const { keyNames } = this.#about;
    const inFile = new Map<string, RowText>();
    const names = [...keyNames, ...this.#columns, CHANGE_COLUMNS.op, CHANGE_COLUMNS.reread, UNFIT_COLUMN];
    for await (const row of parquetRows(path, names, true)) {
      const stored = keyText(row, keyNames);
      if (row[CHANGE_COLUMNS.op] !== 'D' && this.#open.has(stored)) inFile.set(stored, row);
    }
    for (const [stored, row] of inFile) {
      const reread = row[CHANGE_COLUMNS.reread]?.split(',') ?? [];
      const values = this.#columns
        // A column that was not there, and one whose value could not be read then.
        .filter((name) => row[name] !== undefined && !(row[name] === null && reread.includes(name)))
        .map((name): [string, FilledValue] => {
          const value = asText(row[name]!, this.#mappings.get(name));
          // It may be of later than that change, and is no more than that for those that follow.
          return [name, { name, value, reread: reread.includes(name) }];
        });
      this.found.set(this.#open.get(stored)!, new Map(values));
      this.#open.delete(stored);
    }
  }
}

/**
 * The rows of a file, a row group at a time.
 * @param names columns; one that the file has not is NULL, or left out
 */
export async function* parquetRows(
  path: string,
  names: readonly string[],
  leaveOut = false,
): AsyncGenerator<RowText> {
  const file = await ParquetFile.fromFile(await openAsBlob(path));
  try {
    const present = new Set(tableFromIPC(file.schema().intoIPCStream()).schema.names.map(String));
    const columns = names.filter((name) => present.has(name));
    const groups = file.metadata().numRowGroups();
    for (let group = 0; group < groups; group++) {
      const table = await file.read({ rowGroups: [group], columns });
      yield* rowTexts(tableFromIPC(table.intoIPCStream()), leaveOut ? columns : names);
    }
  } finally {
    file.free();
  }
}

/** Texts of keys as the server prints them, and what the files make of them. */
function storedKeys({ keyNames, mappings }: LookupTable, keys: readonly string[]): Map<string, string> {
  const of = keyNames.map((name) => mappings.find(({ column }) => column.name === name)!);
  const decoders = of.map(fieldDecoder);
  const side = new UnfitColumn(of);
  const batch = new BatchBuilder(
    [...of.map(({ column }) => column), side.column],
    [...decoders.map(({ builder }) => builder), side.builder],
  );
  for (const key of keys) {
    for (const [i, text] of (JSON.parse(key) as string[]).entries()) {
      const bytes = Buffer.from(text);
      const unfit = decoders[i]!.text(bytes, 0, bytes.byteLength);
      if (unfit !== undefined) side.note(i, unfit);
    }
    side.endRow();
  }
  const rows = [...rowTexts(tableFromIPC(batch.takeIpc()), [...keyNames, UNFIT_COLUMN])];
  return new Map(rows.map((row, i) => [keyText(row, keyNames), keys[i]!]));
}

/** As the server prints it. Only what can be stored apart is looked up: text, bytes and decimals. */
function asText(stored: string | null, mapping: FieldMapping | undefined): string | null {
  if (stored === null) return null;
  const type = mapping?.column.type;
  if (type?.kind === 'binary') {
    const hex = Buffer.from(stored, 'latin1').toString('hex');
    return mapping?.decoder === 'ewkb' ? hex : `\\x${hex}`;
  }
  return Buffer.from(stored, 'latin1').toString('utf8');
}
