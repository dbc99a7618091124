/** What the server lets a client believe it can do; each can be switched off to stand for a weaker store. */

/** A condition that is not supported is silently ignored; an operation that is not answers 501. */
export interface Support {
  /** `If-None-Match` and `If-Match` on CopyObject. */
  readonly conditionalCopy: boolean;
  /** `x-amz-copy-source-if-*` on CopyObject and UploadPartCopy. */
  readonly conditionalCopySource: boolean;
  /** `If-Match` on DeleteObject and `<ETag>` in DeleteObjects; `single` honours only the former. */
  readonly conditionalDelete: boolean | 'single';
  /** `If-None-Match` and `If-Match` on PutObject and CompleteMultipartUpload. */
  readonly conditionalPut: boolean;
  readonly serverSideCopy: boolean;
  readonly partCopy: boolean;
  readonly tags: boolean;
  /** Switched off, ACLs are refused with AccessControlListNotSupported, as where AWS disables them. */
  readonly acl: boolean;
  /** `encoding-type=url` on listings. */
  readonly urlEncoding: boolean;
  /** Additional checksums are verified, kept and answered. */
  readonly checksums: boolean;
}

export const FULL_SUPPORT: Support = {
  conditionalCopy: true,
  conditionalCopySource: true,
  conditionalDelete: true,
  conditionalPut: true,
  serverSideCopy: true,
  partCopy: true,
  tags: true,
  acl: true,
  urlEncoding: true,
  checksums: true,
};
