/** What the newest drill of a backup found, beside its manifest: `2026-11-20/datadump2.drill.json`. */

import { z } from 'zod';
import { baseOf, DRILL_EXTENSION } from './manifest.ts';
import { putNote, readNote } from './note.ts';
import type { BackupPlace } from './repository.ts';

const record = z.object({
  /** In ISO 8601 and UTC. */
  at: z.iso.datetime(),
  ok: z.boolean(),
  /** From the first byte read to a database that answers. */
  recoveryMs: z.number(),
  /** Each as a sentence; none where all was as the manifest says. */
  problems: z.array(z.string()),
});

export type DrillRecord = z.output<typeof record>;

/** Its key, below the prefix. @param manifestKey of the backup */
export function drillKey(manifestKey: string): string {
  return baseOf(manifestKey) + DRILL_EXTENSION;
}

/** In the place of the one before. */
export async function putDrillRecord(
  place: BackupPlace,
  manifestKey: string,
  value: DrillRecord,
  signal?: AbortSignal,
): Promise<void> {
  await putNote(place, drillKey(manifestKey), value, {}, signal);
}

/** Undefined where there was no drill. @throws OBJECT_FAILED for one of another form */
export async function readDrillRecord(
  place: BackupPlace,
  manifestKey: string,
  signal?: AbortSignal,
): Promise<DrillRecord | undefined> {
  return (await readNote(place, drillKey(manifestKey), record, signal))?.value;
}
