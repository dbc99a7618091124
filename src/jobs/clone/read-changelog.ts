/** The changelog that a configuration names: files beside it, or what a URL answers. */

import { existsSync } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, posix, relative, resolve, sep } from 'node:path';
import { LongshoreError, messageOf } from '../../errors.ts';
import type { Changelog } from './artifact.ts';
import type { ChangelogPlace } from './artifact-config.ts';
import { BYTES_MAX, type ChangelogFiles, collectChangelog, UnresolvedInclude } from './collect-changelog.ts';

/** @param iniFolder that of the INI file @throws CONFIG_INVALID, STORE_UNREACHABLE */
export async function readChangelog(
  place: ChangelogPlace,
  iniFolder: string,
  signal: AbortSignal | undefined,
): Promise<Changelog> {
  if (place.kind === 'url') {
    const url = new URL(place.url);
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw new LongshoreError('CONFIG_INVALID', `cannot read a changelog from ${url.protocol}//`, {
        hint: 'download it, and name the file with liquibase_changelog_path',
      });
    return await collectChangelog(decodeURIComponent(posix.basename(url.pathname)), filesAt(url, signal));
  }
  const path = resolve(iniFolder, place.path);
  let first: unknown;
  for (const root of rootsOf(path, resolve(iniFolder))) {
    try {
      return await collectChangelog(relative(root, path).split(sep).join('/'), filesBelow(root));
    } catch (error) {
      if (!(error instanceof UnresolvedInclude)) throw error;
      first ??= error;
    }
  }
  throw first;
}

/** Folders that paths in the changelog may be relative to, the likeliest first: that of the INI file, if it is in there. */
function rootsOf(path: string, iniFolder: string): string[] {
  const own = dirname(path);
  const isBelow = own === iniFolder || own.startsWith(iniFolder.endsWith(sep) ? iniFolder : iniFolder + sep);
  const roots = [...(isBelow ? [iniFolder] : []), own, dirname(own), dirname(dirname(own))];
  return [...new Set(roots)].filter((root) => root !== dirname(root));
}

function filesBelow(root: string): ChangelogFiles {
  return {
    name: root,
    async read(path) {
      const file = join(root, path);
      try {
        if (!(await stat(file)).isFile()) return undefined;
        const [real, realRoot] = await Promise.all([realpath(file), realpath(root)]);
        if (!real.startsWith(realRoot + sep))
          throw new LongshoreError('CONFIG_INVALID', `${file} is a link out of ${root}`, {
            hint: 'put the file itself there: what lies elsewhere does not go into an artifact',
          });
        return await readFile(real);
      } catch (error) {
        if (isMissing(error)) return undefined;
        if (error instanceof LongshoreError) throw error;
        throw new LongshoreError('CONFIG_INVALID', `cannot read ${file}: ${messageOf(error)}`, {
          cause: error,
        });
      }
    },
    async list(folder) {
      if (!existsSync(join(root, folder))) return undefined;
      const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile() || entry.isSymbolicLink())
        .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
        .sort();
    },
  };
}

const isMissing = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

const ANSWER_MS_MAX = 60_000;

async function bytesOf({ body }: Response, url: URL): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    bytes += piece.length;
    if (bytes > BYTES_MAX)
      throw new LongshoreError(
        'CONFIG_INVALID',
        `the changelog ${url.href} has more than ${BYTES_MAX} bytes`,
      );
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function filesAt(entry: URL, signal: AbortSignal | undefined): ChangelogFiles {
  const name = new URL('.', entry).href;
  return {
    name,
    async read(path) {
      const url =
        path === decodeURIComponent(basename(entry.pathname))
          ? entry
          : new URL(path.split('/').map(encodeURIComponent).join('/'), name);
      const timeout = AbortSignal.timeout(ANSWER_MS_MAX);
      try {
        const answer = await fetch(url, {
          signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
        });
        if (answer.ok) return await bytesOf(answer, url);
        await answer.body?.cancel();
        if (answer.status === 404 && url !== entry) return undefined;
        throw new LongshoreError(
          'CONFIG_INVALID',
          `cannot read the changelog ${url.href}: it answers ${answer.status}`,
          {
            hint: 'correct liquibase_changelog_url, or download the file and name it with liquibase_changelog_path',
          },
        );
      } catch (error) {
        if (error instanceof LongshoreError) throw error;
        signal?.throwIfAborted();
        const cause = (error as Error).cause ?? error;
        throw new LongshoreError(
          'STORE_UNREACHABLE',
          `cannot read the changelog ${url.href}: ${messageOf(cause)}`,
          {
            cause: error,
            hint: 'download it, and name the file with liquibase_changelog_path',
          },
        );
      }
    },
    async list() {
      throw new LongshoreError(
        'CONFIG_INVALID',
        `the changelog ${entry.href} includes a folder, and a URL cannot be listed`,
        {
          hint: 'include files by their names, or download them and use liquibase_changelog_path',
        },
      );
    },
  };
}
