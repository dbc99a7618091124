/** The string values inside a JSON document, with their place in the text. */

import type { EmbeddedString } from './embedded-strings.ts';

/** The string values of a JSON document, names of members left out; none where the text is not JSON. */
export function* jsonStrings(text: string): Generator<EmbeddedString> {
  if (!isJson(text)) return;
  for (let open = text.indexOf('"'); open >= 0; ) {
    const close = closingQuote(text, open + 1);
    const next = afterWhiteSpace(text, close + 1);
    if (text[next] !== ':') yield new JsonString(text.slice(open + 1, close), open + 1);
    open = text.indexOf('"', next);
  }
}

/** A string between its quotes; offsets are computed only for the few strings that hold a reference. */
class JsonString implements EmbeddedString {
  readonly value: string;
  readonly #source: string;
  readonly #start: number;
  #offsets: readonly number[] | undefined;

  constructor(source: string, start: number) {
    this.#source = source;
    this.#start = start;
    this.value = source.includes('\\') ? (JSON.parse(`"${source}"`) as string) : source;
  }

  get offsets(): readonly number[] {
    this.#offsets ??= offsetsIn(this.#source, this.#start);
    return this.#offsets;
  }

  encode(part: string): string {
    const plain = JSON.stringify(part).slice(1, -1);
    if (!this.#source.includes('\\')) return plain;
    const escaped = new Set<string>();
    let upperCase = false;
    for (const [, c, hex] of this.#source.matchAll(/\\(u([0-9a-fA-F]{4})|.)/g)) {
      escaped.add(hex === undefined ? c! : String.fromCharCode(Number.parseInt(hex, 16)));
      if (hex !== undefined && /[A-F]/.test(hex)) upperCase = true;
    }
    const nonAscii = [...escaped].some((c) => c > '\u007e');
    const code = (c: string): string => {
      const hex = c.charCodeAt(0).toString(16).padStart(4, '0');
      return `\\u${upperCase ? hex.toUpperCase() : hex}`;
    };
    return plain.replace(/[/<>&'=+]|[\u007f-\uffff]/g, (c) => {
      if (c > '\u007e') return nonAscii ? code(c) : c;
      if (!escaped.has(c)) return c;
      return c === '/' && this.#source.includes('\\/') ? '\\/' : code(c);
    });
  }
}

function offsetsIn(source: string, start: number): number[] {
  const offsets: number[] = [];
  let at = 0;
  while (at < source.length) {
    offsets.push(start + at);
    at += source[at] !== '\\' ? 1 : source[at + 1] === 'u' ? 6 : 2;
  }
  offsets.push(start + at);
  return offsets;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Where a string ends: at the first quote that no backslash escapes. */
function closingQuote(text: string, start: number): number {
  for (let at = text.indexOf('"', start); ; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text[at - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return at;
  }
}

function afterWhiteSpace(text: string, start: number): number {
  let at = start;
  while (at < text.length && ' \t\n\r'.includes(text[at]!)) at++;
  return at;
}
