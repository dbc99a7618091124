/** The index of a backup in parts: which object holds which rows, and where sequences stand. Put when all of them are there. */

import { z } from 'zod';
import { LongshoreError, messageOf } from '../../errors.ts';

const part = z.object({
  /** Below the prefix of the job. */
  key: z.string(),
  schema: z.string(),
  name: z.string(),
  /** In the order of the fields of a row. */
  columns: z.array(z.string()),
  /** Of the heap; all of the table where it is left out. */
  pages: z.object({ low: z.number(), high: z.number().optional() }).optional(),
  /** About so many in the database. */
  bytes: z.number(),
  rows: z.number(),
  /** As that of a table; of these rows. */
  digest: z.string(),
});

const index = z.object({
  /** Of this form. */
  version: z.literal(1),
  /** Keys of scripts of SQL. */
  scripts: z.object({
    'pre-data': z.string(),
    'post-data': z.string(),
    'large-objects': z.string().optional(),
  }),
  /** Of COPY in text form. The largest first. */
  parts: z.array(part),
  sequences: z.array(z.object({ schema: z.string(), name: z.string(), value: z.string() })),
});

export type SplitIndex = z.output<typeof index>;
export type IndexedPart = SplitIndex['parts'][number];

export function encodeSplitIndex(value: SplitIndex): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 1)}\n`);
}

/** @throws OBJECT_FAILED for what is no index, or one of a newer Longshore */
export function decodeSplitIndex(text: string, name: string): SplitIndex {
  try {
    return index.parse(JSON.parse(text));
  } catch (error) {
    throw new LongshoreError(
      'OBJECT_FAILED',
      `${name} is no index of a backup in parts: ${messageOf(error).split('\n')[0]}`,
      { cause: error, hint: 'use the version of Longshore that made the backup' },
    );
  }
}
