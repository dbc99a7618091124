/** The manifest beside a file that another program wrote: how many bytes, which, and when. */

import { LongshoreError } from '../../errors.ts';
import { type BackupManifest, decodeManifest, encodeManifest, manifestKey } from './manifest.ts';
import { type BackupPlace, putNew, readObject } from './repository.ts';
import type { RunMoment } from './run-moment.ts';

export interface FileInPlace {
  /** With the prefix of the job. */
  readonly key: string;
  /** Of the key: `.sql`, `.sql.gz` */
  readonly extension: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly takenAtMs: number;
}

/**
 * May be called again: a manifest of the same file that is there is taken for done.
 * @returns false where the manifest of another backup stands there
 */
export async function putFileManifest(
  file: FileInPlace,
  { store, prefix, moment }: BackupPlace & { readonly moment: RunMoment },
  durationMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const key = file.key.slice(prefix.length);
  const beside = manifestKey(key.slice(0, key.length - file.extension.length));
  const manifest: BackupManifest = {
    version: 1,
    takenAt: new Date(file.takenAtMs).toISOString(),
    timeZone: moment.timeZone,
    key,
    ...{ format: 'file', compression: 'none', encryption: 'none' },
    files: [{ key, bytes: file.bytes, sha256: file.sha256 }],
    durationMs: Math.round(durationMs),
  };
  const place = { store, prefix };
  const object = { body: encodeManifest(manifest), contentType: 'application/json' };
  if ((await putNew(place, beside, object, signal)) !== undefined) return true;
  const there = await readObject(place, beside, signal);
  if (there === undefined) {
    throw new LongshoreError('OBJECT_FAILED', `${store.name}/${prefix}${beside} was there and is gone`, {
      hint: 'look who else writes below this prefix; the local file stays, and is shipped by the next look',
    });
  }
  return isOf(file, key, there.body.toString('utf8'));
}

/** One that cannot be read is of another backup. */
function isOf({ sha256 }: FileInPlace, key: string, text: string): boolean {
  try {
    const { files } = decodeManifest(text, key);
    return files.length === 1 && files[0]!.key === key && files[0]!.sha256 === sha256;
  } catch (error) {
    if (error instanceof LongshoreError) return false;
    throw error;
  }
}
