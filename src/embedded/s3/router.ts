/** Which operation a request asks for. */

import { getObjectAcl, putObjectAcl } from './acl.ts';
import {
  deleteBucketEncryption,
  getBucketEncryption,
  getBucketPolicy,
  getBucketVersioning,
  getObjectLockConfiguration,
  putBucketEncryption,
  putBucketVersioning,
  putObjectLockConfiguration,
} from './bucket-settings.ts';
import { createBucket, deleteBucket, getBucketLocation, headBucket, listBuckets } from './buckets.ts';
import { completeMultipartUpload } from './complete.ts';
import { copyObject } from './copies.ts';
import { deleteObject, deleteObjects } from './deletes.ts';
import type { Operation, RequestLine } from './exchange.ts';
import { listObjects, listObjectsV2, listObjectVersions } from './listing.ts';
import { getObjectLegalHold, getObjectRetention, putObjectLegalHold, putObjectRetention } from './locks.ts';
import { abortMultipartUpload, createMultipartUpload, listMultipartUploads, listParts } from './multipart.ts';
import { getObject, headObject, putObject, restoreObject } from './objects.ts';
import { uploadPart, uploadPartCopy } from './parts.ts';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './tagging.ts';

/** Every operation served, by S3's own name. */
export const OPERATIONS = {
  AbortMultipartUpload: abortMultipartUpload,
  CompleteMultipartUpload: completeMultipartUpload,
  CopyObject: copyObject,
  CreateBucket: createBucket,
  CreateMultipartUpload: createMultipartUpload,
  DeleteBucket: deleteBucket,
  DeleteBucketEncryption: deleteBucketEncryption,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  DeleteObjectTagging: deleteObjectTagging,
  GetBucketEncryption: getBucketEncryption,
  GetBucketLocation: getBucketLocation,
  GetBucketPolicy: getBucketPolicy,
  GetBucketVersioning: getBucketVersioning,
  GetObject: getObject,
  GetObjectAcl: getObjectAcl,
  GetObjectLegalHold: getObjectLegalHold,
  GetObjectLockConfiguration: getObjectLockConfiguration,
  GetObjectRetention: getObjectRetention,
  GetObjectTagging: getObjectTagging,
  HeadBucket: headBucket,
  HeadObject: headObject,
  ListBuckets: listBuckets,
  ListMultipartUploads: listMultipartUploads,
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
  ListObjectVersions: listObjectVersions,
  ListParts: listParts,
  PutBucketEncryption: putBucketEncryption,
  PutBucketVersioning: putBucketVersioning,
  PutObject: putObject,
  PutObjectAcl: putObjectAcl,
  PutObjectLegalHold: putObjectLegalHold,
  PutObjectLockConfiguration: putObjectLockConfiguration,
  PutObjectRetention: putObjectRetention,
  PutObjectTagging: putObjectTagging,
  RestoreObject: restoreObject,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

/** Subresources of a bucket, by method and query parameter. */
const OF_BUCKET: Readonly<Record<string, OperationName>> = {
  'GET location': 'GetBucketLocation',
  'GET versioning': 'GetBucketVersioning',
  'GET versions': 'ListObjectVersions',
  'GET uploads': 'ListMultipartUploads',
  'GET object-lock': 'GetObjectLockConfiguration',
  'GET encryption': 'GetBucketEncryption',
  'GET policy': 'GetBucketPolicy',
  'PUT versioning': 'PutBucketVersioning',
  'PUT object-lock': 'PutObjectLockConfiguration',
  'PUT encryption': 'PutBucketEncryption',
  'POST delete': 'DeleteObjects',
  'DELETE encryption': 'DeleteBucketEncryption',
};

/** Subresources of an object, by method and query parameter. */
const OF_OBJECT: Readonly<Record<string, OperationName>> = {
  'GET acl': 'GetObjectAcl',
  'GET tagging': 'GetObjectTagging',
  'GET retention': 'GetObjectRetention',
  'GET legal-hold': 'GetObjectLegalHold',
  'GET uploadId': 'ListParts',
  'PUT acl': 'PutObjectAcl',
  'PUT tagging': 'PutObjectTagging',
  'PUT retention': 'PutObjectRetention',
  'PUT legal-hold': 'PutObjectLegalHold',
  'PUT uploadId': 'UploadPart',
  'POST uploads': 'CreateMultipartUpload',
  'POST uploadId': 'CompleteMultipartUpload',
  'POST restore': 'RestoreObject',
  'DELETE tagging': 'DeleteObjectTagging',
  'DELETE uploadId': 'AbortMultipartUpload',
};

/** Subresources that are known but not served; without this list they would be taken for the plain operation. */
const UNSERVED = new Set(
  'accelerate acl analytics attributes cors intelligent-tiering inventory lifecycle logging metrics notification ownershipControls policyStatus publicAccessBlock replication requestPayment select tagging torrent website policy'.split(
    ' ',
  ),
);

/** Undefined where this server does not serve the request. */
export function route(line: RequestLine): OperationName | undefined {
  const { method, query, bucketName, key } = line;
  if (bucketName === '') return method === 'GET' ? 'ListBuckets' : undefined;
  const subresources = key === '' ? OF_BUCKET : OF_OBJECT;
  if (query.size > 0) {
    for (const name of query.keys()) {
      const found = subresources[`${method} ${name}`];
      if (found === 'UploadPart' && line.headers['x-amz-copy-source'] !== undefined) return 'UploadPartCopy';
      if (found !== undefined) return found;
      if (UNSERVED.has(name)) return undefined;
    }
  }
  if (key === '') {
    if (method === 'GET') return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects';
    if (method === 'PUT') return 'CreateBucket';
    if (method === 'HEAD') return 'HeadBucket';
    return method === 'DELETE' ? 'DeleteBucket' : undefined;
  }
  if (method === 'PUT') return line.headers['x-amz-copy-source'] === undefined ? 'PutObject' : 'CopyObject';
  if (method === 'GET') return 'GetObject';
  if (method === 'HEAD') return 'HeadObject';
  return method === 'DELETE' ? 'DeleteObject' : undefined;
}
