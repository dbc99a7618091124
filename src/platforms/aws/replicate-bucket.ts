/** The bucket of a replication, and what the runner may do in it. */

import {
  ref,
  sub,
  type TemplateResource,
  type TemplateStatement,
  type TemplateValue,
  when,
} from './cloudformation.ts';

/** The bucket, created before whoever names it this way. */
export const BUCKET: TemplateValue = when('CreatesBucket', ref('Bucket'), ref('BucketName'));

const BUCKET_ARN = sub('arn:${AWS::Partition}:s3:::${BucketName}');

export const BUCKET_RESOURCES: { readonly [name: string]: TemplateResource } = {
  Bucket: {
    Type: 'AWS::S3::Bucket',
    Condition: 'CreatesBucket',
    // A stack whose creation failed leaves no bucket behind that the next attempt would stumble over.
    DeletionPolicy: 'RetainExceptOnCreate',
    UpdateReplacePolicy: 'Retain',
    Properties: {
      BucketName: ref('BucketName'),
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          {
            BucketKeyEnabled: when('HasBucketKey', true),
            ServerSideEncryptionByDefault: {
              SSEAlgorithm: when('HasBucketKey', 'aws:kms', 'AES256'),
              KMSMasterKeyID: when('HasBucketKey', ref('BucketKmsKeyArn')),
            },
          },
        ],
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      LifecycleConfiguration: {
        Rules: [
          {
            Id: 'abort-incomplete-uploads',
            Status: 'Enabled',
            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
          },
        ],
      },
    },
  },
  BucketPolicy: {
    Type: 'AWS::S3::BucketPolicy',
    Condition: 'CreatesBucket',
    DeletionPolicy: 'RetainExceptOnCreate',
    UpdateReplacePolicy: 'Retain',
    Properties: {
      Bucket: ref('Bucket'),
      PolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'EncryptedConnectionsOnly',
            Effect: 'Deny',
            Principal: '*',
            Action: ['s3:*'],
            Resource: [BUCKET_ARN, sub('arn:${AWS::Partition}:s3:::${BucketName}/*')],
            Condition: { Bool: { 'aws:SecureTransport': 'false' } },
          },
        ],
      },
    },
  },
};

/**
 * What a replication asks of S3, below its prefix and nowhere else:
 *
 * | action | for |
 * | --- | --- |
 * | ListBucket | the newest manifest; whether files of somebody else lie there; also, so that an absent key is 404 and not 403 |
 * | GetObject | manifests, and the notes of what was begun |
 * | PutObject | files, whole and in parts; manifests and notes |
 * | AbortMultipartUpload | the parts of a file that could not be finished |
 * | DeleteObject | what a start that died has left; notes that are done with |
 */
export const BUCKET_STATEMENTS: readonly (TemplateStatement | TemplateValue)[] = [
  {
    Sid: 'List',
    Effect: 'Allow',
    Action: ['s3:ListBucket'],
    Resource: BUCKET_ARN,
    Condition: { StringLike: { 's3:prefix': sub('${Prefix}*') } },
  },
  {
    Sid: 'Files',
    Effect: 'Allow',
    Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
    Resource: sub('arn:${AWS::Partition}:s3:::${BucketName}/${Prefix}*'),
  },
  when('HasBucketKey', {
    Sid: 'EncryptFiles',
    Effect: 'Allow',
    Action: ['kms:GenerateDataKey', 'kms:Decrypt'],
    Resource: ref('BucketKmsKeyArn'),
    Condition: { StringEquals: { 'kms:ViaService': sub('s3.${AWS::Region}.${AWS::URLSuffix}') } },
  }),
];
