/** Buckets: listed, created, deleted. Their settings are in `bucket-settings.ts`. */

import { readDocument } from './body.ts';
import type { BucketConfig } from './buckets-table.ts';
import { emptyResponse, header, isoTime, type Operation, XML_NAMESPACE, xmlResponse } from './exchange.ts';
import { OWNER } from './grants.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';
import { xmlEscape, xmlText } from './xml.ts';

export const listBuckets: Operation = (service, request) => {
  demand(request.principal, 's3:ListAllMyBuckets', '*');
  const prefix = request.query.get('prefix') ?? '';
  let xml = `<ListAllMyBucketsResult${XML_NAMESPACE}><Owner>${OWNER}</Owner><Buckets>`;
  for (const { name, createdMs } of service.buckets.all()) {
    if (!name.startsWith(prefix)) continue;
    xml += `<Bucket><Name>${xmlEscape(name)}</Name><CreationDate>${isoTime(createdMs)}</CreationDate></Bucket>`;
  }
  return xmlResponse(`${xml}</Buckets></ListAllMyBucketsResult>`);
};

export const createBucket: Operation = async (service, request) => {
  const document = await readDocument(request);
  const name = request.bucketName;
  demand(request.principal, 's3:CreateBucket', name);
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) {
    throw new S3Error('InvalidBucketName', { details: { BucketName: name } });
  }
  if (service.buckets.find(name) !== undefined) {
    throw new S3Error('BucketAlreadyOwnedByYou', { details: { BucketName: name } });
  }
  const config: BucketConfig = {};
  const region = xmlText(document, 'LocationConstraint');
  if (region !== undefined && region !== '') config.region = region;
  if (header(request, 'x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true') {
    config.objectLock = true;
    config.versioning = 'Enabled';
  }
  service.buckets.add(name, service.now(), config);
  return emptyResponse(200, ['Location', `/${name}`]);
};

export const headBucket: Operation = (service, request) => {
  demand(request.principal, 's3:ListBucket', service.buckets.resolve(request.bucketName));
  const { config } = service.buckets.get(request.bucketName);
  return emptyResponse(200, ['x-amz-bucket-region', config.region ?? service.region]);
};

export const deleteBucket: Operation = (service, request) => {
  demand(request.principal, 's3:DeleteBucket', service.buckets.resolve(request.bucketName));
  const bucket = service.buckets.get(request.bucketName);
  if (!service.versions.isEmpty(bucket)) {
    throw new S3Error('BucketNotEmpty', { details: { BucketName: bucket.name } });
  }
  for (const upload of service.uploads.list(bucket, Buffer.alloc(0), '', -1))
    service.uploads.remove(upload.id);
  service.buckets.remove(bucket);
  return emptyResponse(204);
};

export const getBucketLocation: Operation = (service, request) => {
  demand(request.principal, 's3:GetBucketLocation', service.buckets.resolve(request.bucketName));
  const region = service.buckets.get(request.bucketName).config.region ?? service.region;
  return xmlResponse(
    `<LocationConstraint${XML_NAMESPACE}>${region === 'us-east-1' ? '' : xmlEscape(region)}</LocationConstraint>`,
  );
};
