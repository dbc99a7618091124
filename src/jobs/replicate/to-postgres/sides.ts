/** The two databases of a replication into PostgreSQL, and sessions with them. */

import { type DatabaseUrl, parseDatabaseUrl } from '../../../config/database-url.ts';
import { type Doing, postgresError } from '../../../databases/postgres/errors.ts';
import { openSession, type Session } from '../../../databases/postgres/open-session.ts';
import { LongshoreError } from '../../../errors.ts';

export class Sides {
  readonly source: DatabaseUrl;
  readonly target: DatabaseUrl;
  readonly #signal: AbortSignal;

  /**
   * @param signal whose reason is thrown in place of what it broke off
   * @throws URL_INVALID where one of the two is no PostgreSQL
   */
  constructor(
    urls: { readonly from: string; readonly to: string },
    env: Readonly<Record<string, string | undefined>>,
    signal: AbortSignal = new AbortController().signal,
  ) {
    this.#signal = signal;
    this.source = postgresUrl(urls.from, env);
    this.target = postgresUrl(urls.to, env);
  }

  /** With names of types and functions that come with their schemas. */
  async openSource(action: string): Promise<Session> {
    const session = await openSession(this.source.connection, { doing: this.doing(this.source, action) });
    await session.client.query(`SET search_path = ''`);
    return session;
  }

  /** The same, to follow changes. */
  async openReplication(action: string): Promise<Session> {
    const doing = this.doing(this.source, action);
    const session = await openSession(this.source.connection, { doing, replication: true });
    await session.client.query(`SET search_path = ''`);
    return session;
  }

  openTarget(action: string): Promise<Session> {
    return openSession(this.target.connection, { doing: this.doing(this.target, action) });
  }

  doing({ name, connection }: DatabaseUrl, action: string): Doing {
    return { action: `${action} (${name})`, database: name, user: connection.user };
  }

  /** @throws what `work` throws as an error with a code, about that database; the signal's reason where it is aborted */
  async within<T>(side: 'source' | 'target', action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#signal.throwIfAborted();
      throw postgresError(error, this.doing(this[side], action));
    }
  }
}

/** Whether changes go into a database, and not into files. */
export function isDatabase(to: string): boolean {
  return /^postgres(ql)?:/i.test(to.trim());
}

function postgresUrl(text: string, env: Readonly<Record<string, string | undefined>>): DatabaseUrl {
  const url = parseDatabaseUrl(text, env);
  if (url.dialect === 'postgres') return url;
  throw new LongshoreError('URL_INVALID', `${url.name} is no PostgreSQL`, { hint: 'give a postgres:// URL' });
}

/**
 * Silences triggers and foreign keys of the target for a session.
 * @returns false where the role may not
 */
export async function silenceTriggers({ client }: Session): Promise<boolean> {
  try {
    await client.query('SET session_replication_role = replica');
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== INSUFFICIENT_PRIVILEGE) throw error;
    return false;
  }
}

const INSUFFICIENT_PRIVILEGE = '42501';
