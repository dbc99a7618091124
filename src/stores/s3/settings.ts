/** Reads a bucket's settings; what the credentials may not read, or the store does not know, is left out. */

import { LongshoreError } from '../../errors.ts';
import type { BucketSettings } from '../object-store.ts';
import type { S3Client } from './s3-client.ts';
import { elementText } from './xml.ts';

export async function readSettings(client: S3Client, signal?: AbortSignal): Promise<BucketSettings> {
  const [region, versioning, lock, encryption] = await Promise.all([
    readRegion(client, signal),
    read(client, 's3:GetBucketVersioning', 'versioning', signal),
    read(client, 's3:GetBucketObjectLockConfiguration', 'object-lock', signal),
    read(client, 's3:GetEncryptionConfiguration', 'encryption', signal),
  ]);
  const status = versioning === undefined ? undefined : elementText(versioning, 'Status');
  const algorithm = encryption === undefined ? undefined : elementText(encryption, 'SSEAlgorithm');
  const kmsKeyId = encryption === undefined ? undefined : elementText(encryption, 'KMSMasterKeyID');
  return {
    ...(versioning === undefined
      ? {}
      : { versioning: status === 'Enabled' ? 'enabled' : status === 'Suspended' ? 'suspended' : 'off' }),
    ...(lock === undefined ? {} : { objectLock: elementText(lock, 'ObjectLockEnabled') === 'Enabled' }),
    ...(algorithm === undefined ? {} : { encryption: algorithm }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
    ...(region === undefined ? {} : { region }),
  };
}

/** HeadBucket names the region even where it refuses. */
async function readRegion(client: S3Client, signal: AbortSignal | undefined): Promise<string | undefined> {
  const response = await client.wire.send({ method: 'HEAD' }, signal);
  const region = response.headers.get('x-amz-bucket-region');
  if (
    response.status === 301 ||
    (region !== undefined && region !== client.wire.options.region && response.status === 400)
  ) {
    throw new LongshoreError(
      'BUCKET_REGION',
      `bucket ${client.bucket} is in ${region ?? 'another region'}, not in ${client.wire.options.region}`,
      { hint: `set AWS_REGION=${region ?? '…'}`, context: { bucket: client.bucket } },
    );
  }
  if (response.status === 404) {
    throw new LongshoreError('BUCKET_NOT_FOUND', `bucket ${client.bucket} does not exist`, {
      hint: 'create it, or correct its name or the endpoint',
      context: { bucket: client.bucket },
    });
  }
  return region;
}

async function read(
  client: S3Client,
  action: string,
  subresource: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    return (await client.ok(action, { method: 'GET', query: [[subresource, '']] }, signal)).body;
  } catch (error) {
    if (error instanceof LongshoreError && UNKNOWN.has(error.code)) return undefined;
    throw error;
  }
}

/** Not allowed, not known to the store, or not configured (which answers as an object error). */
const UNKNOWN = new Set(['STORE_DENIED', 'STORE_UNSUPPORTED', 'OBJECT_FAILED']);
