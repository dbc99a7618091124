/** A bucket's settings: versioning, object lock, encryption, policy. */

import { readDocument } from './body.ts';
import type { Bucket, BucketConfig } from './buckets-table.ts';
import {
  emptyResponse,
  type Operation,
  type S3Request,
  type Service,
  XML_NAMESPACE,
  xmlResponse,
} from './exchange.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';
import { xmlElements, xmlEscape, xmlText } from './xml.ts';

export const getBucketVersioning: Operation = (service, request) => {
  const { versioning } = bucketOf(service, request, 's3:GetBucketVersioning').config;
  const status = versioning === undefined ? '' : `<Status>${versioning}</Status>`;
  return xmlResponse(`<VersioningConfiguration${XML_NAMESPACE}>${status}</VersioningConfiguration>`);
};

export const putBucketVersioning: Operation = async (service, request) => {
  const status = xmlText(await readDocument(request), 'Status');
  const bucket = bucketOf(service, request, 's3:PutBucketVersioning');
  if (status !== 'Enabled' && status !== 'Suspended') throw new S3Error('MalformedXML');
  if (bucket.config.objectLock === true && status === 'Suspended') {
    throw new S3Error('InvalidBucketState', {
      message:
        'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.',
    });
  }
  service.buckets.configure(bucket, (config) => {
    config.versioning = status;
  });
  return emptyResponse(200);
};

export const getObjectLockConfiguration: Operation = (service, request) => {
  const { objectLock, retention } = bucketOf(service, request, 's3:GetBucketObjectLockConfiguration').config;
  if (objectLock !== true) throw new S3Error('ObjectLockConfigurationNotFoundError');
  let rule = '';
  if (retention !== undefined) {
    const period =
      retention.years === undefined ? `<Days>${retention.days}</Days>` : `<Years>${retention.years}</Years>`;
    rule = `<Rule><DefaultRetention><Mode>${retention.mode}</Mode>${period}</DefaultRetention></Rule>`;
  }
  return xmlResponse(
    `<ObjectLockConfiguration${XML_NAMESPACE}><ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule}</ObjectLockConfiguration>`,
  );
};

export const putObjectLockConfiguration: Operation = async (service, request) => {
  const document = await readDocument(request);
  const bucket = bucketOf(service, request, 's3:PutBucketObjectLockConfiguration');
  if (bucket.config.versioning !== 'Enabled') {
    throw new S3Error('InvalidBucketState', {
      message: "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
    });
  }
  if (xmlText(document, 'ObjectLockEnabled') !== 'Enabled') throw new S3Error('MalformedXML');
  const retention = readRetention(document);
  service.buckets.configure(bucket, (config) => {
    config.objectLock = true;
    if (retention === undefined) delete config.retention;
    else config.retention = retention;
  });
  return emptyResponse(200);
};

export const getBucketEncryption: Operation = (service, request) => {
  const { encryption } = bucketOf(service, request, 's3:GetEncryptionConfiguration').config;
  const shown = encryption ?? (service.kms ? { algorithm: 'aws:kms' } : undefined);
  if (shown === undefined) throw new S3Error('ServerSideEncryptionConfigurationNotFoundError');
  const kms =
    shown.kmsKeyId === undefined ? '' : `<KMSMasterKeyID>${xmlEscape(shown.kmsKeyId)}</KMSMasterKeyID>`;
  return xmlResponse(
    `<ServerSideEncryptionConfiguration${XML_NAMESPACE}><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>${xmlEscape(shown.algorithm)}</SSEAlgorithm>${kms}</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>${shown.bucketKey === true}</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`,
  );
};

export const putBucketEncryption: Operation = async (service, request) => {
  const document = await readDocument(request);
  const bucket = bucketOf(service, request, 's3:PutEncryptionConfiguration');
  const algorithm = xmlText(document, 'SSEAlgorithm');
  if (algorithm === undefined) throw new S3Error('MalformedXML');
  const kmsKeyId = xmlText(document, 'KMSMasterKeyID');
  const encryption: NonNullable<BucketConfig['encryption']> = { algorithm };
  if (kmsKeyId !== undefined) encryption.kmsKeyId = kmsKeyId;
  if (xmlText(document, 'BucketKeyEnabled') === 'true') encryption.bucketKey = true;
  service.buckets.configure(bucket, (config) => {
    config.encryption = encryption;
  });
  return emptyResponse(200);
};

export const deleteBucketEncryption: Operation = (service, request) => {
  const bucket = bucketOf(service, request, 's3:PutEncryptionConfiguration');
  service.buckets.configure(bucket, (config) => {
    delete config.encryption;
  });
  return emptyResponse(204);
};

/** No bucket has a policy here: permissions are those of the access key. */
export const getBucketPolicy: Operation = (service, request) => {
  bucketOf(service, request, 's3:GetBucketPolicy');
  throw new S3Error('NoSuchBucketPolicy', { details: { BucketName: request.bucketName } });
};

function bucketOf(service: Service, request: S3Request, action: string): Bucket {
  demand(request.principal, action, service.buckets.resolve(request.bucketName));
  return service.buckets.get(request.bucketName);
}

function readRetention(document: string): BucketConfig['retention'] {
  const [rule] = xmlElements(document, 'DefaultRetention');
  if (rule === undefined) return undefined;
  const mode = xmlText(rule, 'Mode');
  const days = xmlText(rule, 'Days');
  const years = xmlText(rule, 'Years');
  if ((mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') || (days === undefined) === (years === undefined)) {
    throw new S3Error('MalformedXML');
  }
  return years === undefined ? { mode, days: Number(days) } : { mode, years: Number(years) };
}
