/** A dump in pg_dump's directory form, as a stream, with the rows that its files hold. */

import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { clientOutput, type DumpReader, runClient } from '../client-process.ts';
import { readContents } from './archive-contents.ts';
import { CopyLines } from './copy-lines.ts';
import { type DumpContent, damaged } from './dump-content.ts';
import type { DumpCall } from './dump-globals.ts';

/**
 * Through the disk, as pg_dump writes this form; then as one archive of tar.
 * @param args of every form
 * @param parent folder of temporary files
 * @param check called when the rows are read, before anything is given out
 */
export function directoryStream(
  call: DumpCall,
  args: readonly string[],
  parent: string,
  content: DumpContent,
  check: () => void,
  signal: AbortSignal,
): Readable {
  const folder = join(parent, 'directory');
  const through = async function* (): AsyncGenerator<Buffer> {
    await runClient(
      call.of([...args, '--format=directory', '--compress=0', '--jobs=2', `--file=${folder}`]),
      signal,
    );
    await readDirectory(folder, content);
    check();
    const untold: DumpReader = { push: () => undefined, end: () => undefined };
    yield* clientOutput(call.of(['-cf', '-', '-C', folder, '.'], 'tar'), untold, signal);
  };
  return Readable.from(through(), { objectMode: false });
}

/** Reads the rows in the files of a dump in directory form. */
async function readDirectory(folder: string, content: DumpContent): Promise<void> {
  const { contents } = readContents(await readFile(join(folder, 'toc.dat')));
  for (const statement of contents.setvals) content.setval(statement);
  const files = new Set(await readdir(folder));
  for (const { schema, name, file } of contents.tables()) {
    const lines = new CopyLines(content.table({ schema, name }));
    if (file === undefined || !files.has(file)) throw damaged(`the rows of ${schema}.${name} are not in it`);
    for await (const chunk of createReadStream(join(folder, file)))
      lines.push(chunk as Buffer, 0, (chunk as Buffer).byteLength);
    if (!lines.ended) throw damaged(`the rows of ${schema}.${name} do not end`);
  }
}
