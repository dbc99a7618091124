/** The strings inside JSON documents and PostgreSQL array literals, with their place in the text. */

/** A string inside a text: its value, where each of its characters stands, and how to write another value there. */
export interface EmbeddedString {
  readonly value: string;
  /** Offset in the text of every UTF-16 unit of `value`, and of its end. */
  readonly offsets: readonly number[];
  /** Writes a part of a value the way this string is written. */
  encode(part: string): string;
}

/** The string values of a JSON document, names of members left out; none where the text is not JSON. */
export function jsonStrings(text: string): EmbeddedString[] {
  try {
    JSON.parse(text);
  } catch {
    return [];
  }
  const strings: EmbeddedString[] = [];
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"/gsu)) {
    const end = match.index + match[0].length;
    if (/^\s*:/.test(text.slice(end, end + 100))) continue;
    strings.push(jsonString(text, match.index + 1, end - 1));
  }
  return strings;
}

const JSON_ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

function jsonString(text: string, start: number, end: number): EmbeddedString {
  let value = '';
  const offsets: number[] = [];
  let escapedSlash = false;
  let escapedLetters = false;
  for (let at = start; at < end; ) {
    offsets.push(at);
    if (text[at] !== '\\') {
      value += text[at++];
      continue;
    }
    const c = text[at + 1]!;
    if (c === 'u') {
      value += String.fromCharCode(Number.parseInt(text.slice(at + 2, at + 6), 16));
      escapedLetters = true;
      at += 6;
    } else {
      if (c === '/') escapedSlash = true;
      value += JSON_ESCAPES[c] ?? c;
      at += 2;
    }
  }
  offsets.push(end);
  return {
    value,
    offsets,
    encode(part) {
      let encoded = JSON.stringify(part).slice(1, -1);
      if (escapedSlash) encoded = encoded.replaceAll('/', '\\/');
      if (escapedLetters) {
        encoded = encoded.replace(
          /[\u007f-\uffff]/g,
          (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
        );
      }
      return encoded;
    },
  };
}

/** The elements of a PostgreSQL array literal, of any dimension; NULLs left out. */
export function arrayStrings(text: string): EmbeddedString[] {
  const strings: EmbeddedString[] = [];
  for (let at = text.indexOf('{'); at >= 0 && at < text.length; ) {
    const c = text[at]!;
    if (c === '{' || c === '}' || c === ',' || c === ' ') {
      at++;
      continue;
    }
    const element = c === '"' ? quotedElement(text, at + 1) : bareElement(text, at);
    if (element === undefined) return [];
    if (element.string !== undefined) strings.push(element.string);
    at = element.end;
  }
  return strings;
}

function quotedElement(text: string, start: number): { string: EmbeddedString; end: number } | undefined {
  let value = '';
  const offsets: number[] = [];
  for (let at = start; at < text.length; at++) {
    if (text[at] === '"') {
      offsets.push(at);
      const encode = (part: string): string => part.replace(/["\\]/g, '\\$&');
      return { string: { value, offsets, encode }, end: at + 1 };
    }
    offsets.push(at);
    if (text[at] === '\\') at++;
    value += text[at] ?? '';
  }
  return undefined;
}

function bareElement(text: string, start: number): { string: EmbeddedString | undefined; end: number } {
  let end = start;
  while (end < text.length && text[end] !== ',' && text[end] !== '}') end++;
  const value = text.slice(start, end);
  if (/^null$/i.test(value)) return { string: undefined, end };
  const offsets = Array.from({ length: value.length + 1 }, (_, i) => start + i);
  // A bare element is replaced whole or not at all, so that quotes may be put around it.
  const encode = (part: string): string =>
    part === '' || /^null$/i.test(part) || /[\s,{}"\\]/.test(part)
      ? `"${part.replace(/["\\]/g, '\\$&')}"`
      : part;
  return { string: { value, offsets, encode }, end };
}
