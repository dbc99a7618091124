/** The additional checksums of S3, computed piece by piece. */

import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export type ChecksumAlgorithm = 'CRC64NVME' | 'CRC32' | 'CRC32C' | 'SHA1' | 'SHA256';

export const CHECKSUM_ALGORITHMS: readonly ChecksumAlgorithm[] = [
  'CRC64NVME',
  'CRC32',
  'CRC32C',
  'SHA1',
  'SHA256',
];

/** A checksum as it is kept with an object; a composite value ends in `-<parts>`. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64. */
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  digest(): Buffer;
}

export function checksumHasher(algorithm: ChecksumAlgorithm): Hasher {
  switch (algorithm) {
    case 'SHA1':
    case 'SHA256': {
      const hash = createHash(algorithm.toLowerCase());
      return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() };
    }
    case 'CRC32': {
      let value = 0;
      return {
        update: (bytes) => {
          value = crc32(bytes, value);
        },
        digest: () => uint32(value),
      };
    }
    case 'CRC32C':
      return crc32cHasher();
    case 'CRC64NVME':
      return crc64Hasher();
  }
}

/** The name of a checksum in headers (`x-amz-checksum-crc32`) and in XML (`ChecksumCRC32`). */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

export function checksumAlgorithmOf(name: string | undefined): ChecksumAlgorithm | undefined {
  const upper = name?.toUpperCase();
  return CHECKSUM_ALGORITHMS.find((algorithm) => algorithm === upper);
}

/** The elements of a result document for a checksum. */
export function checksumElements(checksum: Checksum | undefined): string {
  if (checksum === undefined) return '';
  const name = `Checksum${checksum.algorithm}`;
  return `<${name}>${checksum.value}</${name}><ChecksumType>${checksum.type}</ChecksumType>`;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

let crc32cTable: Int32Array | undefined;

function crc32cHasher(): Hasher {
  crc32cTable ??= Int32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    return value;
  });
  const table = crc32cTable;
  let crc = -1;
  return {
    update: (bytes) => {
      for (let index = 0; index < bytes.length; index++) {
        crc = (crc >>> 8) ^ table[(crc ^ bytes[index]!) & 0xff]!;
      }
    },
    digest: () => uint32(~crc),
  };
}

let crc64Tables: { high: Int32Array; low: Int32Array } | undefined;

function makeCrc64Tables(): { high: Int32Array; low: Int32Array } {
  const high = new Int32Array(256);
  const low = new Int32Array(256);
  for (let index = 0; index < 256; index++) {
    let value = BigInt(index);
    for (let bit = 0; bit < 8; bit++) {
      value = value & 1n ? (value >> 1n) ^ 0x9a6c9329ac4bc9b5n : value >> 1n;
    }
    high[index] = Number(BigInt.asIntN(32, value >> 32n));
    low[index] = Number(BigInt.asIntN(32, value));
  }
  return { high, low };
}

function crc64Hasher(): Hasher {
  crc64Tables ??= makeCrc64Tables();
  const tables = crc64Tables;
  let high = -1;
  let low = -1;
  return {
    update: (bytes) => {
      for (let index = 0; index < bytes.length; index++) {
        const entry = (low ^ bytes[index]!) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ tables.low[entry]!;
        high = (high >>> 8) ^ tables.high[entry]!;
      }
    },
    digest: () => Buffer.concat([uint32(~high), uint32(~low)]),
  };
}
