/** Counts the objects of a move as they are listed: bytes, parts, the proofs to expect. Pure. */

import type { ListedObject } from '../../stores/object-store.ts';
import { partBytesFor, type S3Limits } from '../../stores/s3/s3-client.ts';
import { ARCHIVED_CLASSES } from './findings.ts';
import { etagMeaning } from './proof.ts';

/** What decides how an object is copied and proven. */
export interface CopyFacts {
  readonly prove: 'etag' | 'checksum' | 'bytes';
  readonly sourceEtag: 'md5' | 'opaque';
  readonly targetEtag: 'md5' | 'opaque';
  readonly serverSide: boolean;
  readonly partCopy: boolean;
  readonly limits: S3Limits;
}

/** On which proof objects will stand, as far as their listing tells. Keys of a KMS make `etag` too hopeful. */
export interface ExpectedProofs {
  /** The ETag is the MD5 of the content on both sides. */
  etag: number;
  /** The ETag is that of a multipart object; the copy is made in the same parts. */
  etagInSameParts: number;
  /** The ETag says nothing, or more was asked for: a stored checksum, else both sides are read. */
  checksumOrBytes: number;
}

/** Totals of the objects that a move copies or finds on the target. */
export class ObjectCounts {
  count = 0;
  bytes = 0;
  toCopy = 0;
  bytesToCopy = 0;
  already = 0;
  partedCopies = 0;
  parts = 0;
  readonly proofs: ExpectedProofs = { etag: 0, etagInSameParts: 0, checksumOrBytes: 0 };
  /** How many objects of each archived storage class. */
  readonly archived = new Map<string, number>();
  readonly #facts: CopyFacts;

  constructor(facts: CopyFacts) {
    this.#facts = facts;
  }

  /** @param onTarget whether the target holds something under its new key */
  add(object: ListedObject, onTarget: boolean): void {
    this.count++;
    this.bytes += object.sizeBytes;
    this.proofs[expectedProof(object, this.#facts)]++;
    if (onTarget) {
      this.already++;
      return;
    }
    if (ARCHIVED_CLASSES.has(object.storageClass)) {
      this.archived.set(object.storageClass, (this.archived.get(object.storageClass) ?? 0) + 1);
    }
    this.toCopy++;
    this.bytesToCopy += object.sizeBytes;
    const parts = partsOf(object, this.#facts);
    if (parts === 0) return;
    this.partedCopies++;
    this.parts += parts;
  }
}

/**
 * | asked for | ETags of the stores | the object's ETag | parts can be copied | proof |
 * | --- | --- | --- | --- | --- |
 * | checksum, bytes | any | any | any | checksumOrBytes |
 * | etag | one is opaque | any | any | checksumOrBytes |
 * | etag | MD5 | MD5 | any | etag |
 * | etag | MD5 | multipart | yes, or streamed | etagInSameParts |
 * | etag | MD5 | multipart | no | checksumOrBytes |
 */
export function expectedProof(object: Pick<ListedObject, 'etag'>, facts: CopyFacts): keyof ExpectedProofs {
  if (facts.prove !== 'etag' || facts.targetEtag === 'opaque') return 'checksumOrBytes';
  switch (etagMeaning(object.etag, facts.sourceEtag)) {
    case 'md5':
      return 'etag';
    case 'multipart':
      return facts.partCopy || !facts.serverSide ? 'etagInSameParts' : 'checksumOrBytes';
    default:
      return 'checksumOrBytes';
  }
}

/** In how many parts an object is copied; 0 when it is copied whole. */
export function partsOf(object: Pick<ListedObject, 'etag' | 'sizeBytes'>, facts: CopyFacts): number {
  if (expectedProof(object, facts) === 'etagInSameParts') return Number(object.etag.split('-')[1]);
  const whole = facts.serverSide ? facts.limits.copyBytesMax : facts.limits.putBytesMax;
  if (object.sizeBytes <= whole) return 0;
  return Math.ceil(object.sizeBytes / partBytesFor(object.sizeBytes, facts.limits));
}
