/** Where the manifests and reports of S3 Batch jobs lie. */

import { folderPrefix, parseStoreUrl, type StoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import type { MoveSettings } from './settings.ts';

type S3Url = Extract<StoreUrl, { kind: 's3' }>;

/** Where the settings say, else under the target. The prefix ends in a slash. @throws CONFIG_INVALID */
export function batchPlace(batch: NonNullable<MoveSettings['batch']>, to: S3Url): S3Url {
  const place = batch.prefix === undefined ? to : parseStoreUrl(batch.prefix);
  if (place.kind !== 's3') {
    throw new LongshoreError('CONFIG_INVALID', `${batch.prefix} is no place for manifests`, {
      hint: 'give --batch-prefix s3://bucket/prefix/',
    });
  }
  return { ...place, prefix: folderPrefix(place === to ? `${to.prefix}${FOLDER}` : place.prefix) };
}

/** Whether the key is that of a manifest or report in the place that is taken where none is named. */
export function isBatchFile(key: string): boolean {
  return key.startsWith(FOLDER) || key.includes(`/${FOLDER}`);
}

const FOLDER = '.longshore-batch/';
