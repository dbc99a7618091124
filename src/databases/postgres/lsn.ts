/**
 * Log sequence numbers: places in PostgreSQL's write-ahead log. Held as bigint, which compares and subtracts; a
 * difference is a number of bytes. Reference: the type `pg_lsn`.
 */

import { LongshoreError } from '../../errors.ts';

export type Lsn = bigint;

/** @throws DATABASE_FAILED for text that is not of the form `16/B374D848` */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match === null) throw new LongshoreError('DATABASE_FAILED', `cannot read "${text}" as an LSN`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** As PostgreSQL prints it: `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;
}

/** Sixteen hexadecimal digits, which sort as the LSNs do. */
export function sortableLsn(lsn: Lsn): string {
  return lsn.toString(16).toUpperCase().padStart(16, '0');
}
