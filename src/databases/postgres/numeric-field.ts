/**
 * The type numeric, in its binary and text forms, as an integer of 128 bits or as text.
 * Reference: `numeric_send` of PostgreSQL: digits of base 10,000, the weight of the first, a sign, a display scale.
 */

import type { BytesBuilder, FixedBuilder } from '../../formats/columns/column-builder.ts';

const NEGATIVE = 0x4000;
const NAN = 0xc000;
const PLUS_INFINITY = 0xd000;
const MINUS_INFINITY = 0xf000;
const TWO_32 = 4_294_967_296;
/** Integers below are exact as numbers. */
const EXACT_DIGITS = 15;

/** A value that no decimal holds, as text; undefined for a finite number. */
export function notFinite(view: DataView, at: number): string | undefined {
  const sign = view.getUint16(at + 4);
  if (sign < NAN) return undefined;
  if (sign === PLUS_INFINITY) return 'Infinity';
  return sign === MINUS_INFINITY ? '-Infinity' : 'NaN';
}

/** Pushes a value times 10^scale. The value has at most `precision` digits, `scale` of them behind the point. */
export function pushDecimalBinary(
  builder: FixedBuilder,
  view: DataView,
  at: number,
  precision: number,
  scale: number,
): void {
  const count = view.getInt16(at);
  const weight = view.getInt16(at + 2);
  const negative = view.getUint16(at + 4) === NEGATIVE;
  if (precision <= EXACT_DIGITS) {
    let value = 0;
    for (let i = 0; i < count; i++) {
      value += shifted(view.getInt16(at + 8 + 2 * i), 4 * (weight - i) + scale);
    }
    pushExact(builder, negative ? -value : value);
    return;
  }
  let value = 0n;
  for (let i = 0; i < count; i++) value = value * 10_000n + BigInt(view.getInt16(at + 8 + 2 * i));
  const exponent = 4 * (weight - count + 1) + scale;
  value = exponent >= 0 ? value * 10n ** BigInt(exponent) : value / 10n ** BigInt(-exponent);
  pushBig(builder, negative ? -value : value);
}

/** The same of text: `-12.50`. */
export function pushDecimalText(
  builder: FixedBuilder,
  bytes: Buffer,
  at: number,
  length: number,
  precision: number,
  scale: number,
): void {
  const negative = bytes[at] === 0x2d;
  const end = at + length;
  let exact = 0;
  let digits = '';
  let behindPoint = -1;
  for (let i = negative ? at + 1 : at; i < end; i++) {
    const c = bytes[i]!;
    if (c === 0x2e) {
      behindPoint = 0;
      continue;
    }
    if (behindPoint >= 0) behindPoint++;
    if (precision <= EXACT_DIGITS) exact = exact * 10 + c - 0x30;
    else digits += String.fromCharCode(c);
  }
  const missing = scale - Math.max(0, behindPoint);
  if (precision <= EXACT_DIGITS) {
    const value = shifted(exact, missing);
    pushExact(builder, negative ? -value : value);
    return;
  }
  const value = BigInt(digits) * 10n ** BigInt(missing);
  pushBig(builder, negative ? -value : value);
}

function shifted(value: number, exponent: number): number {
  return exponent >= 0 ? value * POWERS[exponent]! : value / POWERS[-exponent]!;
}

/** Exact as numbers; a digit of base 10,000 may stand up to 22 places off. */
const POWERS: readonly number[] = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

function pushExact(builder: FixedBuilder, value: number): void {
  const high = Math.floor(value / TWO_32);
  const sign = value < 0 ? -1 : 0;
  builder.push128((value - high * TWO_32) | 0, high | 0, sign, sign);
}

function pushBig(builder: FixedBuilder, value: bigint): void {
  const word = (index: bigint): number => Number(BigInt.asIntN(32, value >> (32n * index)));
  builder.push128(word(0n), word(1n), word(2n), word(3n));
}

/** Writes a value as `numeric_out` does, with as many digits behind the point as its display scale says. */
export function pushNumericText(builder: BytesBuilder, view: DataView, at: number): void {
  const special = notFinite(view, at);
  if (special !== undefined) {
    builder.pushText(special);
    return;
  }
  const count = view.getUint16(at);
  const weight = view.getInt16(at + 2);
  const negative = view.getUint16(at + 4) === NEGATIVE;
  const scale = view.getUint16(at + 6);
  const digit = (index: number): string =>
    index >= 0 && index < count ? String(view.getUint16(at + 8 + 2 * index)).padStart(4, '0') : '0000';
  let text = '';
  for (let i = 0; i <= weight; i++) text += digit(i);
  text = text.replace(/^0+(?=\d)/, '') || '0';
  if (scale > 0) {
    let fraction = '';
    for (let i = weight + 1; fraction.length < scale; i++) fraction += digit(i);
    text += `.${fraction.slice(0, scale)}`;
  }
  builder.pushText(negative ? `-${text}` : text);
}
