/** Ways to write a key: percent-encoded in a URL's path, escaped in HTML; each undone and done again in kind. */

/** A reading of a spelled key, and how to spell another key the same way. */
export interface Reading {
  readonly key: string;
  spell(newKey: string): string;
}

/** Every way the path of a URL can be read as a key, most likely first. */
export function readPath(path: string): Reading[] {
  const readings: Reading[] = [];
  const plain = percentDecoded(path);
  if (plain === undefined || plain === path) {
    readings.push({ key: path, spell: (key) => (/[%?#]/.test(key) ? rfc3986(key) : key) });
  } else {
    const style = ENCODERS.find((encode) => encode(plain) === path) ?? rfc3986;
    readings.push({ key: plain, spell: style });
  }
  if (path.includes('+')) {
    const spaced = percentDecoded(path.replaceAll('+', ' '));
    if (spaced !== undefined)
      readings.push({ key: spaced, spell: (key) => rfc3986(key).replaceAll('%20', '+') });
  }
  if (path.includes('&')) readings.push(...readEscaped(path, readPath));
  return readings;
}

/** Every way a bare key can be read, most likely first: as it stands, then as if it were encoded. */
export function readKey(text: string): Reading[] {
  const readings: Reading[] = [{ key: text, spell: (key) => key }];
  if (text.includes('%')) {
    const decoded = percentDecoded(text);
    if (decoded !== undefined && decoded !== text) {
      readings.push({ key: decoded, spell: ENCODERS.find((encode) => encode(decoded) === text) ?? rfc3986 });
    }
  }
  if (text.includes('&')) readings.push(...readEscaped(text, readKey));
  return readings;
}

/** Readings of text that was escaped for HTML; only where escaping again gives the same text. */
function readEscaped(text: string, read: (unescaped: string) => Reading[]): Reading[] {
  const unescaped = unescapeHtml(text);
  if (unescaped === text) return [];
  const escaped = ESCAPERS.find((candidate) => candidate(unescaped) === text);
  if (escaped === undefined) return [];
  return read(unescaped).map(({ key, spell }) => ({ key, spell: (newKey) => escaped(spell(newKey)) }));
}

/** Undefined for a malformed sequence. */
function percentDecoded(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function rfc3986(key: string): string {
  return encodeURIComponent(key)
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/');
}

/** As JavaScript's encodeURIComponent, slashes kept. */
function component(key: string): string {
  return encodeURIComponent(key).replaceAll('%2F', '/');
}

/** As encodeURI, but with what would end the path encoded. */
function uri(key: string): string {
  return encodeURI(key).replace(/[?#]/g, encodeURIComponent);
}

function lowerHex(encode: (key: string) => string): (key: string) => string {
  return (key) => encode(key).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
}

const withSlashes = (key: string): string => encodeURIComponent(key);
const ENCODERS = [
  rfc3986,
  component,
  uri,
  withSlashes,
  lowerHex(rfc3986),
  lowerHex(component),
  lowerHex(uri),
  lowerHex(withSlashes),
];

const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&#039;': "'",
  '&#x27;': "'",
  '&apos;': "'",
};

function unescapeHtml(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|apos|#0?39|#x27);/g, (entity) => ENTITIES[entity]!);
}

function escaper(pattern: RegExp, apostrophe: string): (text: string) => string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": apostrophe,
  };
  return (text) => text.replace(pattern, (c) => entities[c]!);
}

const ESCAPERS = [
  escaper(/[&<>"']/g, '&#39;'),
  escaper(/[&<>"']/g, '&#039;'),
  escaper(/[&<>"']/g, '&#x27;'),
  escaper(/[&<>"']/g, '&apos;'),
  escaper(/[&<>"]/g, ''),
  escaper(/[&<>]/g, ''),
];
