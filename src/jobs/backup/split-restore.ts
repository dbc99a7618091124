/** Brings back a backup in parts: the parts of one table, too, come over several connections at the same time. */

import { addAbortSignal, type Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { DatabaseConnection } from '../../config/database-url.ts';
import type { DumpFacts, RestoreOptions } from '../../databases/dump.ts';
import { type LoadedTable, openSplitLoad } from '../../databases/postgres/split-load.ts';
import { LongshoreError } from '../../errors.ts';
import { forEachUntilError } from '../../flow/for-each-concurrent.ts';
import type { BackupFile, BackupManifest } from './manifest.ts';
import { decodeSplitIndex, type IndexedPart, type SplitIndex } from './split-index.ts';

/** Plain: decrypted and decompressed. Fails at its end at the latest where the file is not the one that was named. */
export type OpenBackupFile = (file: BackupFile, signal: AbortSignal) => Promise<Readable>;

/**
 * @param target empty
 * @param jobs connections that load
 * @throws OBJECT_FAILED where the backup is not whole; the errors of the database; what `open` fails with
 */
export async function restoreSplit(
  target: { readonly connection: DatabaseConnection; readonly options: RestoreOptions },
  manifest: BackupManifest,
  open: OpenBackupFile,
  jobs: number,
  signal: AbortSignal,
): Promise<void> {
  const files = new Map(manifest.files.map((file) => [file.key, file]));
  const opened = async (key: string, within: AbortSignal): Promise<Readable> => {
    const file = files.get(key);
    if (file === undefined) throw notWhole(manifest, `${key} is not among its files`);
    const stream = await open(file, within);
    // It may fail before somebody reads it, who is told then.
    return addAbortSignal(within, stream).on('error', () => undefined);
  };
  const indexText = await buffer(await opened(manifest.key, signal));
  const index = decodeSplitIndex(indexText.toString('utf8'), manifest.key);
  checkIndex(index, manifest, files);
  const { scripts, parts, sequences } = index;
  const tables = tablesOf(parts);
  await using load = await openSplitLoad(target.connection, target.options, jobs, signal);
  await load.runScript(await opened(scripts['pre-data'], signal));
  const objects = scripts['large-objects'];
  const items: (IndexedPart | string)[] = [...(objects === undefined ? [] : [objects]), ...parts];
  await forEachUntilError(items, jobs, signal, async (item, stopped) => {
    if (typeof item === 'string') {
      await load.runScript(await opened(item, stopped));
      return;
    }
    const table = tables.get(tableName(item))!;
    const stream = await opened(item.key, stopped);
    const rows = await load.copy(table, table.parts === 1, stream).finally(() => stream.destroy());
    if (rows !== item.rows)
      throw notWhole(manifest, `${item.key} has ${rows} rows of ${item.rows} that it should have`);
  });
  await load.setSequences(sequences);
  const bytes = new Map<LoadedTable, number>([...tables.values()].map((table) => [table, table.bytes]));
  await load.finish(await opened(scripts['post-data'], signal), bytes);
}

interface IndexedTable extends LoadedTable {
  readonly parts: number;
  readonly bytes: number;
}

function tablesOf(parts: readonly IndexedPart[]): Map<string, IndexedTable> {
  const tables = new Map<string, IndexedTable>();
  for (const part of parts) {
    const { schema, name, columns } = part;
    const known = tables.get(tableName(part));
    tables.set(tableName(part), {
      schema,
      name,
      columns,
      parts: (known?.parts ?? 0) + 1,
      bytes: (known?.bytes ?? 0) + part.bytes,
    });
  }
  return tables;
}

/** Before anything is changed: the index names what the manifest says there is, and all of it. */
function checkIndex(
  { scripts, parts }: SplitIndex,
  manifest: BackupManifest,
  files: ReadonlyMap<string, BackupFile>,
): void {
  for (const key of [...Object.values(scripts), ...parts.map((part) => part.key)])
    if (key !== undefined && !files.has(key)) throw notWhole(manifest, `${key} is not among its files`);
  const facts: DumpFacts | undefined = manifest.dump?.facts;
  if (facts === undefined) throw notWhole(manifest, 'its manifest does not say what it holds');
  const rows = new Map<string, number>();
  for (const part of parts) rows.set(tableName(part), (rows.get(tableName(part)) ?? 0) + part.rows);
  for (const table of facts.tables) {
    if (rows.get(tableName(table)) !== table.rows)
      throw notWhole(
        manifest,
        `its parts do not have the ${table.rows} rows of ${table.schema}.${table.name}`,
      );
  }
}

function tableName({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return JSON.stringify([schema, name]);
}

function notWhole({ key }: BackupManifest, what: string): LongshoreError {
  return new LongshoreError('OBJECT_FAILED', `the backup ${key} is not whole: ${what}`, {
    hint: 'restore another one',
  });
}
