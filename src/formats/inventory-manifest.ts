/**
 * The manifest of an S3 Inventory.
 * Format: "Locating your inventory list" of the Amazon S3 User Guide (`version` 2016-11-30).
 */

import { z } from 'zod';
import { LongshoreError } from '../errors.ts';

export interface InventoryManifest {
  /** The bucket whose objects are listed. */
  readonly sourceBucket: string;
  readonly format: 'CSV' | 'Parquet';
  /** Names of the columns of CSV files, as the manifest spells them; Parquet files name their own. */
  readonly columns: readonly string[];
  readonly files: readonly InventoryFile[];
}

export interface InventoryFile {
  /** Its key, in the bucket that holds the manifest. */
  readonly key: string;
  readonly sizeBytes: number;
  /** MD5 of the file as it is stored, hex. */
  readonly md5: string;
}

/**
 * Reads `manifest.json`.
 * @param name of the manifest, for messages
 * @throws CHECK_FAILED for what is no manifest, CONFIG_INVALID for a format that is not read
 */
export function parseInventoryManifest(text: string, name: string): InventoryManifest {
  const parsed = manifestSchema.safeParse(jsonOf(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
    throw new LongshoreError(
      'CHECK_FAILED',
      `${name} is not the manifest of an S3 Inventory: ${where}${issue?.message}`,
      { hint: 'give the URL of a manifest.json that S3 Inventory wrote' },
    );
  }
  const { sourceBucket, fileFormat, fileSchema, files } = parsed.data;
  if (fileFormat !== 'CSV' && fileFormat !== 'Parquet') {
    throw new LongshoreError(
      'CONFIG_INVALID',
      `${name} is an inventory in ${fileFormat}, which is not read`,
      {
        hint: 'configure the inventory for CSV or Apache Parquet; or leave it, and the bucket is listed',
      },
    );
  }
  const columns = fileFormat === 'CSV' ? fileSchema.split(',').map((column) => column.trim()) : [];
  if (fileFormat === 'CSV' && !columns.includes('Key')) {
    throw new LongshoreError('CHECK_FAILED', `${name} names no column Key`, {
      hint: 'give the URL of a manifest.json that S3 Inventory wrote',
    });
  }
  return {
    sourceBucket: sourceBucket.replace(/^arn:[^:]*:s3:::/, ''),
    format: fileFormat,
    columns,
    files: files.map(({ key, size, MD5checksum }) => ({
      key,
      sizeBytes: size,
      md5: MD5checksum.toLowerCase(),
    })),
  };
}

const manifestSchema = z.object({
  sourceBucket: z.string().min(1),
  fileFormat: z.string(),
  fileSchema: z.string(),
  files: z.array(
    z.object({
      key: z.string().min(1),
      size: z.number().int().nonnegative(),
      MD5checksum: z.string().regex(/^[0-9a-fA-F]{32}$/, 'not an MD5'),
    }),
  ),
});

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
