/**
 * Restores a backup into a database, and holds what is there then against the manifest. Nothing is restored into a
 * database that is not empty: a dump does not take away what it does not know.
 */

import { type DatabaseUrl, parseDatabaseUrl } from '../../config/database-url.ts';
import { compareFacts, rowsIn } from '../../databases/compare-facts.ts';
import type { RestoreOptions, RestoreTarget } from '../../databases/dump.ts';
import {
  createDatabase,
  dropDatabase,
  type Swap,
  swapDatabase,
  withDatabase,
} from '../../databases/make-database.ts';
import { openRestoreTarget } from '../../databases/open-dump.ts';
import { LongshoreError } from '../../errors.ts';
import { type Clock, monotonicMs, systemClock } from '../../flow/clock.ts';
import { type BytesTransform, decryptWith } from './encryption.ts';
import type { EmitBackup } from './events.ts';
import { type FoundBackup, openBackup } from './find-backup.ts';
import type { BackupManifest } from './manifest.ts';
import { checkJobs, readGlobals, restoreDump } from './open-backup.ts';
import type { PlaceEnvironment } from './open-place.ts';
import { momentOf } from './run-moment.ts';

export interface RestoreJobOptions extends RestoreOptions {
  /** Of a backup, or a prefix that ends with a slash for the newest one below it. */
  readonly from: string;
  /** `postgres://…/database`, `mysql://…/database`, or one that is read already. */
  readonly to: string | DatabaseUrl;
  /** Brings back the roles that the backup has beside it, where they are not there. */
  readonly roles?: boolean | undefined;
  /** Restores into a database that is made for it, and puts that in the place of the one that `to` names. */
  readonly intoNew?: boolean | undefined;
  /** A file of identities of age. */
  readonly identity?: string | undefined;
}

export interface RestoreEnvironment extends PlaceEnvironment {
  readonly emit?: EmitBackup | undefined;
}

export interface RestoredBackup {
  /** Below the prefix of its job. */
  readonly key: string;
  readonly database: string;
  readonly tables: number;
  readonly rows: number;
  /** Without the comparison. */
  readonly restoreMs: number;
  readonly compareMs: number;
  /** Whether there was a manifest of a dump to hold it against. */
  readonly compared: boolean;
  readonly notices: readonly string[];
}

/**
 * @throws CHECK_FAILED before anything is changed; the error of the dump, the store or the database that ended the
 * restore; RUN_INCOMPLETE where the database is not what the manifest says
 */
export async function restoreBackup(
  options: RestoreJobOptions,
  environment: RestoreEnvironment = {},
): Promise<RestoredBackup> {
  const { env = process.env, clock = systemClock, emit = () => undefined } = environment;
  const { signal = new AbortController().signal } = environment;
  const { intoNew = false } = options;
  checkJobs(options.jobs);
  const database = databaseOf(options.to, env);
  const decrypt = options.identity === undefined ? undefined : await decryptWith(options.identity);
  await using found = await openBackup(options.from, environment);
  if (!intoNew) return await restoreInto(found, database, { ...options, decrypt, clock, emit }, signal);
  const at = momentOf(clock.now(), 'UTC');
  const mark = `${at.date}-${at.time}`.replaceAll(/[-:]/g, '');
  const name = shortened(database.connection.database);
  const fresh = `${name}_restored_${mark}`;
  await createDatabase(database, fresh);
  let restored: RestoredBackup;
  try {
    const run = { ...options, decrypt, clock, emit };
    restored = await restoreInto(found, withDatabase(database, fresh), run, signal);
  } catch (error) {
    await dropDatabase(database, fresh);
    throw error;
  }
  const swap = await swapDatabase(database, fresh, `${name}_before_${mark}`);
  const { notices, ...place } = swapped(swap, database, fresh);
  return { ...restored, ...place, notices: [...restored.notices, ...notices] };
}

/** @throws URL_INVALID */
export function databaseOf(
  to: RestoreJobOptions['to'],
  env: Readonly<Record<string, string | undefined>>,
): DatabaseUrl {
  return typeof to === 'string' ? parseDatabaseUrl(to, env) : to;
}

/** Names have at most 63 bytes, and what comes behind is 25 of them. */
function shortened(name: string): string {
  let short = '';
  for (const character of name) {
    if (Buffer.byteLength(short + character) > NAME_BYTES) break;
    short += character;
  }
  return short;
}

const NAME_BYTES = 38;

/** What is said of where the restored database is. */
function swapped(
  swap: Swap,
  database: DatabaseUrl,
  fresh: string,
): Pick<RestoredBackup, 'database' | 'notices'> {
  if (swap.kind === 'not-possible') {
    const text = `it is in ${fresh}: MySQL and MariaDB do not rename databases, so let your programs connect to that one`;
    return { database: withDatabase(database, fresh).name, notices: [text] };
  }
  const kept =
    swap.kind === 'swapped'
      ? [`what was there before is ${swap.kept}: drop it when it is not needed any more`]
      : [];
  return { database: database.name, notices: kept };
}

interface RestoreRun extends RestoreOptions {
  readonly roles?: boolean | undefined;
  readonly decrypt: BytesTransform | undefined;
  readonly clock: Clock;
  readonly emit: EmitBackup;
}

async function restoreInto(
  found: FoundBackup,
  database: DatabaseUrl,
  run: RestoreRun,
  signal: AbortSignal,
): Promise<RestoredBackup> {
  const { clock, emit, decrypt } = run;
  await using target = await openRestoreTarget(database, run);
  const notices = await makeReady(found, target, database, run, signal);
  for (const text of notices) emit({ type: 'notice', text });
  const { key, dump } = found.manifest;
  emit({ type: 'started', what: `${key} into ${database.name}` });
  const beganMs = monotonicMs(clock);
  await restoreDump(found, { target, database, options: run }, decrypt, signal, (bytes) =>
    emit({ type: 'progress', bytes, of: dump?.bytes }),
  );
  const restoredMs = monotonicMs(clock);
  const facts = dump === undefined ? undefined : await target.facts(dump.facts, signal);
  const compareMs = monotonicMs(clock) - restoredMs;
  if (facts !== undefined) {
    const problems = compareFacts(dump!.facts, facts);
    if (problems.length > 0) throw differs(key, database, problems);
  }
  return {
    key,
    database: database.name,
    tables: facts?.tables.length ?? 0,
    rows: rowsIn(facts),
    restoreMs: Math.round(restoredMs - beganMs),
    compareMs: Math.round(compareMs),
    compared: facts !== undefined,
    notices,
  };
}

/**
 * Sees that a backup can be restored there, and brings back the roles where that is asked for.
 * @returns what is no failure and should be known
 * @throws CHECK_FAILED with everything that is in the way
 */
async function makeReady(
  found: FoundBackup,
  target: RestoreTarget,
  database: DatabaseUrl,
  { roles = false, noOwner = false, decrypt }: RestoreRun,
  signal: AbortSignal,
): Promise<string[]> {
  const contents = await target.contents();
  if (contents.length > 0) {
    const some = contents.slice(0, 3).join(', ');
    throw new LongshoreError(
      'CHECK_FAILED',
      `${database.name} is not empty: there is ${some}${contents.length > 3 ? `, and ${contents.length - 3} more` : ''}`,
      { hint: 'restore into an empty database, or give --into-new to put a new one in its place' },
    );
  }
  const { dump } = found.manifest;
  if (dump === undefined)
    return ['it has no manifest of a dump: what is restored is not compared with anything'];
  checkEngine(dump, target);
  const notices = versionNotices(dump, target);
  const extensions = await target.missingExtensions(dump.extensions);
  if (extensions.length > 0) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `the server does not have the extensions ${extensions.join(', ')}`,
      {
        hint: 'install their packages on the server',
      },
    );
  }
  let missing = await target.missingAccounts(dump.accounts);
  if (missing.length > 0 && roles) {
    const script = await readGlobals(found, decrypt, signal);
    if (script !== undefined) await target.restoreGlobals(script, signal);
    missing = await target.missingAccounts(dump.accounts);
  }
  if (missing.length === 0) return notices;
  const names = missing.join(', ');
  if (dump.engine === 'mysql') {
    notices.push(`definers that are not there: ${names}; what they define fails until they are made`);
    return notices;
  }
  if (noOwner) return notices;
  throw new LongshoreError('CHECK_FAILED', `the server does not have the roles ${names}`, {
    hint: 'give --roles to make those that the backup has beside it, or --no-owner to restore without owners and grants',
  });
}

function checkEngine(dump: NonNullable<BackupManifest['dump']>, { server }: RestoreTarget): void {
  const isPostgres = server.product === 'PostgreSQL';
  if (isPostgres !== (dump.product === 'PostgreSQL')) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `a backup of ${dump.product} cannot be restored into ${server.product}`,
      {
        hint: `give --to the URL of a database of ${dump.product}`,
      },
    );
  }
  if (isPostgres && Number.parseInt(server.version, 10) < Number.parseInt(dump.serverVersion, 10)) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `the backup is of PostgreSQL ${dump.serverVersion}, and the server is ${server.version}`,
      { hint: 'restore into a server of the same major version, or a later one' },
    );
  }
}

function versionNotices(dump: NonNullable<BackupManifest['dump']>, { server }: RestoreTarget): string[] {
  const same =
    dump.product === server.product && dump.serverVersion.split('.')[0] === server.version.split('.')[0];
  return same
    ? []
    : [
        `the backup is of ${dump.product} ${dump.serverVersion}, the server is ${server.product} ${server.version}`,
      ];
}

function differs(key: string, database: DatabaseUrl, problems: readonly string[]): LongshoreError {
  return new LongshoreError(
    'RUN_INCOMPLETE',
    `${database.name} is not what ${key} held: ${problems.join('; ')}`,
    { hint: 'do not use it: look whether somebody else wrote into it meanwhile, and restore another backup' },
  );
}
