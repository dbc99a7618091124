/** Reads the few XML documents that S3 answers with, by position and without building a tree. */

import type { ListedObject } from '../object-store.ts';

/** The text of the first `<name>` from `from` on, decoded; undefined where there is none. */
export function elementText(xml: string, name: string, from = 0): string | undefined {
  const open = xml.indexOf(`<${name}>`, from);
  if (open < 0) return undefined;
  const start = open + name.length + 2;
  const end = xml.indexOf(`</${name}>`, start);
  return end < 0 ? undefined : decodeXml(xml.slice(start, end));
}

/** The inner XML of every `<name>`, in order. */
export function* elements(xml: string, name: string): Generator<string> {
  const open = `<${name}>`;
  const close = `</${name}>`;
  for (let at = xml.indexOf(open); at >= 0; at = xml.indexOf(open, at)) {
    const end = xml.indexOf(close, at);
    if (end < 0) return;
    yield xml.slice(at + open.length, end);
    at = end + close.length;
  }
}

/** Whether the document's root is `name` and it is whole: stores do cut answers short. */
export function isWhole(xml: string, name: string): boolean {
  const start = xml.indexOf(`<${name}`);
  if (start < 0) return false;
  // Only the root may close itself: an answer cut behind an empty element inside it is not whole.
  return xml.includes(`</${name}>`, start) || /^<[^<>]*\/>\s*$/.test(xml.slice(start));
}

/** Decodes the five named and all numeric character references. */
export function decodeXml(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(lt|gt|amp|quot|apos));/g, (_, hex, decimal, name) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number.parseInt(decimal, 10));
    return NAMED[name as keyof typeof NAMED];
  });
}

const NAMED = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** Encodes text for an XML element, control characters as references so that they survive XML 1.0. */
export function encodeXml(text: string): string {
  return /[&<>"'\u0000-\u001f\u007f-\u009f\u2028\ufffe\uffff]/.test(text)
    ? text.replace(
        /[&<>"'\u0000-\u001f\u007f-\u009f\u2028\ufffe\uffff]/g,
        (c) => `&#x${c.charCodeAt(0).toString(16)};`,
      )
    : text;
}

/** The ETag without its quotes, which stand plain or escaped. */
export function bareEtag(etag: string): string {
  return etag.replaceAll('"', '');
}

/**
 * The `<Contents>` of a ListObjectsV2 answer.
 * @param decodeKey undoes `encoding-type=url`
 */
export function parseContents(xml: string, decodeKey: (key: string) => string): ListedObject[] {
  const objects: ListedObject[] = [];
  let at = xml.indexOf('<Contents>');
  while (at >= 0) {
    const end = xml.indexOf('</Contents>', at);
    if (end < 0) break;
    objects.push({
      key: decodeKey(decodeXml(within(xml, '<Key>', '</Key>', at, end))),
      sizeBytes: Number(within(xml, '<Size>', '</Size>', at, end)),
      etag: etagWithin(xml, at, end),
      lastModifiedMs: Date.parse(within(xml, '<LastModified>', '</LastModified>', at, end)),
      storageClass: within(xml, '<StorageClass>', '</StorageClass>', at, end) || 'STANDARD',
    });
    at = xml.indexOf('<Contents>', end);
  }
  return objects;
}

function within(xml: string, open: string, close: string, from: number, to: number): string {
  const start = xml.indexOf(open, from);
  if (start < 0 || start > to) return '';
  return xml.slice(start + open.length, xml.indexOf(close, start));
}

function etagWithin(xml: string, from: number, to: number): string {
  const raw = within(xml, '<ETag>', '</ETag>', from, to);
  return raw.startsWith('&quot;') && raw.endsWith('&quot;') ? raw.slice(6, -6) : bareEtag(decodeXml(raw));
}

/** Undoes `encoding-type=url`. @param plus whether `+` stands for a space, as on AWS */
export function decodeUrlKey(key: string, plus: boolean): string {
  if (!key.includes('%') && !key.includes('+')) return key;
  return decodeURIComponent(plus ? key.replaceAll('+', ' ') : key);
}
