/** The order of keys: by their UTF-8 bytes, which is the order of their code points, and not JavaScript's order. */

/** Negative, zero or positive, as `a` sorts before, with or after `b` in UTF-8 byte order. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return inCodePointOrder(x) - inCodePointOrder(y);
  }
  return a.length - b.length;
}

/** Moves surrogates, which stand for code points above U+FFFF, behind the units U+E000 to U+FFFF. */
function inCodePointOrder(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/**
 * A string that sorts before `key`, close to it: a listing that starts after it holds `key`.
 * The empty string for a key of one character that has no predecessor.
 */
export function keyBefore(key: string): string {
  const points = Array.from(key);
  const last = points.pop()?.codePointAt(0);
  const head = points.join('');
  if (last === undefined) return '';
  // Stores refuse control characters in some places, so below U+0021 the plain prefix must do.
  if (last <= 0x21 || last === 0xe000) return head;
  return head + String.fromCodePoint(last - 1);
}

/**
 * A string strictly between two keys, near the middle of the key space between them; undefined when there is
 * no room. `high` undefined is the end of the key space.
 *
 * Middles are taken among code points that keys are made of: where the space above `low` is open, first among
 * characters of its kind (digits, letters), then in the printable ASCII range, then in what lies above it.
 */
export function keyBetween(low: string, high: string | undefined): string | undefined {
  const lowPoints = Array.from(low, (c) => c.codePointAt(0)!);
  const highPoints = high === undefined ? undefined : Array.from(high, (c) => c.codePointAt(0)!);
  const prefix: number[] = [];
  for (let i = 0; i < KEY_POINTS_MAX; i++) {
    const a = lowPoints[i] ?? FLOOR;
    const b =
      highPoints === undefined || prefixIsBelow(prefix, highPoints) ? CEILING : (highPoints[i] ?? FLOOR);
    if (b - a > 1) {
      const top = Math.min(b, KIND_ENDS.find((end, i) => a >= KIND_STARTS[i]! && a < end - 1) ?? b);
      const middle = notASurrogate(a + Math.floor((top - a) / 2));
      if (middle > a && middle < b) {
        const key = String.fromCodePoint(...prefix, middle);
        return high === undefined || compareKeys(key, high) < 0 ? key : undefined;
      }
    }
    prefix.push(a);
  }
  return undefined;
}

function prefixIsBelow(prefix: readonly number[], high: readonly number[]): boolean {
  for (let i = 0; i < prefix.length; i++) {
    const h = high[i];
    if (h === undefined) return false;
    if (prefix[i]! !== h) return prefix[i]! < h;
  }
  return false;
}

function notASurrogate(point: number): number {
  return point >= 0xd800 && point <= 0xdfff ? 0xd7ff : point;
}

/** Digits, capital letters, small letters, printable ASCII: the first of each, and the first behind it. */
const KIND_STARTS = [0x30, 0x41, 0x61, 0];
const KIND_ENDS = [0x3a, 0x5b, 0x7b, 0x7f];
const FLOOR = 0x20;
const CEILING = 0x110000;
const KEY_POINTS_MAX = 1024;

/** The smallest string above every key that starts with `prefix`; undefined when there is none. */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (c) => c.codePointAt(0)!);
  while (points.length > 0) {
    const last = points.pop()!;
    if (last < 0x10ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
  }
  return undefined;
}
