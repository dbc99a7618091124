/**
 * The manifest beside each backup: what it is, what it holds, how it was made. It is put when everything that it names is
 * there and proven, so that a backup is one that has a manifest; listing, retention, restore and drill begin here.
 */

import { z } from 'zod';
import type { DumpFacts } from '../../databases/dump.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { isTimeZone } from './run-moment.ts';

/** `2026-11-20/datadump2.manifest.json` lies beside `2026-11-20/datadump2.dump.zst`. */
export const MANIFEST_EXTENSION = '.manifest.json';
/** What the newest drill of it found. */
export const DRILL_EXTENSION = '.drill.json';

const file = z.object({
  /** Below the prefix of the job. */
  key: z.string(),
  /** As stored. */
  bytes: z.number(),
  /** Of what is stored, hexadecimal. */
  sha256: z.string(),
});

const facts: z.ZodType<DumpFacts> = z.object({
  tables: z.array(z.object({ schema: z.string(), name: z.string(), rows: z.number(), digest: z.string() })),
  sequences: z.record(z.string(), z.string()),
  objects: z.array(z.string()),
  largeObjects: z.number(),
});

const fields = z.object({
  /** Of this form. */
  version: z.literal(1),
  /** The instant of the run, in ISO 8601 and UTC. */
  takenAt: z.iso.datetime(),
  /** Of the date in the key, as IANA names it. */
  timeZone: z.string().refine(isTimeZone, 'this machine knows no such time zone'),
  /** What a user restores; the first one of several in the split form. */
  key: z.string(),
  format: z.enum(['custom', 'plain', 'directory', 'split', 'file']),
  compression: z.enum(['zstd', 'none']),
  encryption: z.enum(['age', 'none']),
  /** Everything that the backup is made of, and goes with it. */
  files: z.array(file),
  /** What stands beside the dump: the roles. */
  globals: z.string().optional(),
  durationMs: z.number(),
  /** All that is not there for a file that another program wrote. */
  dump: z
    .object({
      engine: z.enum(['postgres', 'mysql']),
      product: z.enum(['PostgreSQL', 'MariaDB', 'MySQL']),
      serverVersion: z.string(),
      /** `pg_dump 15.19` */
      client: z.string(),
      /** Without password. */
      source: z.string(),
      database: z.string(),
      /** Before compression. */
      bytes: z.number(),
      accounts: z.array(z.string()),
      extensions: z.array(z.string()),
      notices: z.array(z.string()),
      facts,
    })
    .optional(),
});

const manifest = fields.refine(({ key, files }) => files.some((one) => one.key === key), {
  path: ['files'],
  message: 'what is restored is not among them',
});

export type BackupManifest = z.output<typeof manifest>;
export type BackupFile = z.output<typeof file>;

/** `2026-11-20/datadump2` → its manifest's key. @param base of the key, without extension */
export function manifestKey(base: string): string {
  return base + MANIFEST_EXTENSION;
}

/** The other way round. */
export function baseOf(manifestKey: string): string {
  return manifestKey.slice(0, -MANIFEST_EXTENSION.length);
}

export function encodeManifest(value: BackupManifest): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 1)}\n`);
}

/** @throws OBJECT_FAILED for what is no manifest, or one of a newer Longshore */
export function decodeManifest(text: string, name: string): BackupManifest {
  try {
    return manifest.parse(JSON.parse(text));
  } catch (error) {
    throw new LongshoreError('OBJECT_FAILED', `${name} is no manifest of a backup: ${firstLine(error)}`, {
      cause: error,
      hint: 'look who else writes there, or use the version of Longshore that made the backup',
    });
  }
}

function firstLine(error: unknown): string {
  if (error instanceof z.ZodError) {
    const [issue] = error.issues;
    return issue === undefined ? 'it has another form' : `${issue.path.join('.')}: ${issue.message}`;
  }
  return messageOf(error).split('\n')[0]!;
}
