/**
 * Loads an archive of pg_dump while it streams by: over several connections, and without a copy of it on the disk, which
 * pg_restore needs for more than one.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { diskError } from '../../flow/disk-error.ts';
import { forEachUntilError } from '../../flow/for-each-concurrent.ts';
import { clientOutput } from '../client-process.ts';
import type { RestoreOptions } from '../dump.ts';
import type { ArchiveContents, ArchiveEntry } from './archive-contents.ts';
import { type ArchiveHead, readRowBatches } from './archive-rows.ts';
import { DumpContent, damaged } from './dump-content.ts';
import { DumpScript } from './dump-script.ts';
import { type LoadedTable, openSplitLoad } from './split-load.ts';

export interface ArchiveLoad {
  readonly connection: DatabaseConnection;
  readonly options: RestoreOptions;
  readonly jobs: number;
  /** pg_restore, of version 12 or later. */
  readonly program: string;
  /** What pg_restore is told to leave out. */
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly action: string;
  /** Of temporary files. */
  readonly folder: string;
}

/** Whether nothing is in it that pg_restore alone can load. */
export function canStream({ encoding, dataKinds }: ArchiveContents): boolean {
  return encoding === 'UTF8' && [...dataKinds].every((kind) => LOADED.has(kind));
}

const LOADED = new Set(['TABLE DATA', 'SEQUENCE SET']);

/**
 * @param rest of the archive, behind its head
 * @throws DATABASE_FAILED at the first error, and for an archive that is damaged
 */
export async function loadArchive(
  { head, contents }: ArchiveHead & { readonly contents: ArchiveContents },
  rest: AsyncIterable<Buffer>,
  { connection, options, jobs, program, flags, env, action, folder }: ArchiveLoad,
  signal: AbortSignal,
): Promise<void> {
  const file = join(folder, 'contents');
  try {
    await writeFile(file, head);
  } catch (error) {
    throw diskError(error, 'write', file);
  }
  const script = (section: 'pre-data' | 'post-data'): Readable => {
    const args = [...flags, `--section=${section}`, '--file=-', file];
    return clientOutput({ path: program, args, env, action }, new DumpScript(new DumpContent()), signal);
  };
  await using load = await openSplitLoad(connection, options, jobs, signal);
  await load.runScript(script('pre-data'));
  const tables = new Map<ArchiveEntry, LoadedTable>();
  const sizes = new Map<LoadedTable, number>();
  const archive = async function* (): AsyncGenerator<Buffer> {
    yield head;
    yield* rest;
  };
  // One for each connection, and the one that is being filled.
  const batches = readRowBatches(archive(), jobs + 1);
  await forEachUntilError(batches, jobs, signal, async (batch) => {
    using _ = batch;
    const { entry, whole, rows } = batch;
    const table = tables.get(entry) ?? { ...entry, columns: columnsIn(entry) };
    tables.set(entry, table);
    sizes.set(table, (sizes.get(table) ?? 0) + rows.byteLength);
    // Of a table of an extension, rows are there already.
    await load.copy(table, whole && contents.makes(entry), [rows]);
  });
  if (contents.setvals.length > 0) await load.runScript(Readable.from([contents.setvals.join('')]));
  await load.finish(script('post-data'), sizes);
}

/** `COPY public.t (a, "b c") FROM stdin;` → `a`, `b c` */
export function columnsIn({ copy = '' }: Pick<ArchiveEntry, 'copy'>): string[] {
  const name = '(?:"(?:[^"]|"")*"|[^"\\s(),.]+)';
  const [, list] =
    new RegExp(`^COPY ${name}(?:\\.${name})? (?:\\((.*)\\) )?\\s*FROM stdin;\\s*$`, 's').exec(copy) ?? [];
  if (list === undefined && !/ FROM stdin;\s*$/.test(copy)) throw damaged(`it has rows of nothing: ${copy}`);
  return [...(list ?? '').matchAll(/"((?:[^"]|"")*)"|([^",\s]+)/g)].map(
    ([, quoted, plain]) => plain ?? quoted!.replaceAll('""', '"'),
  );
}
