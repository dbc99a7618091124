/**
 * What clones ask of a server: databases with a note of whoever made them, made under a name that nobody looks for and
 * published under their own when they are whole.
 */

import { type DatabaseUrl, nameOf } from '../config/database-url.ts';
import { LongshoreError } from '../errors.ts';
import type { DumpServer } from './dump.ts';

export interface NotedDatabase {
  readonly name: string;
  /** As it was put; undefined of one that was left behind before it had one. */
  readonly note: string | undefined;
  /** Undefined where we may not look. */
  readonly bytes: number | undefined;
}

export interface LocalCopy {
  /** How the server made it: `file copy`, `file clone`. */
  readonly how: string;
}

/** What a clone takes over from its source besides its contents; made by a server, and read by one of the same product. */
export interface DatabaseShape {
  /** Encoding and collation, as a person reads them: `LATIN1, de_DE`. */
  readonly text: string;
  /** Roles that own something in it, or that something is granted to; of PostgreSQL. */
  readonly roles: readonly string[];
  /** Those that are needed even where owners and grants are left out. */
  readonly rolesAnyway: readonly string[];
  /** That something of it is in, besides its own; of PostgreSQL. */
  readonly tablespaces: readonly string[];
}

export interface CloneServer extends AsyncDisposable {
  readonly server: DumpServer;
  /** Databases with a note, and those under a working name. */
  noted(): Promise<NotedDatabase[]>;
  exists(name: string): Promise<boolean>;
  /** Its size on the disk; undefined where there is none. */
  bytesOf(name: string): Promise<number | undefined>;
  /** Undefined where there is none of that name. */
  shapeOf(name: string): Promise<DatabaseShape | undefined>;
  /** Those that are not there. */
  missingRoles(roles: readonly string[]): Promise<string[]>;
  /** Sessions in it, ours not counted. */
  sessionsIn(name: string): Promise<number>;
  /** Under which a database is made until it is published; the same for the same name. */
  workingName(name: string): string;
  /** Under which one is made until it is masked, where the working name is one that others know; undefined elsewhere. */
  hiddenName(name: string): string | undefined;
  /** Waits until no other process works under that working name; until it is disposed of none does. */
  lock(working: string, signal: AbortSignal): Promise<AsyncDisposable>;
  /** The same without waiting. @returns undefined where another process does */
  tryLock(working: string): Promise<AsyncDisposable | undefined>;
  /** Whether the role may make databases; true also where the server does not say it. */
  mayCreate(): Promise<boolean>;
  /** Databases whose names begin so. */
  names(prefix: string): Promise<string[]>;
  /** Whether the server can copy that one by itself, and lets us. */
  mayCopy(source: string): Promise<boolean>;
  /**
   * Makes an empty one that only its owner may connect to.
   * @param like whose encoding and collation it gets; those of the server where it is left out, or has none of these
   * @returns what it could not be given
   */
  create(name: string, note: string, like: DatabaseShape | undefined): Promise<string[]>;
  /**
   * Makes a copy of another database of this server, which nobody may be connected to.
   * @returns undefined where somebody is, or where the server cannot
   */
  copy(source: string, name: string, note: string): Promise<LocalCopy | undefined>;
  /**
   * Gives the database its own name, and lets others in, both at once.
   * @param like whose owner, grants and settings it gets; undefined for none
   * @returns what it could not be given
   */
  publish(working: string, name: string, note: string, like: DatabaseShape | undefined): Promise<string[]>;
  /** Gives one that is published another name and another note, both at once. @returns whether it was still there, with nobody in it */
  rename(from: string, to: string, note: string): Promise<boolean>;
  /** With whoever is in it. */
  drop(name: string): Promise<void>;
}

/** @throws CHECK_FAILED for a server that clones cannot be made on; the errors of the database */
export async function openCloneServer(url: DatabaseUrl): Promise<CloneServer> {
  if (url.dialect === 'postgres') {
    const { openPostgresCloneServer } = await import('./postgres/clone-server.ts');
    return openPostgresCloneServer(url.connection);
  }
  const { openMariadbCloneServer } = await import('./mysql/clone-server.ts');
  return openMariadbCloneServer(url);
}

/** Whether two URLs name the same server, as far as their text says it. */
export function isSameServer(one: DatabaseUrl, other: DatabaseUrl): boolean {
  const place = ({ dialect, connection: { host, port } }: DatabaseUrl) => `${dialect} ${host} ${port}`;
  return place(one) === place(other);
}

/** A name for the database of a URL, as a person reads it. */
export function placeOf(url: DatabaseUrl, database: string): string {
  return nameOf({ ...url.connection, database }, url.dialect);
}

/** @throws CONFIG_INVALID for what would need quotes, or is reserved */
export function checkDatabaseName(name: string): void {
  if (/^[a-z_][a-z0-9_]{0,62}$/i.test(name) && !name.startsWith(RESERVED)) return;
  throw new LongshoreError('CONFIG_INVALID', `cannot call a database ${JSON.stringify(name)}`, {
    hint: `take letters, digits and _, at most 63, not a digit first, and not ${RESERVED}… first`,
  });
}

/** Of databases that are not published yet, and of those that wait in a pool. */
export const RESERVED = 'longshore_';
