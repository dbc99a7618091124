/**
 * Finds the references to objects inside a row's value and rewrites them in kind. Anchored and byte for byte: a
 * value names an object only if the whole of it, or a delimited piece of text, is a spelling of its key; URLs of
 * other hosts are left alone.
 */

import type { ReferenceForm } from '../../databases/database.ts';
import { arrayStrings, type EmbeddedString } from './embedded-strings.ts';
import { jsonStrings } from './json-strings.ts';
import { KeyRules } from './key-rules.ts';
import { proseCandidates } from './prose.ts';
import type { ReferenceBase } from './reference-bases.ts';
import { type Reading, readKey, readPath } from './spelling.ts';
import { htmlEscaped, urlSpellings } from './url-spelling.ts';

/** A place in a value that names a source object. */
export interface Reference {
  readonly sourceKey: string;
  readonly targetKey: string;
  /** What stands between `start` and `end` when the row names the target. */
  readonly replacement: string;
  readonly start: number;
  readonly end: number;
  /** Other ways to read the same place, less likely ones: a key that looks encoded may be meant as it stands. */
  readonly alternatives?: readonly Reference[] | undefined;
}

export class ReferenceFinder {
  readonly rules: KeyRules;
  readonly bases: readonly ReferenceBase[];
  readonly #bases: readonly CompiledBase[];
  #targets: ReferenceFinder | undefined;

  constructor(options: { readonly rules: KeyRules; readonly bases: readonly ReferenceBase[] }) {
    this.rules = options.rules;
    this.bases = options.bases;
    this.#bases = options.bases.map(compileBase);
  }

  /** The references to source objects, in order, not overlapping. */
  find(value: string, within: ReferenceForm): Reference[] {
    return this.#search(value, within).references;
  }

  /** Source keys that presigned URLs name: they cannot be rewritten, and what they name must stay. */
  findPresigned(value: string, within: ReferenceForm): string[] {
    return /signature/i.test(value) ? this.#search(value, within).presigned : [];
  }

  /** Keys of the target bucket that the value names. */
  findTargets(value: string, within: ReferenceForm): string[] {
    this.#targets ??= new ReferenceFinder({
      rules: new KeyRules(
        this.rules.targetPrefixes.map((prefix) => ({ kind: 'prefix', from: prefix, to: prefix })),
      ),
      bases: this.bases.map(({ target }) => ({ source: target, target })),
    });
    const sources = this.find(value, within);
    return this.#targets
      .find(value, within)
      .filter((target) => !sources.some((source) => source.start < target.end && target.start < source.end))
      .map((reference) => reference.sourceKey);
  }

  /** The value with exactly these references replaced. */
  rewrite(value: string, references: readonly Reference[]): string {
    let result = '';
    let at = 0;
    for (const reference of [...references].sort((a, b) => a.start - b.start)) {
      result += value.slice(at, reference.start) + reference.replacement;
      at = reference.end;
    }
    return result + value.slice(at);
  }

  /**
   * Literal pieces of which every value with a reference holds at least one, whatever its spelling; none where
   * there is no such piece. A tilde ends a piece: older encoders write it as `%7E`.
   */
  needles(): string[] {
    const needles = this.rules.sourcePrefixes.map((prefix) =>
      (prefix.match(/[A-Za-z0-9\-._]+/g) ?? []).reduce(
        (longest, run) => (run.length > longest.length ? run : longest),
        '',
      ),
    );
    return needles.every((needle) => needle.length >= 2) ? [...new Set(needles)] : [];
  }

  /**
   * The canonical whole values that name a key before anything else, and what each becomes: the key, the key behind
   * a slash, and URLs of every base; most likely first.
   */
  spellings(sourceKey: string): { value: string; replacement: string }[] {
    if (!sourceKey.isWellFormed() || this.rules.targetOf(sourceKey) === undefined) return [];
    const plain = [sourceKey, `/${sourceKey}`];
    const keys = urlSpellings(sourceKey);
    for (const { source } of this.bases) {
      for (const key of source.startsWith('s3://') ? [sourceKey] : keys) plain.push(source + key);
    }
    const spellings: { value: string; replacement: string }[] = [];
    for (const value of new Set([...plain, ...plain.map(htmlEscaped)])) {
      const [reference] = this.find(value, 'value');
      if (reference?.sourceKey === sourceKey) spellings.push({ value, replacement: reference.replacement });
    }
    return spellings;
  }

  #search(value: string, within: ReferenceForm): { references: Reference[]; presigned: string[] } {
    if (within === 'value') {
      // The common case, a bare key, before everything else.
      const targetKey = this.rules.targetOf(value);
      if (
        targetKey !== undefined &&
        !/[%&]/.test(value) &&
        !mayBeOtherThanKey(value) &&
        value.isWellFormed()
      ) {
        return {
          references: [{ sourceKey: value, targetKey, replacement: targetKey, start: 0, end: value.length }],
          presigned: [],
        };
      }
      const found = this.#whole(value);
      return {
        references: found.reference === undefined ? [] : [found.reference],
        presigned: found.presigned,
      };
    }
    if (within === 'text') return this.#prose(value, true);
    const references: Reference[] = [];
    const presigned: string[] = [];
    for (const string of within === 'json' ? jsonStrings(value) : arrayStrings(value)) {
      const whole = this.#whole(string.value);
      const inside =
        whole.reference === undefined && whole.presigned.length === 0 && within === 'json'
          ? this.#prose(string.value, false)
          : {
              references: whole.reference === undefined ? [] : [whole.reference],
              presigned: whole.presigned,
            };
      presigned.push(...inside.presigned);
      for (const reference of inside.references) references.push(placed(reference, string));
    }
    return { references, presigned };
  }

  /** Reads a text as one reference. */
  #whole(text: string): { reference: Reference | undefined; presigned: string[] } {
    // Keys are UTF-8: half a surrogate pair stands in none.
    if (!text.isWellFormed()) return { reference: undefined, presigned: [] };
    for (const base of this.#bases) {
      if (!base.matches(text)) continue;
      const rest = text.slice(base.length);
      const { readings, suffix } = base.raw
        ? { readings: readKey(rest).slice(0, 1), suffix: '' }
        : readUrl(rest);
      if (isPresigned(suffix)) {
        return {
          reference: undefined,
          presigned: readings.map(({ key }) => key).filter((key) => this.rules.targetOf(key) !== undefined),
        };
      }
      const reference = this.#fromReadings(
        readings,
        text.length,
        (spelled) => base.rebase(text) + spelled + suffix,
      );
      if (reference !== undefined) return { reference, presigned: [] };
    }
    return { reference: this.#bare(text), presigned: [] };
  }

  /** Reads a text as a key, or as a key behind a slash. */
  #bare(text: string): Reference | undefined {
    if (text === '' || URL_START.test(text)) return undefined;
    const asKey = this.#fromReadings(readKey(text), text.length, (spelled) => spelled);
    if (!text.startsWith('/')) return asKey;
    const behind = this.#fromReadings(readKey(text.slice(1)), text.length, (spelled) => `/${spelled}`);
    if (behind === undefined || asKey === undefined) return behind ?? asKey;
    return { ...behind, alternatives: [...(behind.alternatives ?? []), asKey] };
  }

  #fromReadings(
    readings: readonly Reading[],
    length: number,
    write: (spelled: string) => string,
  ): Reference | undefined {
    const references: Reference[] = [];
    for (const { key, spell } of readings) {
      const targetKey = this.rules.targetOf(key);
      if (targetKey === undefined || references.some((known) => known.sourceKey === key)) continue;
      references.push({
        sourceKey: key,
        targetKey,
        replacement: write(spell(targetKey)),
        start: 0,
        end: length,
      });
    }
    const [first, ...alternatives] = references;
    return first === undefined || alternatives.length === 0 ? first : { ...first, alternatives };
  }

  /** Reads the delimited pieces of a text, each as one reference. */
  #prose(text: string, bareKeys: boolean): { references: Reference[]; presigned: string[] } {
    const references: Reference[] = [];
    const presigned: string[] = [];
    const starts = this.#bases.map((base) => base.start);
    for (const { start, end } of proseCandidates(text, starts, bareKeys ? this.rules.sourcePrefixes : [])) {
      if (start < (references.at(-1)?.end ?? 0)) continue;
      const found = this.#whole(text.slice(start, end));
      presigned.push(...found.presigned);
      if (found.reference !== undefined) references.push(shifted(found.reference, start));
    }
    return { references, presigned };
  }
}

/** What begins like a URL names an object only through a base. */
const URL_START = /^(?:[a-z][a-z0-9+.-]*:)?\/\//i;

/** Whether a value needs a closer look before it is taken for a key: where every text is one, URLs are too. */
function mayBeOtherThanKey(value: string): boolean {
  return value === '' || value.startsWith('/') || value.includes('://');
}

/** A reference to the value of a string inside a text, as one to the text. */
function placed(reference: Reference, string: EmbeddedString): Reference {
  return {
    ...reference,
    start: string.offsets[reference.start]!,
    end: string.offsets[reference.end]!,
    replacement: string.encode(reference.replacement),
    alternatives: reference.alternatives?.map((alternative) => placed(alternative, string)),
  };
}

function shifted(reference: Reference, by: number): Reference {
  return {
    ...reference,
    start: reference.start + by,
    end: reference.end + by,
    alternatives: reference.alternatives?.map((alternative) => shifted(alternative, by)),
  };
}

interface CompiledBase {
  /** What the base begins with, in lower case: scheme and host. */
  readonly start: string;
  readonly length: number;
  /** Whether keys behind it stand as they are, `?` and `%` included. */
  readonly raw: boolean;
  matches(text: string): boolean;
  /** The target's base, the scheme written as in `text`. */
  rebase(text: string): string;
}

/** Scheme and host are compared without regard to case, the path, and the bucket of s3://, byte for byte. */
function compileBase(base: ReferenceBase): CompiledBase {
  const { source, target } = base;
  const raw = source.startsWith('s3://');
  const hostEnd = raw ? 's3://'.length : (/^(?:[a-z][a-z0-9+.-]*:)?\/\/[^/]*/i.exec(source)?.[0].length ?? 0);
  const host = source.slice(0, hostEnd).toLowerCase();
  const path = source.slice(hostEnd);
  return {
    start: host,
    length: source.length,
    raw,
    matches: (text) =>
      text.length > source.length &&
      text.startsWith(path, hostEnd) &&
      text.slice(0, hostEnd).toLowerCase() === host,
    rebase: () => target,
  };
}

/** What follows a base: the readings of its path, and the query and fragment as they stand. */
function readUrl(rest: string): { readings: Reading[]; suffix: string } {
  const split = (at: number): { path: string; suffix: string } =>
    at < 0 ? { path: rest, suffix: '' } : { path: rest.slice(0, at), suffix: rest.slice(at) };
  const { path, suffix } = split(rest.search(/\?|(?<!&)#|#(?!(?:\d+|x[0-9a-f]+);)/i));
  if (path.includes('#')) {
    // An escaped apostrophe, &#39;, and no fragment.
    const readings = readPath(path).filter(({ key }) => !/&#(?:\d+|x[0-9a-f]+);/i.test(key));
    if (readings.length > 0) return { readings, suffix };
  }
  const plain = split(rest.search(/[?#]/));
  return { readings: readPath(plain.path), suffix: plain.suffix };
}

function isPresigned(suffix: string): boolean {
  return suffix.startsWith('?') && /[?&;](?:X-Amz-Signature|X-Goog-Signature|Signature)=/i.test(suffix);
}
