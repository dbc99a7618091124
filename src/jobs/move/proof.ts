/**
 * Decides on what proof a copy stands, from facts alone.
 *
 * | asked for  | both ETags say what the bytes are, and are equal | equal multipart ETags | else |
 * | ---------- | ------------------------------------------------ | --------------------- | ---- |
 * | `etag`     | etag                                             | etag                  | checksum, else bytes |
 * | `checksum` | checksum, else bytes                             | checksum, else bytes  | checksum, else bytes |
 * | `bytes`    | bytes                                            | bytes                 | bytes |
 *
 * Sizes that differ always mean other content. Two plain MD5s that differ do too, where the stores' ETags are MD5s
 * and neither object is encrypted in a way that changes its ETag, which only the answer to a HEAD tells; so a
 * difference of ETags leads to a stronger proof and never by itself to a verdict.
 */

import type { ObjectHead } from '../../stores/object-store.ts';

export type ProofKind = 'etag' | 'checksum' | 'bytes';

/** What an ETag of this form means. */
export type EtagMeaning = 'md5' | 'multipart' | 'nothing';

/** @param storeEtag what the store's plain ETags were seen to be */
export function etagMeaning(etag: string, storeEtag: 'md5' | 'opaque'): EtagMeaning {
  if (storeEtag === 'opaque') return 'nothing';
  if (/^[0-9a-f]{32}$/i.test(etag)) return 'md5';
  if (/^[0-9a-f]{32}-\d+$/i.test(etag)) return 'multipart';
  return 'nothing';
}

export interface ComparedObject {
  readonly sizeBytes: number;
  readonly etag: string;
}

/** The first look, without any further request. */
export type EtagVerdict = 'proven' | 'differs' | 'unclear';

/**
 * Whether two objects are the same by size and ETag. `differs` is only answered for sizes; ETags that differ are
 * `unclear`, because encryption and part layout change them too.
 */
export function compareByEtag(
  source: ComparedObject,
  target: ComparedObject,
  storeEtags: { readonly source: 'md5' | 'opaque'; readonly target: 'md5' | 'opaque' },
): EtagVerdict {
  if (source.sizeBytes !== target.sizeBytes) return 'differs';
  const mine = etagMeaning(source.etag, storeEtags.source);
  const theirs = etagMeaning(target.etag, storeEtags.target);
  if (mine === 'nothing' || theirs === 'nothing') return 'unclear';
  return source.etag.toLowerCase() === target.etag.toLowerCase() ? 'proven' : 'unclear';
}

/**
 * Whether two objects are the same by a checksum that both stores keep of the whole object.
 * `unclear` where they keep none of one kind.
 */
export function compareByChecksum(source: ObjectHead, target: ObjectHead): EtagVerdict {
  if (source.sizeBytes !== target.sizeBytes) return 'differs';
  for (const mine of source.checksums) {
    if (mine.composite) continue;
    const theirs = target.checksums.find((c) => c.algorithm === mine.algorithm && !c.composite);
    if (theirs !== undefined) return mine.value === theirs.value ? 'proven' : 'differs';
  }
  return 'unclear';
}

/** Whether an MD5 of the bytes is known of both without reading them: plain ETags under encryption that keeps them. */
export function plainMd5(head: ObjectHead, storeEtag: 'md5' | 'opaque'): string | undefined {
  const { encryption } = head.attributes;
  if (encryption !== undefined && encryption !== 'AES256') return undefined;
  return etagMeaning(head.etag, storeEtag) === 'md5' ? head.etag.toLowerCase() : undefined;
}
