/** What backups there are, and how good each is, from the bucket alone. */

import { rowsIn } from '../../databases/compare-facts.ts';
import { LongshoreError } from '../../errors.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import { type DrillRecord, readDrillRecord } from './drill-record.ts';
import { type Attempt, readLastAttempt } from './last-attempt.ts';
import type { BackupManifest } from './manifest.ts';
import { openPlace, type PlaceEnvironment } from './open-place.ts';
import { type BackupCatalogue, type BackupPlace, readCatalogue, type StoredBackup } from './repository.ts';

export interface ListedBackup {
  /** What a user restores, below the URL. */
  readonly key: string;
  /** In ISO 8601 and UTC. */
  readonly takenAt: string;
  /** As IANA names it; of the date in the key. */
  readonly timeZone: string;
  readonly format: BackupManifest['format'];
  readonly encryption: BackupManifest['encryption'];
  /** As stored. */
  readonly bytes: number;
  /** How many objects it is made of. */
  readonly files: number;
  /** Keys of those that are not there, or are of another size. */
  readonly missing: readonly string[];
  /** Not there for a file that another program wrote. */
  readonly dump?: {
    readonly product: string;
    readonly serverVersion: string;
    readonly database: string;
    /** The URL without its password. */
    readonly source: string;
    readonly tables: number;
    readonly rows: number;
  };
  /** Of the newest one. */
  readonly drill?: DrillRecord;
}

export interface BackupList {
  readonly to: string;
  /** From the oldest to the newest. */
  readonly backups: readonly ListedBackup[];
  /** What looks like something of a backup and cannot be read, each as a sentence. */
  readonly unreadable: readonly string[];
  /** Where other jobs have backups below it, each as a URL. */
  readonly elsewhere: readonly string[];
  readonly lastAttempt?: Attempt;
}

/** @throws URL_INVALID; the errors of the store */
export async function listBackups(to: string, environment: PlaceEnvironment = {}): Promise<BackupList> {
  await using place = await openPlace(to, environment);
  const { signal } = environment;
  const { backups, unreadable, elsewhere } = await readDrilled(place, signal);
  const lastAttempt = await readLastAttempt(place, signal);
  return {
    to,
    backups: backups.map(listed),
    unreadable,
    elsewhere,
    ...(lastAttempt === undefined ? {} : { lastAttempt }),
  };
}

export interface DrilledBackup extends StoredBackup {
  readonly drill: DrillRecord | undefined;
}

/** Records that are fetched at the same time. */
const FETCHES = 16;

/** The catalogue, with the newest drill of each backup. @throws the errors of the store */
export async function readDrilled(
  place: BackupPlace,
  signal?: AbortSignal,
): Promise<Omit<BackupCatalogue, 'backups'> & { readonly backups: readonly DrilledBackup[] }> {
  const catalogue = await readCatalogue(place, signal);
  const unreadable = [...catalogue.unreadable];
  const backups = await mapConcurrent(catalogue.backups, FETCHES, async (backup) => {
    if (!backup.drilled) return { ...backup, drill: undefined };
    try {
      return { ...backup, drill: await readDrillRecord(place, backup.manifestKey, signal) };
    } catch (error) {
      if (!(error instanceof LongshoreError && error.code === 'OBJECT_FAILED')) throw error;
      unreadable.push(error.message);
      return { ...backup, drill: undefined };
    }
  });
  return { backups, unreadable, elsewhere: catalogue.elsewhere };
}

function listed({ manifest, missing, drill }: DrilledBackup): ListedBackup {
  const { key, takenAt, timeZone, format, encryption, files, dump } = manifest;
  return {
    ...{ key, takenAt, timeZone, format, encryption, missing },
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    files: files.length,
    ...(dump === undefined ? {} : { dump: summaryOf(dump) }),
    ...(drill === undefined ? {} : { drill }),
  };
}

function summaryOf({
  product,
  serverVersion,
  database,
  source,
  facts,
}: NonNullable<BackupManifest['dump']>): ListedBackup['dump'] & object {
  return { product, serverVersion, database, source, tables: facts.tables.length, rows: rowsIn(facts) };
}
