/** Writes pieces behind what a file holds, all of them: a disk may take less at once than it was given. */

import type { FileHandle } from 'node:fs/promises';

/** @throws what the disk throws */
export async function writeAll(file: FileHandle, pieces: readonly Uint8Array[]): Promise<void> {
  let rest = pieces.filter(({ byteLength }) => byteLength > 0);
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest);
    let whole = 0;
    while (whole < rest.length && bytesWritten >= rest[whole]!.byteLength)
      bytesWritten -= rest[whole++]!.byteLength;
    rest = rest.slice(whole);
    if (bytesWritten > 0) rest = [rest[0]!.subarray(bytesWritten), ...rest.slice(1)];
  }
}
