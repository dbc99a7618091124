/**
 * Makes the master user of a new cluster ours: sets the password, proves it by logging in, lets the caller prepare the
 * database, and marks the cluster as ready. A run that dies on the way leaves a cluster that is not marked, and the next
 * one does all of it again.
 */

import { randomBytes } from 'node:crypto';
import { type DatabaseUrl, parseDatabaseUrl } from '../../../config/database-url.ts';
import { Secret } from '../../../config/secret.ts';
import { proveLogin } from '../../../databases/prove-login.ts';
import { LongshoreError, messageOf } from '../../../errors.ts';
import { type ClusterState, modifyCluster, tagCluster } from '../../../platforms/aws/aurora.ts';
import { isAwsCode } from '../../../platforms/aws/aws-error.ts';
import type { AwsSession } from '../../../platforms/aws/aws-session.ts';
import type { CloneEnvironment } from '../settings.ts';
import { TAGS } from './names.ts';

export interface HandedOut {
  readonly url: DatabaseUrl;
  /** Where it was made up here. */
  readonly password: Secret | undefined;
}

/**
 * @param address where the stack says it is
 * @param isMasked whether nobody may log in before it is prepared, not even who knows `DB_PASSWORD`
 */
export async function handOut(
  aws: AwsSession,
  cluster: ClusterState,
  address: { readonly host: string; readonly port: number; readonly database: string },
  isMasked: boolean,
  environment: CloneEnvironment,
): Promise<HandedOut> {
  const { env, emit, clock, signal, failpoint } = environment;
  const url = urlOf(cluster, address);
  const given = env['DB_PASSWORD'] ? new Secret(env['DB_PASSWORD']) : undefined;
  const isReady = cluster.tags[TAGS.ready] !== undefined;
  if (isReady && (given === undefined || (await isGood(withPassword(url, given), environment)))) {
    if (given === undefined)
      emit({ type: 'notice', text: 'its password is what it was; set DB_PASSWORD to have another set' });
    return { url, password: undefined };
  }
  const set = async (password: Secret): Promise<DatabaseUrl> => {
    emit({ type: 'phase', phase: 'set the password' });
    const deadlineMs = clock.now() + PASSWORD_MS_MAX;
    await untilAccepted(() => modifyCluster(aws, cluster.id, { password }), environment, deadlineMs);
    failpoint?.('password set');
    emit({ type: 'phase', phase: 'log in' });
    const open = withPassword(url, password);
    await untilLoggedIn(open, environment, deadlineMs);
    failpoint?.('logged in');
    return open;
  };
  const password = given ?? madeUp();
  const first = isMasked && given !== undefined ? madeUp() : password;
  const open = await set(first);
  await environment.prepare?.(open, signal);
  failpoint?.('prepared');
  if (first !== password) await set(password);
  else if (!(await isGood(open, environment)))
    throw new LongshoreError('RUN_INCOMPLETE', `another password of ${url.name} was set meanwhile`, {
      hint: 'see whether somebody else converges the same clone, and run again',
    });
  await tagCluster(aws, cluster.arn, { [TAGS.ready]: new Date(clock.now()).toISOString() });
  return { url, password: given === undefined ? password : undefined };
}

const madeUp = (): Secret => new Secret(randomBytes(24).toString('base64url'));

/** A cluster takes some minutes to have it, or to begin with it. */
const PASSWORD_MS_MAX = 15 * 60_000;
const PAUSE_MS = 5_000;

function urlOf(
  { engine, username }: ClusterState,
  { host, port, database }: { readonly host: string; readonly port: number; readonly database: string },
): DatabaseUrl {
  const scheme = engine === 'aurora-mysql' ? 'mysql' : 'postgres';
  const place = `${encodeURIComponent(username)}@${host}:${port}/${encodeURIComponent(database)}`;
  return parseDatabaseUrl(`${scheme}://${place}?sslmode=require`, {});
}

function withPassword(url: DatabaseUrl, password: Secret): DatabaseUrl {
  return { ...url, connection: { ...url.connection, password } };
}

async function isGood(url: DatabaseUrl, { login, signal }: CloneEnvironment): Promise<boolean> {
  try {
    await (login ?? proveLogin)(url, signal);
    return true;
  } catch (error) {
    if (isCode(error, 'DATABASE_DENIED')) return false;
    throw error;
  }
}

async function untilLoggedIn(
  url: DatabaseUrl,
  { login, clock, signal }: CloneEnvironment,
  deadlineMs: number,
): Promise<void> {
  for (;;) {
    try {
      await (login ?? proveLogin)(url, signal);
      return;
    } catch (error) {
      if (!isCode(error, 'DATABASE_DENIED', 'DATABASE_UNREACHABLE')) throw error;
      if (clock.now() >= deadlineMs)
        throw new LongshoreError(
          'RUN_INCOMPLETE',
          `the clone is there, and nobody can log in to ${url.name} with the password that was set: ${messageOf(error)}`,
          {
            cause: error,
            hint: 'see whether this machine reaches it (publicly_accessible, a route into the VPC, client_cidr), and run again',
          },
        );
      await clock.wait(PAUSE_MS, signal);
    }
  }
}

/** A cluster that something else is done to refuses in the meantime. */
async function untilAccepted(
  modify: () => Promise<void>,
  { clock, signal }: CloneEnvironment,
  deadlineMs: number,
): Promise<void> {
  for (;;) {
    try {
      return await modify();
    } catch (error) {
      if (!isAwsCode(error, 'InvalidDBClusterStateFault') || clock.now() >= deadlineMs) throw error;
      await clock.wait(PAUSE_MS, signal);
    }
  }
}

function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof LongshoreError && codes.includes(error.code);
}
