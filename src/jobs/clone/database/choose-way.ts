/** Which way a clone is made on a server, why, and about how long it takes. Pure. */

import { formatBytes } from '../../../config/bytes.ts';
import type { FoundBackup } from './request.ts';

/** `template`: by the server itself; `copy`: read and written over several connections; `dump`: through its dump program; `backup`: from a bucket. */
export const WAYS = ['template', 'copy', 'dump', 'backup'] as const;
export type Way = (typeof WAYS)[number];

export interface Situation {
  readonly product: 'PostgreSQL' | 'MariaDB' | 'MySQL';
  readonly sameServer: boolean;
  /** Of the source on the disk. */
  readonly bytes: number;
  /** In the source. */
  readonly sessions: number;
  /** Whether the server lets us copy it by itself. */
  readonly mayCopy: boolean;
  readonly jobs: number;
  /** Whether owners and grants are left out. */
  readonly noOwner: boolean;
  /** The newest backup that was drilled and is good. */
  readonly backup: FoundBackup | undefined;
  /** Whether the source can be reached at all. */
  readonly reachable: boolean;
  /** Whether every row is to be held against the source. */
  readonly compare: boolean;
}

export interface ChosenWay {
  readonly way: Way;
  readonly why: string;
  readonly estimateMs: number;
}

/** Bytes a second on the disk of the source, as measured on two slow cores: others are faster. */
const RATES: Readonly<Record<Way, number>> = {
  template: 300e6,
  copy: 30e6,
  dump: 20e6,
  backup: 25e6,
};
/** Connecting, the schema, the checkpoints. */
const START_MS = 1_000;

/** @param wanted by the user @returns why it cannot be done that way, where it cannot */
export function chooseWay(situation: Situation, wanted: Way | undefined): ChosenWay | string {
  if (wanted !== undefined) {
    // Whoever is connected now may be gone when it is made.
    const problem = hindrance(wanted, { ...situation, sessions: 0 });
    return problem ?? { way: wanted, why: 'you asked for it', estimateMs: estimate(wanted, situation) };
  }
  const passed: string[] = [];
  for (const way of WAYS) {
    const problem = hindrance(way, situation) ?? (way === 'backup' ? doubt(situation) : undefined);
    if (problem === undefined)
      return { way, why: [REASONS[way], ...passed].join('; '), estimateMs: estimate(way, situation) };
    if (way !== 'dump') passed.push(`no ${way}: ${problem}`);
  }
  return passed.join('; ');
}

const REASONS: Readonly<Record<Way, string>> = {
  template: 'the server copies the files of the database by itself',
  copy: 'rows are read under one snapshot and written over several connections, and the source may change meanwhile',
  dump: 'the dump program reads under one snapshot, and the source may change meanwhile',
  backup: 'the newest backup that a drill found good is restored',
};

function hindrance(way: Way, situation: Situation): string | undefined {
  const { product, sameServer, sessions, mayCopy, compare, noOwner, backup, reachable } = situation;
  if (way === 'backup' && backup === undefined) return 'there is no drilled backup';
  if (compare && (way === 'backup' || way === 'template'))
    return 'its rows cannot be held against the source, which may have changed since';
  if (way === 'backup') return undefined;
  if (!reachable) return 'the source cannot be reached';
  if (way === 'dump') return undefined;
  if (product !== 'PostgreSQL') return `${product} has no such way`;
  if (way === 'copy') return undefined;
  if (!sameServer) return 'the clone is on another server';
  if (noOwner) return 'owners and grants would come along';
  if (sessions > 0)
    return `${sessions} ${sessions === 1 ? 'session is' : 'sessions are'} connected to the source`;
  return mayCopy ? undefined : 'this role neither owns the source nor is it a template';
}

/** What to do where there is no way. @param places whether it is said where backups are */
export function wayOut(
  { reachable, compare, backup }: Situation,
  wanted: Way | undefined,
  places: boolean,
): string {
  if (wanted === 'backup' || (wanted === undefined && !reachable)) {
    if (compare) return 'leave --compare out: a backup is older than its source';
    if (backup !== undefined) return 'correct the URL of the source, or take that backup: --how backup';
    if (places) return 'drill a backup of this database first: longshore drill --from s3://bucket/prefix/';
    return reachable
      ? 'name the bucket of its backups: --backups s3://bucket/prefix/'
      : 'correct the URL of the source, or name the bucket of its backups: --backups s3://bucket/prefix/';
  }
  if (!reachable) return 'correct the URL of the source';
  return wanted === 'template' && compare
    ? 'leave --compare or --how out'
    : 'leave --how out: another way is found';
}

/** Why it is not taken without being asked for: what has the same name may be something else. */
function doubt({ backup }: Situation): string | undefined {
  return backup?.sameServer === false ? `the newest drilled one is of ${backup.source}` : undefined;
}

function estimate(way: Way, { bytes, jobs }: Situation): number {
  const rate = RATES[way] * (way === 'copy' ? jobs / 2 : 1);
  return Math.round(START_MS + (bytes / rate) * 1000);
}

/** `1.2 GiB over 4 connections` */
export function workText(way: Way, { bytes, jobs }: Situation): string {
  const over = way === 'copy' ? ` over ${jobs} connections` : '';
  return `${formatBytes(bytes)}${over}`;
}
