/** A changelog with the files that it includes, written where Liquibase reads it. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { LongshoreError } from '../../errors.ts';

export interface ChangelogFiles {
  /** That of `files` which Liquibase begins with. */
  readonly entry: string;
  /** Paths below the folder of the changelog, with slashes. */
  readonly files: readonly { readonly path: string; readonly bytes: Uint8Array }[];
}

/**
 * Only their owner may read them.
 * @throws CONFIG_INVALID where a path leads out of the folder, or the entry is not there
 */
export function writeChangelog(changelog: ChangelogFiles, folder: string): void {
  if (!changelog.files.some(({ path }) => path === changelog.entry))
    throw new LongshoreError('CONFIG_INVALID', `cannot use the changelog: ${changelog.entry} is not in it`);
  for (const { path, bytes } of changelog.files) {
    if (!staysInside(path)) {
      throw new LongshoreError(
        'CONFIG_INVALID',
        `cannot use the changelog: the path ${path} leads out of its folder`,
        { hint: 'keep included files below the folder of the changelog' },
      );
    }
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, bytes, { mode: 0o600 });
  }
}

function staysInside(path: string): boolean {
  return (
    path !== '' &&
    !/[\\\0]/.test(path) &&
    !posix.isAbsolute(path) &&
    !/^[a-z]:/i.test(path) &&
    !posix.normalize(path).startsWith('..')
  );
}
