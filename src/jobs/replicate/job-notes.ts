/** What a job leaves in the bucket for whoever asks how it is: its last verification and its last error. */

import { z } from 'zod';
import { LongshoreError, messageOf } from '../../errors.ts';
import { errorKey, verificationKey } from './layout.ts';
import { lsnSchema, type ManifestPlace, putJson, readJson } from './manifest.ts';

const count = z.number().int().nonnegative();

const verificationSchema = z.strictObject({
  lsn: lsnSchema,
  /** Milliseconds since 1970. */
  atMs: count,
  tables: z.array(z.strictObject({ schema: z.string(), table: z.string(), rows: count, differences: count })),
});

const errorSchema = z.strictObject({ atMs: count, code: z.string(), message: z.string() });

export type VerificationNote = z.output<typeof verificationSchema>;
export type ErrorNote = z.output<typeof errorSchema>;

export async function noteVerification(
  { store, prefix, job }: ManifestPlace,
  note: VerificationNote,
  signal: AbortSignal,
): Promise<void> {
  await putJson(store, prefix + verificationKey(job), Buffer.from(JSON.stringify(note)), false, signal);
}

export function lastVerification(
  { store, prefix, job }: ManifestPlace,
  signal: AbortSignal,
): Promise<VerificationNote | undefined> {
  return readJson(store, prefix + verificationKey(job), verificationSchema, signal);
}

/** @param error that ended a run; its message holds no secret and no value of a row */
export async function noteError(
  { store, prefix, job }: ManifestPlace,
  error: unknown,
  atMs: number,
  signal: AbortSignal,
): Promise<void> {
  const code = error instanceof LongshoreError ? error.code : 'BUG';
  const note: ErrorNote = { atMs, code, message: messageOf(error) };
  await putJson(store, prefix + errorKey(job), Buffer.from(JSON.stringify(note)), false, signal);
}

export function lastError(
  { store, prefix, job }: ManifestPlace,
  signal: AbortSignal,
): Promise<ErrorNote | undefined> {
  return readJson(store, prefix + errorKey(job), errorSchema, signal);
}
