/** Whole numbers in as few bytes as they need (LEB128). */

/** Seven bits a byte, the least significant first. @returns where it ends */
export function writeVarint(page: Uint8Array, at: number, value: number): number {
  let rest = value;
  let end = at;
  for (; rest > 0x7f; rest >>>= 7) page[end++] = (rest & 0x7f) | 0x80;
  page[end++] = rest;
  return end;
}
