/**
 * Restores a backup into a database, and holds what is there then against the manifest. Nothing is restored into a
 * database that is not empty: a dump does not take away what it does not know.
 */

import { type DatabaseUrl, parseDatabaseUrl } from '../../config/database-url.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import type { RestoreOptions, RestoreTarget } from '../../databases/dump.ts';
import { openRestoreTarget } from '../../databases/open-dump.ts';
import { LongshoreError } from '../../errors.ts';
import { type Clock, monotonicMs, systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { compareFacts } from './compare-facts.ts';
import { type BytesTransform, decryptWith } from './encryption.ts';
import type { EmitBackup } from './events.ts';
import { type FoundBackup, findBackup, wholeStoreUrl } from './find-backup.ts';
import type { BackupManifest } from './manifest.ts';
import { openDump, readGlobals } from './open-backup.ts';

export interface RestoreJobOptions extends RestoreOptions {
  /** Of a backup, or a prefix that ends with a slash for the newest one below it. */
  readonly from: string;
  /** `postgres://…/database`, `mysql://…/database` */
  readonly to: string;
  /** Brings back the roles that the backup has beside it, where they are not there. */
  readonly roles?: boolean | undefined;
  /** A file of identities of age. */
  readonly identity?: string | undefined;
}

export interface RestoreEnvironment {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
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
  const url = wholeStoreUrl(parseStoreUrl(options.from));
  const database = parseDatabaseUrl(options.to, env);
  const decrypt = options.identity === undefined ? undefined : await decryptWith(options.identity);
  await using stack = new AsyncDisposableStack();
  const { store } = stack.use(await openStore(url, { env, clock }));
  const found = await findBackup(store, url.prefix, signal);
  const target = stack.use(await openRestoreTarget(database, options));
  const notices = await makeReady(found, target, database, { ...options, decrypt }, signal);
  for (const text of notices) emit({ type: 'notice', text });
  const { key, dump } = found.manifest;
  emit({ type: 'started', what: `${key} into ${database.name}` });
  const beganMs = monotonicMs(clock);
  const bytes = await openDump(found, decrypt, signal, (done) =>
    emit({ type: 'progress', bytes: done, of: dump?.bytes }),
  );
  await target.restore(bytes.dump, bytes.format, signal);
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
    rows: facts?.tables.reduce((sum, { rows }) => sum + rows, 0) ?? 0,
    restoreMs: Math.round(restoredMs - beganMs),
    compareMs: Math.round(compareMs),
    compared: facts !== undefined,
    notices,
  };
}

export interface Readiness {
  readonly roles?: boolean | undefined;
  readonly noOwner?: boolean | undefined;
  readonly decrypt: BytesTransform | undefined;
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
  { roles = false, noOwner = false, decrypt }: Readiness,
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
