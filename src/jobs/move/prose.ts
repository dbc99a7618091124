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

/**
 * @param urlStarts schemes and hosts, in lower case
 * @param prefixes what bare keys begin with; an empty one matches nothing here, or every word would be a key
 */
export function* proseCandidates(
  text: string,
  urlStarts: readonly string[],
  prefixes: readonly string[],
): Generator<ProseCandidate> {
  const needles = [...new Set(urlStarts)].map((needle) => ({ needle, url: true }));
  for (const prefix of prefixes) {
    if (prefix !== '') needles.push({ needle: prefix, url: false });
  }
  const lower = text.toLowerCase();
  const found: ProseCandidate[] = [];
  for (const { needle, url } of needles) {
    const inside = url ? lower : text;
    for (let at = inside.indexOf(needle); at >= 0; at = inside.indexOf(needle, at + 1)) {
      const start = !url && text[at - 1] === '/' ? at - 1 : at;
      if (start > 0 && !BEFORE.test(text[start - 1]!)) continue;
      if (insideUrl(text, start)) continue;
      found.push({ start, end: endOf(text, at), url });
    }
  }
  // Longer ones first: //host is also the end of https://host.
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  let last = -1;
  for (const candidate of found) {
    if (candidate.start <= last) continue;
    last = candidate.start;
    yield candidate;
  }
}

/** Whether the place lies in another URL, as in `https://other.example/?u=https://…`. */
function insideUrl(text: string, start: number): boolean {
  let from = start;
  while (from > 0 && !DELIMITER.test(text[from - 1]!)) from--;
  return text.slice(from, start).includes('//');
}

/** Where the reference ends: before a delimiter, without the punctuation of the sentence. */
function endOf(text: string, start: number): number {
  let end = start;
  while (end < text.length && !DELIMITER.test(text[end]!)) end++;
  while (end > start && /[.,;:!?]/.test(text[end - 1]!)) {
    // The semicolon of an entity belongs to the reference.
    if (text[end - 1] === ';' && /&[a-z#0-9]+;$/i.test(text.slice(Math.max(start, end - 10), end))) break;
    end--;
  }
  return end;
}
