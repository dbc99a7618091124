/**
 * Takes a backup of a database: dump, pack, upload, prove, and only then a manifest.
 *
 * Steps, and what a crash after each leaves: a number is claimed (a claim, which the next run of this machine takes away)
 * → the dump goes straight into an upload (the parts of an upload, which the bucket's rule clears away) → the object has its
 * key, and the roles theirs (objects without a manifest, which are no backup) → the manifest is put: the backup is there.
 * What fails on the way takes away what it has put.
 */

import { Readable } from 'node:stream';
import { type DatabaseUrl, parseDatabaseUrl } from '../../config/database-url.ts';
import {
  type DumpFacts,
  type DumpFormat,
  type DumpOptions,
  JOBS,
  type PreparedDump,
} from '../../databases/dump.ts';
import { prepareDump } from '../../databases/open-dump.ts';
import type { PreparedSplitDump } from '../../databases/postgres/split-dump.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { type Clock, monotonicMs, systemClock } from '../../flow/clock.ts';
import { deleteKeys, deleteObjects } from '../../stores/list-keys.ts';
import { claimNumber } from './claim.ts';
import { LOG_MESSAGES, logAttempt } from './daily-log.ts';
import { DEFAULT_TEMPLATE, parseTemplate } from './dated-keys.ts';
import { encryptTo } from './encryption.ts';
import type { EmitBackup } from './events.ts';
import { noteAttempt } from './last-attempt.ts';
import { type BackupFile, type BackupManifest, encodeManifest, manifestKey } from './manifest.ts';
import { openPlace, type PlaceEnvironment } from './open-place.ts';
import { type BackupPlace, putNew, readObject } from './repository.ts';
import { localTimeZone, momentOf, type RunMoment } from './run-moment.ts';
import { uploadSplit } from './split-backup.ts';
import { type StreamCodec, storedExtension, uploadStream } from './upload-stream.ts';

export interface BackupOptions extends Omit<DumpOptions, 'format'> {
  /** That of the engine where it is left out; `split`: in parts, of PostgreSQL. */
  readonly format?: DumpFormat | 'split' | undefined;
  /** Connections that read, in the split form. */
  readonly jobs?: number | undefined;
  /** `postgres://…/database`, `mysql://…/database` */
  readonly database: string;
  /** `s3://bucket/prefix/` or `file:///folder/`; made where it does not exist. */
  readonly to: string;
  /** Of the keys below it; see `dated-keys.ts`. */
  readonly key?: string | undefined;
  /** As IANA names it; that of the machine where it is left out. */
  readonly timeZone?: string | undefined;
  /** The folder of the log. */
  readonly log: string;
  /** Of zstd, 1 to 19; 0 for none. */
  readonly compression?: number | undefined;
  /** Recipients of age, `age1…`; not encrypted without any. */
  readonly encryptTo?: readonly string[] | undefined;
}

export interface BackupEnvironment extends PlaceEnvironment {
  readonly emit?: EmitBackup | undefined;
}

export interface TakenBackup {
  /** Below the prefix. */
  readonly key: string;
  readonly manifest: BackupManifest;
}

const ZSTD_LEVEL = 1;

/** @throws CONFIG_INVALID, URL_INVALID, CHECK_FAILED; the errors of database and store, which the log has too */
export async function takeBackup(
  options: BackupOptions,
  environment: BackupEnvironment = {},
): Promise<TakenBackup> {
  const { env = process.env, clock = systemClock, emit = () => undefined } = environment;
  const { signal = new AbortController().signal } = environment;
  const moment = momentOf(clock.now(), options.timeZone ?? localTimeZone());
  const log = (message: string): Promise<void> => logAttempt(options.log, moment, message);
  let place: BackupPlace | undefined;
  await using stack = new AsyncDisposableStack();
  try {
    const template = parseTemplate(options.key ?? DEFAULT_TEMPLATE);
    const database = parseDatabaseUrl(options.database, env);
    const codec = codecOf(options);
    const opened = stack.use(await openPlace(options.to, environment));
    place = opened;
    for (const text of (await opened.makeBucket(signal)).notices) emit({ type: 'notice', text });
    const dump = stack.use(await prepare(database, options, signal));
    for (const text of dump.notices) emit({ type: 'notice', text });
    const claim = stack.use(await claimNumber(place, template, moment, signal));
    const { server, client } = dump;
    emit({
      type: 'started',
      what: `${client.name} ${client.version} of ${database.name}, ${server.product} ${server.version}`,
    });
    const run = { dump, place, base: claim.base, codec, database, moment, emit, log };
    const manifest = await upload(run, clock, signal);
    await log(LOG_MESSAGES.uploaded);
    await noteAttempt(place, { at: manifest.takenAt, ended: 'done', what: manifest.key });
    return { key: manifest.key, manifest };
  } catch (error) {
    const journal = error instanceof LongshoreError && error.code === 'JOURNAL_UNWRITABLE';
    if (!journal) await log(messageOf(error));
    const failed = {
      at: new Date(moment.atMs).toISOString(),
      ended: 'failed',
      what: messageOf(error),
    } as const;
    // The first error is the one to be told; a bucket that cannot be reached takes no note either.
    if (place !== undefined)
      await noteAttempt(place, failed).catch((other: unknown) =>
        emit({ type: 'notice', text: `the bucket has no note of this failure: ${messageOf(other)}` }),
      );
    throw error;
  }
}

/** @throws CONFIG_INVALID */
export function codecOf({
  compression = ZSTD_LEVEL,
  encryptTo: recipients = [],
}: Pick<BackupOptions, 'compression' | 'encryptTo'>): StreamCodec {
  if (!Number.isInteger(compression) || compression < 0 || compression > 19)
    throw new LongshoreError('CONFIG_INVALID', `no level of zstd: ${compression}`, {
      hint: 'give 0 to 19; 0 for none',
    });
  return {
    ...(compression === 0 ? {} : { zstdLevel: compression }),
    ...(recipients.length === 0 ? {} : { encrypt: encryptTo(recipients) }),
  };
}

type AnyDump = PreparedDump | (PreparedSplitDump & { readonly jobs: number });

async function prepare(
  database: DatabaseUrl,
  { format, jobs = JOBS, ...options }: BackupOptions,
  signal: AbortSignal,
): Promise<AnyDump> {
  if (format !== 'split') return await prepareDump(database, { ...options, format }, signal);
  if (database.dialect !== 'postgres') {
    throw new LongshoreError('CONFIG_INVALID', 'the split form is for PostgreSQL alone', {
      hint: 'leave --format out',
    });
  }
  const { prepareSplitDump } = await import('../../databases/postgres/split-dump.ts');
  return Object.assign(await prepareSplitDump(database.connection, { ...options, jobs }), { jobs });
}

interface Run {
  readonly dump: AnyDump;
  readonly place: BackupPlace;
  readonly base: string;
  readonly codec: StreamCodec;
  readonly database: DatabaseUrl;
  readonly moment: RunMoment;
  readonly emit: EmitBackup;
  readonly log: (message: string) => Promise<void>;
}

/** What lies in the bucket of a dump. */
interface Written {
  /** What a user restores. */
  readonly key: string;
  readonly files: readonly BackupFile[];
  readonly facts: DumpFacts;
  readonly format: BackupManifest['format'];
  /** Before compression. */
  readonly plainBytes: number;
}

/** @returns the manifest that was put */
async function upload(run: Run, clock: Clock, signal: AbortSignal): Promise<BackupManifest> {
  const { dump, place, base, codec, log } = run;
  const beganMs = monotonicMs(clock);
  let written: Written | undefined;
  let globals: BackupFile | undefined;
  let manifest: BackupManifest | undefined;
  const asked = dump.globals(signal);
  // Looked at below, perhaps later than it fails.
  asked.catch(() => undefined);
  try {
    written = await write(run, signal);
    await log(LOG_MESSAGES.dumped);
    const roles = await asked;
    if (roles !== undefined) {
      const key = `${base}.globals.sql${storedExtension(codec)}`;
      globals = await uploadStream(place, key, Readable.from([roles], { objectMode: false }), codec, signal);
    }
    manifest = manifestOf(run, written, globals, monotonicMs(clock) - beganMs);
    // From here on there is no way back: a manifest that is broken off may be there or not.
    signal.throwIfAborted();
    await putManifest(place, base, manifest);
    return manifest;
  } catch (error) {
    const files = [...(written?.files ?? []), ...(globals === undefined ? [] : [globals])];
    await takeAway(place, base, manifest, files);
    throw error;
  }
}

/** Whatever fails takes away what it has put itself. */
async function write({ dump, place, base, codec, emit }: Run, signal: AbortSignal): Promise<Written> {
  const onBytes = (bytes: number): void => emit({ type: 'progress', bytes, of: dump.bytesEstimate });
  if ('parts' in dump) {
    const split = await uploadSplit(dump, place, base, codec, dump.jobs, signal, onBytes);
    return { ...split, format: 'split' };
  }
  const key = base + dump.extension + storedExtension(codec);
  const { plainBytes, ...file } = await uploadStream(place, key, dump.stream(signal), codec, signal, onBytes);
  return { key, files: [file], facts: dump.facts(), format: dump.format, plainBytes };
}

function manifestOf(
  { dump, codec, database, moment }: Run,
  { key, files, facts, format, plainBytes }: Written,
  globals: BackupFile | undefined,
  durationMs: number,
): BackupManifest {
  const all = globals === undefined ? files : [...files, globals];
  return {
    version: 1,
    takenAt: new Date(moment.atMs).toISOString(),
    timeZone: moment.timeZone,
    key,
    format,
    compression: codec.zstdLevel === undefined ? 'none' : 'zstd',
    encryption: codec.encrypt === undefined ? 'none' : 'age',
    files: all.map(({ key, bytes, sha256 }) => ({ key, bytes, sha256 })),
    globals: globals?.key,
    durationMs: Math.round(durationMs),
    dump: {
      engine: database.dialect,
      product: dump.server.product,
      serverVersion: dump.server.version,
      client: `${dump.client.name} ${dump.client.version}`,
      source: database.name,
      database: dump.database,
      bytes: plainBytes,
      accounts: [...dump.accounts],
      extensions: [...dump.extensions],
      notices: [...dump.notices],
      facts,
    },
  };
}

async function putManifest(place: BackupPlace, base: string, manifest: BackupManifest): Promise<void> {
  const key = manifestKey(base);
  const object = { body: encodeManifest(manifest), contentType: 'application/json' };
  if ((await putNew(place, key, object)) !== undefined) return;
  throw new LongshoreError(
    'OBJECT_FAILED',
    `${place.store.name}/${place.prefix}${key} was put there by somebody else`,
    { hint: 'look who else writes below this prefix' },
  );
}

/**
 * What a backup that failed has put; also where it was stopped by a signal. The manifest first, which may be there though no
 * answer said so.
 */
async function takeAway(
  place: BackupPlace,
  base: string,
  manifest: BackupManifest | undefined,
  files: readonly BackupFile[],
): Promise<void> {
  const { store, prefix } = place;
  const key = manifestKey(base);
  const there = manifest === undefined ? undefined : await readObject(place, key);
  if (there?.body.equals(encodeManifest(manifest!)) === true)
    await deleteObjects(store, [{ key: prefix + key, etag: there.etag }]);
  // Their number is claimed: nobody else has keys of it.
  await deleteKeys(
    store,
    files.map((file) => prefix + file.key),
  );
}
