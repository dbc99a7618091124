/** Draws small avatars as PNG files: real pictures of several sizes, each one different. */

import { crc32, deflateSync } from 'node:zlib';

/** A picture of `side` × `side` pixels that only `seed` decides. PNG specification, third edition. */
export function avatarPng(seed: number, side: number): Buffer {
  const pixels = Buffer.alloc(side * (side * 3 + 1));
  const [r, g, b] = [(seed * 37) % 256, (seed * 91) % 256, (seed * 53) % 256];
  let noise = (seed * 2654435761) >>> 0 || 1;
  for (let y = 0; y < side; y++) {
    let at = y * (side * 3 + 1) + 1;
    for (let x = 0; x < side; x++) {
      // Identicon: mirrored blocks in one colour, with some grain so that sizes differ.
      const block = Math.floor((Math.min(x, side - 1 - x) * 5) / side) + 5 * Math.floor((y * 5) / side);
      const on = (Math.imul(seed + 1, 0x9e3779b1) >>> (block % 31)) & 1;
      noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
      const grain = noise >>> 29;
      pixels[at++] = on === 1 ? r ^ grain : 240;
      pixels[at++] = on === 1 ? g ^ grain : 240;
      pixels[at++] = on === 1 ? b ^ grain : 240;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels, { level: 1 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  out.set(body, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}
