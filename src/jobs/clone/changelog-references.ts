/** What a file of a Liquibase changelog refers to, and how many change sets it has: XML, YAML, JSON and formatted SQL. */

import { extname } from 'node:path/posix';
import { parse } from 'yaml';
import { LongshoreError, messageOf } from '../../errors.ts';

export interface ChangelogReference {
  /** A changelog; a folder of changelogs; any other file, which is not looked into. */
  readonly kind: 'changelog' | 'folder' | 'file';
  readonly path: string;
  /** To the folder of the file that refers to it; else to that of the whole. */
  readonly isRelative: boolean | 'either';
  readonly mayBeMissing: boolean;
}

export interface ChangelogContent {
  readonly references: readonly ChangelogReference[];
  readonly changeSets: number;
}

/** Whether Liquibase reads it as a changelog. */
export const isChangelog = (path: string): boolean => extname(path).toLowerCase() in READERS;

/** @throws CONFIG_INVALID where it cannot be read as what its name says */
export function changelogContent(path: string, bytes: Buffer): ChangelogContent {
  const read = READERS[extname(path).toLowerCase()];
  if (read === undefined)
    throw new LongshoreError(
      'CONFIG_INVALID',
      `cannot read ${path} as a changelog: its name ends in none of ${Object.keys(READERS).join(', ')}`,
    );
  try {
    return read(bytes.toString('utf8').replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read the changelog ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'correct the file; liquibase validate says more of it',
    });
  }
}

/** A tag of XML, or an object of YAML or JSON under its key. */
interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

const READERS: Readonly<Record<string, (text: string) => ChangelogContent>> = {
  '.xml': (text) => contentOf(tagsOf(text)),
  '.yaml': (text) => contentOf(objectsOf('', parse(text, { uniqueKeys: false }))),
  '.yml': (text) => contentOf(objectsOf('', parse(text, { uniqueKeys: false }))),
  '.json': (text) => contentOf(objectsOf('', JSON.parse(text))),
  '.sql': ofSql,
};

function contentOf(elements: Iterable<Element>): ChangelogContent {
  const references: ChangelogReference[] = [];
  let changeSets = 0;
  for (const { name, attributes } of elements) {
    if (name === 'changeSet') changeSets++;
    const isRelative = String(attributes['relativeToChangelogFile']) === 'true';
    const mayBeMissing =
      String(attributes['errorIfMissing'] ?? attributes['errorIfMissingOrEmpty']) === 'false';
    const add = (
      kind: ChangelogReference['kind'],
      key: string,
      relative: ChangelogReference['isRelative'],
    ) => {
      const path = attributes[key];
      if (typeof path === 'string' && path !== '')
        references.push({ kind, path, isRelative: relative, mayBeMissing });
    };
    if (name === 'include') add('changelog', 'file', isRelative);
    else if (name === 'includeAll') add('folder', 'path', isRelative);
    else {
      for (const key of ['file', 'path']) add('file', key, isRelative);
      for (const key of ['valueClobFile', 'valueBlobFile']) add('file', key, 'either');
    }
  }
  return { references, changeSets };
}

function* objectsOf(name: string, node: unknown): Generator<Element> {
  if (Array.isArray(node)) {
    for (const item of node) yield* objectsOf(name, item);
  } else if (typeof node === 'object' && node !== null) {
    yield { name, attributes: node as Record<string, unknown> };
    for (const [key, value] of Object.entries(node)) yield* objectsOf(key, value);
  }
}

function* tagsOf(text: string): Generator<Element> {
  const bare = text.replace(/<!--.*?-->|<!\[CDATA\[.*?\]\]>/gs, '');
  if (!/<(?:\w+:)?databaseChangeLog[\s>/]/.test(bare)) throw new Error('it has no databaseChangeLog');
  for (const [, name, attributes] of bare.matchAll(
    /<(?:[\w-]+:)?([\w-]+)((?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*\/?>/g,
  )) {
    const pairs = attributes!.matchAll(/([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g);
    const values = [...pairs].map(([, key, double, single]) => [key!, unescaped(double ?? single ?? '')]);
    yield { name: name!, attributes: Object.fromEntries(values) as Record<string, string> };
  }
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const unescaped = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|apos);/g, (_, name: string) => ENTITIES[name]!);

function ofSql(text: string): ChangelogContent {
  // One without the header is a change set as a whole.
  if (!/^\s*--\s*liquibase\s+formatted\s+sql/i.test(text)) return { references: [], changeSets: 1 };
  const references: ChangelogReference[] = [];
  for (const [, rest] of text.matchAll(/^\s*--\s*rollbackSqlFile\s+(.*)$/gim)) {
    const path = /\bpath:\s*("[^"]*"|\S+)/i.exec(rest!)?.[1]?.replaceAll('"', '');
    const isRelative = /\brelativeToChangelogFile:\s*"?true/i.test(rest!);
    if (path !== undefined) references.push({ kind: 'file', path, isRelative, mayBeMissing: false });
  }
  return { references, changeSets: [...text.matchAll(/^\s*--\s*changeset\s/gim)].length };
}
