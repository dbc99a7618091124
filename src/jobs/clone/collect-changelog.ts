/** A changelog with every file that it includes, from wherever its files are. */

import { dirname, join, normalize } from 'node:path/posix';
import { LongshoreError } from '../../errors.ts';
import type { Changelog } from './artifact.ts';
import { type ChangelogReference, changelogContent, isChangelog } from './changelog-references.ts';

/** Paths have slashes, and are below one folder. */
export interface ChangelogFiles {
  /** For messages. */
  readonly name: string;
  /** Undefined where it is not there. */
  read(path: string): Promise<Buffer | undefined>;
  /** Every file below a folder; undefined where it is not there. */
  list(folder: string): Promise<readonly string[] | undefined>;
}

/** Leads nowhere, out of the folder, or back to where it came from; seen from another folder it may lead elsewhere. */
export class UnresolvedInclude extends LongshoreError {}

/** Of a whole changelog. */
export const BYTES_MAX: number = 256 * 1024 * 1024;

/** @throws CONFIG_INVALID, {@link UnresolvedInclude} */
export async function collectChangelog(entry: string, files: ChangelogFiles): Promise<Changelog> {
  const found = new Map<string, Buffer>();
  /** What is being followed, from the first one on. */
  const chain: string[] = [];
  let bytes = 0;

  async function take(
    path: string,
    by: string,
    { kind, mayBeMissing }: Pick<ChangelogReference, 'kind' | 'mayBeMissing'>,
  ): Promise<boolean> {
    if (kind === 'folder') {
      const paths = await files.list(path);
      if (paths === undefined) return mayBeMissing;
      // Liquibase passes over the rest, which may be nobody's business: settings, passwords.
      for (const below of paths.filter(isChangelog))
        await take(below, by, { kind: 'changelog', mayBeMissing: false });
      return true;
    }
    if (kind === 'changelog' && chain.includes(path)) throw circular([...chain, path]);
    if (found.has(path)) return true;
    const content = await files.read(path);
    if (content === undefined) return mayBeMissing;
    bytes += content.length;
    if (bytes > BYTES_MAX)
      throw new LongshoreError(
        'CONFIG_INVALID',
        `the changelog of ${files.name} has more than ${BYTES_MAX} bytes, with ${path}`,
        {
          hint: 'an artifact holds the schema, not rows: leave large data files out of the changelog',
        },
      );
    found.set(path, content);
    if (kind === 'changelog') {
      chain.push(path);
      await follow(path, content);
      chain.pop();
    }
    return true;
  }

  async function follow(path: string, content: Buffer): Promise<void> {
    for (const reference of changelogContent(path, content).references) {
      let isThere = false;
      for (const place of placesOf(reference, path)) {
        isThere ||= !place.startsWith('../') && (await take(place, path, reference));
      }
      if (!isThere)
        throw new UnresolvedInclude(
          'CONFIG_INVALID',
          `the changelog ${path} refers to ${reference.path}, which is not there (${files.name})`,
          {
            hint: reference.path.includes('${')
              ? 'write out the name: parameters are known only when the changelog is applied'
              : 'paths are relative to the folder of the changelog or of the INI file, or to the file itself with relativeToChangelogFile',
          },
        );
    }
  }

  const start = normalize(entry);
  if (!(await take(start, '', { kind: 'changelog', mayBeMissing: false })))
    throw new LongshoreError('CONFIG_INVALID', `the changelog ${join(files.name, start)} is not there`, {
      hint: 'correct --changelog, or liquibase_changelog_path, which is relative to the INI file',
    });
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  return { entry: start, files: sorted.map(([path, content]) => ({ path, bytes: content })) };
}

/** Liquibase ends with a stack overflow, which it calls an unknown reason. */
function circular(chain: readonly string[]): UnresolvedInclude {
  return new UnresolvedInclude('CONFIG_INVALID', `the changelog includes itself: ${chain.join(' → ')}`, {
    hint: 'take one of these includes out; of an includeAll, keep what includes outside of the folder',
  });
}

function placesOf({ path, isRelative }: ChangelogReference, by: string): string[] {
  const bare = path
    .replace(/^classpath:/i, '')
    .replaceAll('\\', '/')
    .replace(/^\/+/, '');
  const beside = normalize(join(dirname(by), bare));
  const below = normalize(bare);
  if (isRelative === 'either') return beside === below ? [below] : [beside, below];
  return [isRelative ? beside : below];
}

/** Of all files that Liquibase begins with or includes. */
export function changeSetsOf(changelog: Changelog): number {
  const contents = new Map(changelog.files.map(({ path, bytes }) => [path, bytes]));
  const counted = new Set<string>();
  const count = (path: string): number => {
    const bytes = contents.get(path);
    if (bytes === undefined || counted.has(path)) return 0;
    counted.add(path);
    const { references, changeSets } = changelogContent(path, bytes);
    return references.reduce((sum, reference) => {
      if (reference.kind === 'file') return sum;
      const places = placesOf(reference, path);
      if (reference.kind === 'changelog') return sum + places.reduce((all, place) => all + count(place), 0);
      const below = [...contents.keys()].filter(
        (one) => isChangelog(one) && places.some((place) => isBelow(one, place)),
      );
      return sum + below.reduce((all, one) => all + count(one), 0);
    }, changeSets);
  };
  return count(changelog.entry);
}

const isBelow = (path: string, folder: string): boolean =>
  folder === '.' || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
