/**
 * The interface every object store implements, and the plain data that goes through it.
 *
 * Keys are JavaScript strings of valid Unicode; order is always that of their UTF-8 bytes (`key-order.ts`).
 * ETags are kept as the store answered them, without the surrounding quotes.
 */

import type { Readable } from 'node:stream';

/** One line of a listing. */
export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Empty where the store gives none. */
  readonly etag: string;
  readonly lastModifiedMs: number;
  /** As the store names it; `STANDARD` when it names none. */
  readonly storageClass: string;
}

/** A page of a listing: objects in UTF-8 byte order, all of them after `startAfter`. */
export interface ListPage {
  readonly objects: readonly ListedObject[];
  /** Whether there may be more after the last object. A page with `more` holds at least one object. */
  readonly more: boolean;
}

/** What is stored beside an object's bytes and must survive a move. */
export interface ObjectAttributes {
  readonly contentType?: string;
  readonly cacheControl?: string;
  readonly contentDisposition?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly expires?: string;
  readonly websiteRedirectLocation?: string;
  /** User metadata, names in lower case without `x-amz-meta-`; values hold a character (up to U+00FF) a byte. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly storageClass?: string;
  /** `AES256`, `aws:kms`, `aws:kms:dsse`, … */
  readonly encryption?: string;
  readonly kmsKeyId?: string;
}

/** A checksum the store keeps of the whole object, base64. */
export interface StoredChecksum {
  readonly algorithm: 'CRC64NVME' | 'CRC32' | 'CRC32C' | 'SHA1' | 'SHA256';
  readonly value: string;
  /** A composite checksum depends on the part sizes and proves nothing across different ones. */
  readonly composite: boolean;
}

/** What a HEAD answers. */
export interface ObjectHead {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
  readonly attributes: ObjectAttributes;
  readonly checksums: readonly StoredChecksum[];
  readonly versionId?: string;
  /** How many tags, where the store says so. */
  readonly tagCount?: number;
  /** Of a multipart object, where the store says so. */
  readonly partsCount?: number;
  /** `GOVERNANCE` or `COMPLIANCE`, and until when. */
  readonly lock?: { readonly mode: string; readonly untilMs: number };
}

/** What a copy keeps beside the bytes. Attributes and user metadata are always kept. */
export interface KeepOptions {
  readonly tags: boolean;
}

/** Encryption to ask for, where it is not the bucket's default. */
export interface EncryptionSettings {
  /** `aws:kms`, `aws:kms:dsse`, `AES256` */
  readonly algorithm: string;
  readonly kmsKeyId?: string | undefined;
}

export interface CopyRequest {
  readonly sourceKey: string;
  /** Copy only if the source still has this ETag. */
  readonly sourceEtag?: string | undefined;
  /** Decides between one copy and parts; asked of the source where absent. */
  readonly sizeBytes?: number | undefined;
  /** As listed; kept on the target unless it is `STANDARD`. */
  readonly storageClass?: string | undefined;
  readonly targetKey: string;
  /** Copy only if the target does not exist. Honoured as far as {@link StoreCapabilities.conditionalCopy} says. */
  readonly ifAbsent: boolean;
  /** Overwrite only the target with this ETag (used when a copy is repaired). */
  readonly ifTargetEtag?: string | undefined;
  readonly keep: KeepOptions;
  readonly encryption?: EncryptionSettings | undefined;
  /** Keep the part layout, so that a multipart ETag comes out the same; part size in bytes. */
  readonly partBytes?: number | undefined;
}

/** How a copy ended. What ended neither way is thrown as a LongshoreError. */
export type CopyOutcome =
  | {
      readonly kind: 'copied';
      /** The target's ETag. */
      readonly etag: string;
      readonly how: 'server' | 'parts' | 'stream';
      /** MD5 of the bytes that went through us, hex; only of streamed copies. */
      readonly md5?: string | undefined;
    }
  | { readonly kind: 'target-exists' }
  | { readonly kind: 'source-changed' }
  | { readonly kind: 'source-missing' };

/** A file of this machine, which nobody changes meanwhile. Unlike a stream, it can be sent again. */
export interface LocalFile {
  readonly path: string;
}

export interface PutRequest {
  readonly key: string;
  /** Exactly this many bytes follow, or the put fails; as many as come where it is left out, which is for streams alone. */
  readonly sizeBytes?: number | undefined;
  /** Where a stream fails, the put fails, and there is no object. */
  readonly body: Readable | Uint8Array | LocalFile;
  readonly attributes: ObjectAttributes;
  readonly tags?: readonly ObjectTag[];
  readonly ifAbsent: boolean;
  readonly ifTargetEtag?: string | undefined;
  readonly partBytes?: number | undefined;
}

export interface ObjectTag {
  readonly key: string;
  readonly value: string;
}

export interface DeleteRequest {
  readonly key: string;
  /** Delete only the object with this ETag; honoured as far as {@link StoreCapabilities.conditionalDelete} says. */
  readonly etag?: string | undefined;
  /** Delete this version (or delete marker) and not the current object. */
  readonly versionId?: string | undefined;
}

export type DeleteOutcome =
  /** Gone, now or before. `markerVersionId` is the delete marker left in a versioned bucket. */
  | { readonly kind: 'deleted'; readonly markerVersionId?: string | undefined }
  /** Was not there; told, where the request has an ETag, by stores that look. */
  | { readonly kind: 'absent' }
  /** Its ETag is another one now; it was left alone. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

/** What a store was seen to do, by trying it on a marker object; nothing here is assumed. */
export interface StoreCapabilities {
  /** `If-None-Match: *` on a copy. */
  readonly conditionalCopy: boolean;
  /** `x-amz-copy-source-if-match`. */
  readonly conditionalCopySource: boolean;
  /** `If-None-Match: *` on a put. */
  readonly conditionalPut: boolean;
  /** `If-Match` for each key of a batch delete; `single` when only one delete at a time honours it. */
  readonly conditionalDelete: 'batch' | 'single' | 'none';
  readonly serverSideCopy: boolean;
  readonly partCopy: boolean;
  readonly tags: boolean;
  readonly acl: boolean;
  /** What the ETag of a plain put is: the MD5 of the bytes, or nothing one can rely on. */
  readonly etag: 'md5' | 'opaque';
  /** A checksum header given on a put is kept and answered. */
  readonly checksums: boolean;
  readonly listing: { readonly bytewise: boolean; readonly urlEncoding: 'plus' | 'percent' | 'none' };
}

/** Settings of a bucket that a plan must know. Fields are absent where the store or the permissions do not tell. */
export interface BucketSettings {
  readonly versioning?: 'enabled' | 'suspended' | 'off';
  readonly objectLock?: boolean;
  readonly encryption?: string;
  readonly kmsKeyId?: string;
  readonly region?: string;
}

/**
 * An object store, limited to one bucket (or folder).
 *
 * Every method may be called again after it failed, and concurrently. What a resolved promise says is durable
 * in the store. Every method rejects with a {@link LongshoreError}; retry and rate limits are wrappers.
 * Cancelling a signal stops waiting; the store may have done the work all the same.
 */
export interface ObjectStore extends AsyncDisposable {
  readonly kind: 's3' | 'files';
  /** As a person would write it: `s3://bucket`, `file:///folder`. */
  readonly name: string;
  readonly bucket: string;

  /** One page, at most `limit` (1,000 unless told) objects with `prefix`, after `startAfter`. */
  list(
    request: { prefix: string; startAfter?: string | undefined; limit?: number | undefined },
    signal?: AbortSignal,
  ): Promise<ListPage>;

  /** The object's facts, or undefined where there is none. */
  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined>;

  /**
   * The size of the first part of a multipart object and how many parts it has; undefined where the store does
   * not tell.
   */
  partLayout(
    key: string,
    signal?: AbortSignal,
  ): Promise<{ firstPartBytes: number; partsCount: number } | undefined>;

  /** The object's bytes; undefined where there is none. With `etag`, only if it still has it (else undefined). */
  get(
    request: { key: string; etag?: string | undefined },
    signal?: AbortSignal,
  ): Promise<{ head: ObjectHead; body: Readable } | undefined>;

  /** Writes an object, in parts when it is large. Visible whole or not at all. */
  put(request: PutRequest, signal?: AbortSignal): Promise<CopyOutcome>;

  /** Whether {@link copyFrom} can work without the bytes passing through us. */
  canCopyFrom(source: ObjectStore): boolean;

  /** Server-side copy into this store, in parts above the store's limit. */
  copyFrom(source: ObjectStore, request: CopyRequest, signal?: AbortSignal): Promise<CopyOutcome>;

  /** Deletes at most 1,000 objects; outcomes in the order of the requests. */
  delete(requests: readonly DeleteRequest[], signal?: AbortSignal): Promise<DeleteOutcome[]>;

  tags(key: string, signal?: AbortSignal): Promise<ObjectTag[]>;

  /** Gives an object of this store the grants that one of `source` has. */
  copyAcl(source: ObjectStore, sourceKey: string, targetKey: string, signal?: AbortSignal): Promise<void>;

  /** Tries what the store can do on marker objects under `prefix`, and removes them. Asked once and remembered. */
  capabilities(prefix: string, signal?: AbortSignal): Promise<StoreCapabilities>;

  settings(signal?: AbortSignal): Promise<BucketSettings>;
}
