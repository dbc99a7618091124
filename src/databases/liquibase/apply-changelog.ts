/**
 * Applies a Liquibase changelog to a database, by Liquibase itself. What is applied already is left as it is.
 *
 * A run holds a lock of its session for as long as Liquibase works, so that two runs wait for one another; the lock that
 * Liquibase keeps in a table outlives whoever took it. Killed at any point, the next run finds the lock left behind,
 * releases it when nobody holds it any more, and goes on with the change set that was not recorded.
 */

import { createPrivateKey, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { DatabaseConnection, DatabaseUrl } from '../../config/database-url.ts';
import { withFileCredentials } from '../../config/password-file.ts';
import { LongshoreError } from '../../errors.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import { openTemporaryFolder } from '../../flow/temporary-folder.ts';
import { type ChangelogFiles, writeChangelog } from './changelog-files.ts';
import { type FindLiquibaseOptions, findLiquibase } from './find-liquibase.ts';
import type { LiquibaseSession, RecordedChangeSet } from './liquibase-session.ts';
import { failureOf, ranChangeSet } from './output.ts';
import { jdbcTarget, propertiesText } from './properties.ts';
import { type LiquibaseEnd, runLiquibase } from './run-liquibase.ts';
import { runToken } from './stale-lock.ts';
import { waitForLock } from './wait-for-lock.ts';

export type ChangelogEvent =
  /** A change set, `file::id::author`: `ran`, `already there`, `failed`. */
  | {
      readonly type: 'step';
      readonly what: string;
      readonly state: string;
      readonly reason?: string | undefined;
    }
  | { readonly type: 'notice'; readonly text: string };

export interface ChangelogOptions extends FindLiquibaseOptions {
  /** Of change sets that run, as Liquibase's own option. */
  readonly contexts?: string | undefined;
  readonly labels?: string | undefined;
  /** How long somebody else's lock is waited for. */
  readonly lockWaitMs?: number;
  /** When the database was made, where it is a copy: locks from before came with the data. */
  readonly madeAtMs?: number | undefined;
  readonly clock?: Clock;
}

export interface ChangelogResult {
  /** Change sets that ran. */
  readonly applied: number;
  /** Those that were there before, and did not run. */
  readonly already: number;
}

/**
 * @throws CHECK_FAILED where Liquibase is not here, or somebody holds its lock; DATABASE_FAILED naming the change set that
 *   failed and why; the errors of connections
 */
export async function applyChangelog(
  target: DatabaseUrl,
  changelog: ChangelogFiles,
  options: ChangelogOptions,
  emit: (event: ChangelogEvent) => void,
  signal: AbortSignal,
): Promise<ChangelogResult> {
  const token = runToken(hostname(), randomBytes(8).toString('hex'));
  const program = await findLiquibase([`-Dliquibase.hostDescription=${token}`], options);
  const connection = await withFileCredentials(target.connection, target.dialect);
  return withSession({ ...target, connection }, signal, async (session) => {
    const released = await waitForLock(
      session,
      target.name,
      { clock: systemClock, ...options },
      emit,
      signal,
    );
    const before = await session.recorded();
    using folder = openTemporaryFolder('liquibase');
    const tls = connection.tls === 'prefer' ? (session.encrypted ? 'require' : 'disable') : connection.tls;
    const key = derKeyFile(target.dialect, connection, folder.path);
    const jdbc = jdbcTarget(target.dialect, connection, tls, token, key);
    const args = prepare(folder.path, changelog, {
      ...jdbc,
      username: connection.user,
      password: connection.password?.reveal() ?? '',
      contexts: options.contexts,
      labels: options.labels,
    });
    const seen = new Set<string>();
    const onLine = (line: string) => {
      const ran = ranChangeSet(line);
      if (ran === undefined) return;
      seen.add(ran.what);
      emit({ type: 'step', what: ran.what, state: 'ran' });
    };
    const end = await runLiquibase(program, [...args, 'update'], join(folder.path, FILES), onLine, signal);
    if (end.code !== 0) throw failed(target.name, end, connection, released, emit);
    return report(before, await session.recorded(), seen, emit);
  });
}

/**
 * Whether Liquibase can read the changelog and make statements of all of it, without a database.
 *
 * @returns how many change sets it has
 * @throws CHECK_FAILED saying what is wrong, or that Liquibase is not here
 */
export async function checkChangelog(
  dialect: 'postgres' | 'mysql',
  changelog: ChangelogFiles,
  options: ChangelogOptions,
  signal: AbortSignal,
): Promise<number> {
  const program = await findLiquibase([], options);
  using folder = openTemporaryFolder('liquibase');
  const args = prepare(folder.path, changelog, {
    url: `offline:${dialect === 'postgres' ? 'postgresql' : 'mariadb'}?outputLiquibaseSql=none`,
    contexts: options.contexts,
    labels: options.labels,
  });
  let count = 0;
  const onLine = (line: string) => {
    if (ranChangeSet(line) !== undefined) count += 1;
  };
  const end = await runLiquibase(program, [...args, 'update-sql'], join(folder.path, FILES), onLine, signal);
  if (end.code === 0) return count;
  const { changeSet, reason } = failureOf(end.said);
  const where = changeSet === undefined ? '' : ` at the change set ${changeSet}`;
  throw new LongshoreError('CHECK_FAILED', `Cannot use the changelog ${changelog.entry}${where}: ${reason}`);
}

const FILES = 'changelog';

/** Writes what Liquibase reads. @returns its arguments, in which no secret stands */
function prepare(
  folder: string,
  changelog: ChangelogFiles,
  properties: Readonly<Record<string, string | undefined>>,
): string[] {
  const files = join(folder, FILES);
  mkdirSync(files, { mode: 0o700 });
  writeChangelog(changelog, files);
  const file = join(folder, 'liquibase.properties');
  const text = propertiesText({
    ...properties,
    changeLogFile: changelog.entry,
    logLevel: 'INFO',
    'liquibase.hub.mode': 'off',
    'liquibase.headless': 'true',
  });
  writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
  return [`--defaultsFile=${file}`];
}

/** Java reads keys in DER form alone. */
function derKeyFile(
  dialect: 'postgres' | 'mysql',
  { tls, tlsKeyFile }: DatabaseConnection,
  folder: string,
): string | undefined {
  if (dialect !== 'postgres' || tls === 'disable' || tlsKeyFile === undefined) return undefined;
  const file = join(folder, 'client.pk8');
  const key = createPrivateKey(readFileSync(tlsKeyFile)).export({ type: 'pkcs8', format: 'der' });
  writeFileSync(file, key, { mode: 0o600, flag: 'wx' });
  return file;
}

async function withSession<T>(
  url: DatabaseUrl,
  signal: AbortSignal,
  work: (session: LiquibaseSession) => Promise<T>,
): Promise<T> {
  if (url.dialect === 'mysql')
    return (await import('../mysql/liquibase-session.ts')).withLiquibaseSession(url, work, signal);
  return (await import('../postgres/liquibase-session.ts')).withLiquibaseSession(url, work);
}

function failed(
  database: string,
  end: LiquibaseEnd,
  connection: DatabaseConnection,
  /** Whether a run before this one was killed. */
  released: boolean,
  emit: (event: ChangelogEvent) => void,
): LongshoreError {
  const action = `apply the changelog to ${database}`;
  if (end.killedBy !== null)
    return new LongshoreError(
      'DATABASE_FAILED',
      `Cannot ${action}: Liquibase was killed by ${end.killedBy}`,
      {
        hint: 'the same again goes on where it stopped',
      },
    );
  const failure = failureOf(end.said);
  const password = connection.password?.reveal();
  const reason = password ? failure.reason.replaceAll(password, '<redacted>') : failure.reason;
  if (failure.changeSet === undefined) {
    return new LongshoreError('DATABASE_FAILED', `Cannot ${action}: ${reason}`, {
      hint: hintOf(reason, password),
    });
  }
  emit({ type: 'step', what: failure.changeSet, state: 'failed', reason });
  return new LongshoreError(
    'DATABASE_FAILED',
    `Cannot ${action}: the change set ${failure.changeSet} failed: ${reason}`,
    {
      hint: released
        ? // Liquibase commits a change set and its record one after the other.
          'the run before was killed: if what this change set makes is there already, `liquibase mark-next-changeset-ran` records it'
        : 'correct it and do the same again',
    },
  );
}

function hintOf(reason: string, password: string | undefined): string | undefined {
  if (/find database driver/i.test(reason))
    return 'this Liquibase has no driver for the database: put its JDBC driver into the folder lib of Liquibase';
  // That of the npm package says no more of it.
  if (/Something unusual has occurred/.test(reason) && password !== undefined && /[^!-~]/.test(password))
    return 'old drivers of PostgreSQL know no passwords with blanks or letters beyond ASCII: install a later Liquibase (https://docs.liquibase.com)';
  return undefined;
}

/** What Liquibase recorded is the truth; its output was only for progress. */
function report(
  before: readonly RecordedChangeSet[],
  after: readonly RecordedChangeSet[],
  seen: ReadonlySet<string>,
  emit: (event: ChangelogEvent) => void,
): ChangelogResult {
  const known = new Map(before.map(({ name, ran }) => [name, ran]));
  let applied = 0;
  for (const { name, ran } of after) {
    const isNew = known.get(name) !== ran;
    if (isNew) applied += 1;
    if (!seen.has(name)) emit({ type: 'step', what: name, state: isNew ? 'ran' : 'already there' });
  }
  return { applied, already: after.length - applied };
}
