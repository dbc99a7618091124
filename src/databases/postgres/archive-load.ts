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
import { DumpContent, damaged, namesIn } from './dump-content.ts';
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
export function canStream(contents: ArchiveContents): boolean {
  return (
    contents.encoding === 'UTF8' &&
    [...contents.dataKinds].every((kind) => LOADED.has(kind)) &&
    // Rows may also be statements: INSERT.
    contents.tables().every(({ copy }) => COPY.test(copy ?? ''))
  );
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
  const sizes = new Map<ArchiveEntry, number>();
  const archive = async function* (): AsyncGenerator<Buffer> {
    yield head;
    yield* rest;
  };
  let inTurn: Promise<unknown> = Promise.resolve();
  // One for each connection, and the one that is being filled.
  const batches = readRowBatches(archive(), jobs + 1);
  await forEachUntilError(batches, jobs, signal, async (batch) => {
    using _ = batch;
    const { entry, whole, rows } = batch;
    const table = tables.get(entry) ?? tableIn(entry);
    tables.set(entry, table);
    sizes.set(entry, (sizes.get(entry) ?? 0) + rows.byteLength);
    if (contents.makes(entry)) {
      const isOwn = table.schema === entry.schema && table.name === entry.name;
      await load.copy(table, whole && isOwn, [rows]);
      return;
    }
    // A table of an extension has its foreign keys already, and perhaps rows: the archive has it behind those it points to.
    const turn = inTurn.then(() => load.copy(table, false, [rows]));
    inTurn = turn;
    await turn;
  });
  if (contents.setvals.length > 0) await load.runScript(Readable.from([contents.setvals.join('')]));
  await load.finish(script('post-data'), sizes);
}

/**
 * `COPY public.t (a, "b c") FROM stdin;` → `public`, `t`, `a`, `b c`. The rows of a partition may be for the whole table:
 * the hash of an enum is another one in another database.
 */
export function tableIn({ schema, copy = '' }: Pick<ArchiveEntry, 'schema' | 'copy'>): LoadedTable {
  const [, table, list = ''] = COPY.exec(copy) ?? [];
  if (table === undefined) throw damaged(`it has rows of nothing: ${copy}`);
  const names = namesIn(table);
  return {
    schema: names.length > 1 ? names[0]! : schema,
    name: names.at(-1)!,
    columns: [...list.matchAll(/"((?:[^"]|"")*)"|([^",\s]+)/g)].map(
      ([, quoted, plain]) => plain ?? quoted!.replaceAll('""', '"'),
    ),
  };
}

const NAME = '(?:"(?:[^"]|"")*"|[^"\\s(),.]+)';
const COPY = new RegExp(`^COPY (${NAME}(?:\\.${NAME})?) (?:\\((.*)\\) )?\\s*FROM stdin;\\s*$`, 's');
