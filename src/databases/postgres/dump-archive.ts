/** Reads an archive of pg_dump in its custom form while it passes: the rows of each table, and where sequences stand. */

import type { DumpReader } from '../client-process.ts';
import { ArchiveBlocks } from './archive-blocks.ts';
import { CopyLines } from './copy-lines.ts';
import { type DumpContent, damaged } from './dump-content.ts';

export class DumpArchive implements DumpReader {
  readonly #blocks: ArchiveBlocks;

  constructor(content: DumpContent) {
    let lines: CopyLines | undefined;
    this.#blocks = new ArchiveBlocks({
      onContents(contents) {
        for (const table of contents.tables()) content.table(table);
        for (const statement of contents.setvals) content.setval(statement);
      },
      onTable(entry) {
        lines = entry.isTable ? new CopyLines(content.table(entry)) : undefined;
      },
      onRows(bytes, from, to) {
        lines?.push(bytes, from, to);
      },
      onTableEnd() {
        if (lines?.ended === false) throw damaged('the rows of a table do not end');
      },
    });
  }

  push(chunk: Buffer): void {
    this.#blocks.push(chunk);
  }

  end(): void {
    this.#blocks.end();
  }
}
