/** What is asked of a database beside Liquibase, over one session that lasts as long as it runs. */

import type { HeldLock } from './stale-lock.ts';

/** A row of DATABASECHANGELOG. */
export interface RecordedChangeSet {
  /** `file::id::author` */
  readonly name: string;
  /** Another one after it ran again. */
  readonly ran: string;
}

export interface LiquibaseSession {
  readonly encrypted: boolean;
  /** Whether this session is the one that applies changelogs to the database now; it is until its session ends. */
  claim(): Promise<boolean>;
  /** Undefined where nobody holds the lock of Liquibase, or it has no table yet. */
  heldLock(): Promise<HeldLock | undefined>;
  /** Of the other sessions on the database; see `LockWitness`. */
  others(): Promise<{
    readonly sessionNames: readonly string[] | undefined;
    readonly sessions: number | undefined;
    readonly busy: boolean;
  }>;
  /** Only where it is still this one. */
  release(lock: HeldLock): Promise<void>;
  /** Empty where Liquibase never ran here. */
  recorded(): Promise<readonly RecordedChangeSet[]>;
}
