/** Opens what a backup is made of for a restore: its dump, in the form in which it is, and the roles beside it. */

import { PassThrough, pipeline, type Readable, Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import zlib from 'node:zlib';
import type { DatabaseUrl } from '../../config/database-url.ts';
import { type DumpFormat, JOBS, type RestoreOptions, type RestoreTarget } from '../../databases/dump.ts';
import { LongshoreError } from '../../errors.ts';
import type { BytesTransform } from './encryption.ts';
import type { FoundBackup } from './find-backup.ts';
import type { BackupFile } from './manifest.ts';
import { restoreSplit } from './split-restore.ts';
import { openStoredFile } from './stored-file.ts';
import { zstdPlain } from './zstd-plain.ts';

const JOBS_MAX = 64;

/** @throws CONFIG_INVALID */
export function checkJobs(jobs: number = JOBS): void {
  if (Number.isInteger(jobs) && jobs >= 1 && jobs <= JOBS_MAX) return;
  throw new LongshoreError('CONFIG_INVALID', 'jobs is no number of connections', {
    hint: `give --jobs 1 to ${JOBS_MAX}`,
  });
}

export interface RestoreInto {
  readonly target: RestoreTarget;
  readonly database: DatabaseUrl;
  readonly options: RestoreOptions;
}

/** Brings a backup back into a database that is empty. @param onBytes called with how many bytes of the dump have passed */
export async function restoreDump(
  found: FoundBackup,
  { target, database, options }: RestoreInto,
  decrypt: BytesTransform | undefined,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { place, manifest } = found;
  if (manifest.format === 'split') {
    const open = (file: BackupFile, within: AbortSignal): Promise<Readable> =>
      openStoredFile(place, file, manifest, decrypt, within);
    const { jobs = JOBS } = options;
    await restoreSplit({ connection: database.connection, options }, manifest, open, jobs, signal);
    return;
  }
  const { dump, format } = await openDump(found, decrypt, signal, onBytes);
  await target.restore(dump, format, signal);
}

interface OpenedDump {
  readonly dump: Readable;
  readonly format: DumpFormat;
}

async function openDump(
  { place, manifest }: FoundBackup,
  decrypt: BytesTransform | undefined,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<OpenedDump> {
  const file = manifest.files.find(({ key }) => key === manifest.key)!;
  const stored = await openStoredFile(place, file, manifest, decrypt, signal);
  let bytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.byteLength;
      onBytes(bytes);
      done(null, chunk);
    },
  });
  if (manifest.format !== 'file' && manifest.format !== 'split') {
    pipeline(stored, counted, () => undefined);
    return { dump: counted, format: manifest.format };
  }
  const { dump, format } = await looked(stored, manifest.key);
  pipeline(dump, counted, () => undefined);
  return { dump: counted, format };
}

/** The script that makes the roles; undefined where the backup has none beside it. */
export async function readGlobals(
  { place, manifest }: FoundBackup,
  decrypt: BytesTransform | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const file = manifest.files.find(({ key }) => key === manifest.globals);
  if (file === undefined) return undefined;
  return (await buffer(await openStoredFile(place, file, manifest, decrypt, signal))).toString('utf8');
}

const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const GZIP = Buffer.from([0x1f, 0x8b]);
const ARCHIVE = Buffer.from('PGDMP');

/** What another program wrote says itself, by its first bytes, what it is. */
async function looked(stored: Readable, name: string): Promise<OpenedDump> {
  const { first, whole } = await peek(stored);
  if (first.subarray(0, ZSTD.length).equals(ZSTD)) return looked(zstdPlain(whole, name), name);
  if (first.subarray(0, GZIP.length).equals(GZIP)) return looked(through(whole, zlib.createGunzip()), name);
  return { dump: whole, format: first.subarray(0, ARCHIVE.length).equals(ARCHIVE) ? 'custom' : 'plain' };
}

function through(source: Readable, to: Transform): Transform {
  pipeline(source, to, () => undefined);
  return to;
}

/** The first bytes, and all of them as if none had been read. */
async function peek(source: Readable): Promise<{ readonly first: Buffer; readonly whole: Readable }> {
  const pieces = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const { value, done } = await pieces.next();
  const first = done === true ? Buffer.alloc(0) : (value as Buffer);
  const whole = new PassThrough();
  pipeline(
    async function* () {
      yield first;
      for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
    },
    whole,
    () => undefined,
  );
  return { first, whole };
}
