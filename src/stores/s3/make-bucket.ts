/**
 * Makes a bucket where there is none: closed to the public, encrypted, with a rule that clears unfinished uploads away.
 * References: CreateBucket, PutPublicAccessBlock, PutBucketEncryption, PutBucketLifecycleConfiguration of the S3 API.
 */

import { createHash } from 'node:crypto';
import { LongshoreError } from '../../errors.ts';
import { errorCodeOf } from './response-error.ts';
import type { S3Client } from './s3-client.ts';
import type { WireRequest } from './wire.ts';
import { encodeXml } from './xml.ts';

export interface MadeBucket {
  /** False where it was there. */
  readonly made: boolean;
  /** What of its settings could not be made, each as a sentence for the user. */
  readonly notices: readonly string[];
}

/** @throws STORE_DENIED for one of somebody else, or where it may not be made; BUCKET_REGION */
export async function makeBucket(client: S3Client, signal?: AbortSignal): Promise<MadeBucket> {
  if (await isThere(client, signal)) return { made: false, notices: [] };
  const { region } = client.wire.options;
  const request: WireRequest = {
    method: 'PUT',
    // The first region must not be named.
    ...(region === FIRST_REGION ? {} : { body: locationXml(region) }),
  };
  const response = await client.wire.send(request, signal);
  if (response.status >= 300) {
    const code = errorCodeOf(response);
    // Another process was faster.
    if (code === 'BucketAlreadyOwnedByYou') return { made: false, notices: [] };
    if (code === 'BucketAlreadyExists') throw notOurs(client);
    throw client.error('s3:CreateBucket', request, response);
  }
  const notices: string[] = [];
  for (const setting of SETTINGS) {
    const why = await set(client, setting, signal);
    if (why !== undefined) notices.push(`${client.bucket} is made, but not ${setting.what}: ${why}`);
  }
  return { made: true, notices };
}

const FIRST_REGION = 'us-east-1';

async function isThere(client: S3Client, signal: AbortSignal | undefined): Promise<boolean> {
  const request: WireRequest = { method: 'HEAD' };
  const response = await client.wire.send(request, signal);
  if (response.status < 300) return true;
  if (response.status === 404) return false;
  const region = response.headers.get('x-amz-bucket-region');
  const elsewhere = region !== undefined && region !== client.wire.options.region;
  if (response.status === 301 || (response.status === 400 && elsewhere)) {
    throw new LongshoreError('BUCKET_REGION', `bucket ${client.bucket} is in ${region ?? 'another region'}`, {
      hint: `set AWS_REGION=${region ?? '…'}`,
      context: { bucket: client.bucket },
    });
  }
  if (response.status === 403 || response.status === 400) throw await refused(client, signal);
  throw client.error('s3:ListBucket', request, response);
}

/** The answer to a HEAD has no body to say what is wrong; that to a listing has. */
async function refused(client: S3Client, signal: AbortSignal | undefined): Promise<LongshoreError> {
  const request: WireRequest = {
    method: 'GET',
    query: [
      ['list-type', '2'],
      ['max-keys', '1'],
    ],
  };
  const response = await client.wire.send(request, signal);
  return response.status < 300 || errorCodeOf(response) === 'AccessDenied'
    ? notOurs(client)
    : client.error('s3:ListBucket', request, response);
}

/** S3 says no more of a bucket that one may not look at. */
function notOurs({ bucket }: S3Client): LongshoreError {
  return new LongshoreError(
    'STORE_DENIED',
    `the bucket ${bucket} is somebody else's, or these credentials may not look at it`,
    { hint: `choose another name, or allow s3:ListBucket on ${bucket}`, context: { bucket } },
  );
}

interface Setting {
  /** As a sentence goes on: the bucket is not … */
  readonly what: string;
  readonly subresource: string;
  readonly body: string;
}

const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

const SETTINGS: readonly Setting[] = [
  {
    what: 'closed to the public by a setting of its own',
    subresource: 'publicAccessBlock',
    body: `<PublicAccessBlockConfiguration ${NAMESPACE}><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
  },
  {
    what: 'encrypted by a setting of its own',
    subresource: 'encryption',
    body: `<ServerSideEncryptionConfiguration ${NAMESPACE}><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`,
  },
  {
    what: 'cleared of unfinished uploads by a rule',
    subresource: 'lifecycle',
    body: `<LifecycleConfiguration ${NAMESPACE}><Rule><ID>unfinished-uploads</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>`,
  },
];

function locationXml(region: string): string {
  return `<CreateBucketConfiguration ${NAMESPACE}><LocationConstraint>${encodeXml(region)}</LocationConstraint></CreateBucketConfiguration>`;
}

/** Stores other than AWS lack some of them. @returns why it could not be made */
async function set(
  client: S3Client,
  { subresource, body }: Setting,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const response = await client.wire.send(
    {
      method: 'PUT',
      query: [[subresource, '']],
      headers: [
        ['content-type', 'application/xml'],
        ['content-md5', createHash('md5').update(body).digest('base64')],
      ],
      body,
    },
    signal,
  );
  return response.status < 300 ? undefined : errorCodeOf(response);
}
