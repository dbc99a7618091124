/** XML as S3 speaks it: escaping on the way out, and the little parsing that request bodies need. */

const UNSAFE = /[&<>"'\u0000-\u001f\u007f-\u009f\ufffe\uffff]/;
const UNSAFE_ALL = new RegExp(UNSAFE.source, 'g');
const NAMED_OUT: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for an element. What XML 1.0 cannot hold is written as a numeric character reference, as S3 does. */
export function xmlEscape(text: string): string {
  if (!UNSAFE.test(text)) return text;
  return text.replace(
    UNSAFE_ALL,
    (character) => NAMED_OUT[character] ?? `&#x${character.charCodeAt(0).toString(16)};`,
  );
}

/**
 * What `encoding-type=url` makes of a key: form encoding of its UTF-8 bytes (space is `+`), with `/` kept.
 */
export function urlEncodeKey(key: string): string {
  if (/^[A-Za-z0-9\-._*/]*$/.test(key)) return key;
  return encodeURIComponent(key)
    .replace(/%20/g, '+')
    .replace(/%2F/g, '/')
    .replace(/[!'()~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

const NAMED_IN: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The text of an element, entities resolved. */
export function xmlUnescape(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#x([0-9a-fA-F]+)|#(\d+)|(amp|lt|gt|quot|apos));/g, (_, hex, decimal, name) =>
    name !== undefined
      ? NAMED_IN[name as string]!
      : String.fromCodePoint(
          hex !== undefined ? Number.parseInt(hex as string, 16) : Number(decimal as string),
        ),
  );
}

const patterns = new Map<string, RegExp>();

function pattern(name: string): RegExp {
  let found = patterns.get(name);
  if (found === undefined) {
    found = new RegExp(`<${name}(?:\\s[^>]*)?(?:/>|>([\\s\\S]*?)</${name}\\s*>)`, 'g');
    patterns.set(name, found);
  }
  found.lastIndex = 0;
  return found;
}

/** The inner XML of each element with this name, in order; elements of one name are not nested in S3's bodies. */
export function xmlElements(xml: string, name: string): string[] {
  const found: string[] = [];
  for (const match of xml.matchAll(pattern(name))) found.push(match[1] ?? '');
  return found;
}

/** The text of the first element with this name, entities resolved; undefined where there is none. */
export function xmlText(xml: string, name: string): string | undefined {
  const match = pattern(name).exec(xml);
  return match === null ? undefined : xmlUnescape(match[1] ?? '');
}
