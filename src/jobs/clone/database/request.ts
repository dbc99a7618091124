/** What a clone on a server is made of: everything that converging one needs to know. */

import type { DatabaseUrl } from '../../../config/database-url.ts';
import type { Changelog } from '../artifact.ts';
import type { CloneMode } from '../clone.ts';
import type { Way } from './choose-way.ts';

/** A backup that a clone can be made from; backups are another job's. */
export interface FoundBackup {
  readonly key: string;
  readonly takenAt: string;
  /** The database that it was taken of, without password. */
  readonly source: string;
  /** Whether that is on the server that was asked for, as far as the URLs say it, and not only of the same name. */
  readonly sameServer: boolean;
}

export interface BackupSource {
  /** The newest of that database that a drill found good. */
  newest(of: DatabaseUrl, signal: AbortSignal): Promise<FoundBackup | undefined>;
  restore(
    into: DatabaseUrl,
    onBytes: (bytes: number, of: number | undefined) => void,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface DatabaseRequest {
  readonly mode: CloneMode;
  readonly source: DatabaseUrl;
  /** The server that the clone is made on; its database does not matter. */
  readonly on: DatabaseUrl;
  readonly name: string;
  /** 0: until it is dropped. */
  readonly ttlMs: number;
  readonly owner: string;
  /** Applied to an empty database in mode `create`. */
  readonly changelog: Changelog | undefined;
  /** Rules in YAML, for a clone. */
  readonly masking: string | undefined;
  /** Instead of the fastest one. */
  readonly way: Way | undefined;
  readonly jobs: number;
  readonly clientFolder: string | undefined;
  /** Whatever was owned by others belongs to whoever makes the clone. */
  readonly noOwner: boolean;
  /** Whether every row of the clone is held against the source. */
  readonly compare: boolean;
  readonly backups: BackupSource | undefined;
}
