/**
 * Where files lie and what they are called: as AWS DMS lays out an S3 target, with what makes a name say which changes
 * a file holds. Pure.
 */

import { type Lsn, sortableLsn } from '../../databases/postgres/lsn.ts';
import type { TableName } from './table-filter.ts';

/** Everything of the job itself; no folder of a schema is called so. */
export const META_FOLDER = '_longshore';

/** `<schema>/<table>/`, below the prefix of the job. */
export function tableFolder({ schema, name }: TableName): string {
  const folder = schema === META_FOLDER ? schema.replace('_', '%5F') : keyPart(schema);
  return `${folder}/${keyPart(name)}/`;
}

/** `LOAD00000001.parquet`: the counter is hexadecimal and begins with 1. */
export function loadFileName(number: number): string {
  return `LOAD${number.toString(16).toUpperCase().padStart(8, '0')}.parquet`;
}

/** Of a name as {@link loadFileName} makes it. */
export function loadFileNumber(name: string): number | undefined {
  const digits = /^LOAD([0-9A-F]{8})\.parquet$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

export interface ChangeFile {
  /** Commit time of its first change, in microseconds since 1970. */
  readonly firstCommitMicros: bigint;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** From 1; several files may hold the changes of one transaction. */
  readonly part: number;
}

/**
 * `20261121-131500123-00000000016B3748-00000000016B3900.parquet`: in the order of commits, and the same whenever the same
 * changes are landed again.
 */
export function changeFileName({ firstCommitMicros, firstLsn, lastLsn, part }: ChangeFile): string {
  const time = commitTime(firstCommitMicros)
    .replace(/[-:]/g, '')
    .replace('T', '-')
    .replace('.', '')
    .slice(0, 18);
  // Behind the dot of the first part's name in the order of bytes.
  const suffix = part === 1 ? '' : `_${String(part).padStart(5, '0')}`;
  return `${time}-${sortableLsn(firstLsn)}-${sortableLsn(lastLsn)}${suffix}.parquet`;
}

/** `2026/11/21/` of the commit time. */
export function datePartition(micros: bigint): string {
  return `${commitTime(micros).slice(0, 10).replaceAll('-', '/')}/`;
}

/** `2026-11-21 13:15:00.123456`, as DMS writes a timestamp column; UTC. */
export function timestampText(micros: bigint): string {
  const millis = commitTime(micros).replace('T', ' ').slice(0, 23);
  return `${millis}${String(((micros % 1000n) + 1000n) % 1000n).padStart(3, '0')}`;
}

function commitTime(micros: bigint): string {
  const millis = (micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n;
  return new Date(Number(millis)).toISOString();
}

/** `_longshore/<job>/epochs/0000000001.json` */
export function manifestKey(job: string, epoch: number): string {
  return `${META_FOLDER}/${job}/epochs/${String(epoch).padStart(10, '0')}.json`;
}

export function manifestPrefix(job: string): string {
  return `${META_FOLDER}/${job}/epochs/`;
}

/** Says that a job was begun, before it makes anything. */
export function beginningKey(job: string): string {
  return `${META_FOLDER}/${job}/begun.json`;
}

/** What was found when the replica was held against the tables last. */
export function verificationKey(job: string): string {
  return `${META_FOLDER}/${job}/verified.json`;
}

/** Why a run ended last. */
export function errorKey(job: string): string {
  return `${META_FOLDER}/${job}/last-error.json`;
}

/** The plan of a full load that becomes an epoch. */
export function planKey(job: string, epoch: number): string {
  return `${META_FOLDER}/${job}/load/${String(epoch).padStart(10, '0')}/plan.json`;
}

/** Notes of its chunks that are loaded. */
export function chunksPrefix(job: string, epoch: number): string {
  return `${META_FOLDER}/${job}/load/${String(epoch).padStart(10, '0')}/chunks/`;
}

/** @param number of the chunk in its table */
export function chunkKey(job: string, epoch: number, oid: number, number: number): string {
  return `${chunksPrefix(job, epoch)}${oid}-${String(number).padStart(8, '0')}.json`;
}

/** What is about to be landed, before it is. */
export function pendingKey(job: string, epoch: number): string {
  return `${META_FOLDER}/${job}/pending/${String(epoch).padStart(10, '0')}.json`;
}

/** A slash in a name would be a folder; `.` and `..` would be none of their own. */
function keyPart(name: string): string {
  return name.replace(
    /[/%\0]|^\.(?=\.?$)/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}
