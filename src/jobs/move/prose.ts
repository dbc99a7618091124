/** Cuts text and HTML into the pieces that may be references: URLs of known hosts, and delimited paths. */

export interface ProseCandidate {
  readonly start: number;
  readonly end: number;
  readonly url: boolean;
}

/** What ends a reference inside text. */
const DELIMITER = /[\s"'<>()[\]{}`|\\^]/;
/** What may stand before one. */
const BEFORE = /[\s"'<>()[\]{}`|=,;]/;
/** Delimiters as they are written in HTML that is itself escaped. */
const ENTITY = /&(?:quot|apos|lt|gt|#0?3[49]|#x2[27]);/gi;
/** Keys have 1,024 bytes at most, and an escape of one of them five characters at most. */
const BARE_LENGTH_MAX = 6 * 1024;

interface Hit {
  readonly start: number;
  /** Where the needle stands: behind `start` where a slash comes first. */
  readonly at: number;
  readonly url: boolean;
}

/**
 * @param urlStarts schemes and hosts, in lower case
 * @param prefixes what bare keys begin with; an empty one matches nothing here, or every word would be a key
 */
export function* proseCandidates(
  text: string,
  urlStarts: readonly string[],
  prefixes: readonly string[],
): Generator<ProseCandidate> {
  const hits = itemStarts(text, hitsOf(text, urlStarts, prefixes));
  const listed = hits.filter(({ start }) => start > 0 && /[,;]/.test(text[start - 1]!));
  let next = 0;
  let tooLongEnd = 0;
  for (const { start, at, url, runEnd } of hits) {
    if (start < tooLongEnd) continue;
    // In a list without spaces the next item ends this one.
    while (next < listed.length && listed[next]!.start <= at) next++;
    const end = endOf(text, start, Math.min(runEnd, (listed[next]?.start ?? text.length + 1) - 1));
    if (!url && end - start > BARE_LENGTH_MAX) tooLongEnd = end;
    else if (end > at) yield { start, end, url };
  }
}

/** Where a needle stands behind a delimiter, in order; of several at one place the longest. */
function hitsOf(text: string, urlStarts: readonly string[], prefixes: readonly string[]): Hit[] {
  const needles = [...new Set(urlStarts)].map((needle) => ({ needle, url: true }));
  for (const prefix of new Set(prefixes)) if (prefix !== '') needles.push({ needle: prefix, url: false });
  // Only ASCII: elsewhere lower case may be longer, and every offset behind it would be wrong.
  const lower = text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  const hits = new Map<number, Hit>();
  for (const { needle, url } of needles) {
    const inside = url ? lower : text;
    for (let at = inside.indexOf(needle); at >= 0; at = inside.indexOf(needle, at + 1)) {
      const start = !url && text[at - 1] === '/' ? at - 1 : at;
      if (start > 0 && !BEFORE.test(text[start - 1]!)) continue;
      if (!hits.has(start)) hits.set(start, { start, at, url });
    }
  }
  return [...hits.values()].sort((a, b) => a.start - b.start);
}

/**
 * The hits that are not part of another URL, as in `https://other.example/?u=https://…`, each with the end of the
 * run of characters, free of delimiters, in which it stands.
 */
function itemStarts(text: string, hits: readonly Hit[]): (Hit & { readonly runEnd: number })[] {
  const items: (Hit & { readonly runEnd: number })[] = [];
  const slashes = new Ahead((from) => text.indexOf('//', from));
  const query = new Ahead((from) => indexOfAny(text, /[?#]/g, from));
  let runEnd = 0;
  /** Where the item of the run begins that the next hit may be part of, and whether that item is a hit. */
  let item = 0;
  let known = false;
  for (const hit of hits) {
    if (hit.start >= runEnd) {
      item = hit.start;
      while (item > runEnd && !DELIMITER.test(text[item - 1]!)) item--;
      runEnd = hit.start;
      while (runEnd < text.length && !DELIMITER.test(text[runEnd]!)) runEnd++;
      known = false;
    }
    const listed = hit.url && hit.start > item && /[,;]/.test(text[hit.start - 1]!);
    if (listed && (known || query.from(item) >= hit.start)) item = hit.start;
    // In escaped HTML an entity is a delimiter like any other.
    const entity = entityBefore(text, hit.start);
    if (entity !== undefined && hit.start > item) item = hit.start;
    if (slashes.from(item) < hit.start - 1) continue;
    items.push({ ...hit, runEnd });
    if (hit.url) item = hit.start;
    known ||= hit.start === item;
  }
  return items;
}

/** The next place of something, asked for at places that only grow, so that each part of a text is read once. */
class Ahead {
  readonly #find: (from: number) => number;
  #next = -1;

  constructor(find: (from: number) => number) {
    this.#find = find;
  }

  from(place: number): number {
    if (this.#next < place) {
      const next = this.#find(place);
      this.#next = next < 0 ? Number.POSITIVE_INFINITY : next;
    }
    return this.#next;
  }
}

function indexOfAny(text: string, pattern: RegExp, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? -1;
}

/** The entity that stands right before a place and is a delimiter in escaped HTML. */
function entityBefore(text: string, place: number): string | undefined {
  if (text[place - 1] !== ';') return undefined;
  const before = text.slice(Math.max(0, place - 6), place);
  return [...before.matchAll(ENTITY)].find(
    ({ 0: entity, index }) => index + entity.length === before.length,
  )?.[0];
}

/**
 * Where the reference ends: where the run ends, without the punctuation of a sentence. Between quotes it is all
 * that the quotes hold; elsewhere an escaped quote or angle bracket ends it as a plain one would.
 */
function endOf(text: string, start: number, runEnd: number): number {
  const quote = text[start - 1];
  if (quote !== undefined && /["'`]/.test(quote) && text[runEnd] === quote) return runEnd;
  const opening = entityBefore(text, start)?.toLowerCase();
  for (const { 0: entity, index } of text.slice(start, runEnd).matchAll(ENTITY)) {
    const closing = entity.toLowerCase();
    // Apostrophes are common in names, so that one only closes what one has opened.
    if (!/^&(?:apos|#0?39|#x27);$/.test(closing) || closing === opening) return start + index;
  }
  let end = runEnd;
  while (end > start && /[.,;:!?]/.test(text[end - 1]!)) {
    // The semicolon of an entity belongs to the reference.
    if (text[end - 1] === ';' && /&[a-z#0-9]+;$/i.test(text.slice(Math.max(start, end - 10), end))) break;
    end--;
  }
  return end;
}
