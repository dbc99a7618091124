/**
 * A file that another program writes into a shared folder, and what is known of whether it is whole: nobody may write it any
 * more, it may not change for a while, and a dump ends as its program ends dumps.
 */

import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readFile, readlink, stat } from 'node:fs/promises';
import type { Clock } from '../../flow/clock.ts';

export interface WholeFile {
  readonly path: string;
  readonly bytes: number;
  readonly ino: number;
  readonly modifiedMs: number;
}

export type Look =
  | { readonly kind: 'absent' }
  /** Somebody is at it; a later look may find it whole. @property why as a sentence goes on */
  | { readonly kind: 'unfinished'; readonly why: string }
  | { readonly kind: 'whole'; readonly file: WholeFile };

/** @param settleMs how long it may not change */
export async function lookAtFile(
  path: string,
  settleMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<Look> {
  const first = await statOf(path);
  if (first === undefined) return { kind: 'absent' };
  if (!first.isFile()) return { kind: 'unfinished', why: 'is no file' };
  if (await isBeingWritten(first))
    return { kind: 'unfinished', why: 'is still being written: a program has it open' };
  await clock.wait(settleMs, signal);
  const second = await statOf(path);
  if (second === undefined || !isSame(first, second)) return { kind: 'unfinished', why: 'is still changing' };
  if (await isBeingWritten(second))
    return { kind: 'unfinished', why: 'is still being written: a program has it open' };
  if (second.size === 0) return { kind: 'unfinished', why: 'is empty' };
  const cut = await missingTrailer(path, second.size);
  if (cut !== undefined) return { kind: 'unfinished', why: `has no end: ${cut}` };
  return { kind: 'whole', file: fileOf(path, second) };
}

/** Whether it is still what was looked at. */
export async function isUnchanged({ path, ...before }: WholeFile): Promise<boolean> {
  const now = await statOf(path);
  return (
    now !== undefined &&
    now.ino === before.ino &&
    now.size === before.bytes &&
    now.mtimeMs === before.modifiedMs
  );
}

function fileOf(path: string, { size, ino, mtimeMs }: Stats): WholeFile {
  return { path, bytes: size, ino, modifiedMs: mtimeMs };
}

function isSame(one: Stats, other: Stats): boolean {
  return one.ino === other.ino && one.size === other.size && one.mtimeMs === other.mtimeMs;
}

/** Undefined where nothing is. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (ABSENT.has(codeOf(error))) return undefined;
    throw error;
  }
}

/** Where the system tells which files processes have open: of those that this one may look at. */
async function isBeingWritten(file: Stats): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    for (const descriptor of await listed(`/proc/${pid}/fd`)) {
      if (await writes(`/proc/${pid}`, descriptor, file)) return true;
    }
  }
  return false;
}

/** Processes end while they are looked at, and those of others do not let anybody look. */
async function listed(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (HIDDEN.has(codeOf(error))) return [];
    throw error;
  }
}

async function writes(process: string, descriptor: string, file: Stats): Promise<boolean> {
  try {
    const target = await readlink(`${process}/fd/${descriptor}`);
    if (!target.startsWith('/')) return false;
    const { dev, ino } = await stat(`${process}/fd/${descriptor}`);
    if (dev !== file.dev || ino !== file.ino) return false;
    const flags = /^flags:\s*([0-7]+)/m.exec(await readFile(`${process}/fdinfo/${descriptor}`, 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
  } catch (error) {
    if (HIDDEN.has(codeOf(error))) return false;
    throw error;
  }
}

const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR']);
const HIDDEN: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ESRCH']);

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/** How programs begin their dumps, and how they end them. */
const TRAILERS = [
  {
    program: 'pg_dump',
    begins: /^--\n-- PostgreSQL database (cluster )?dump\n/m,
    ends: /-- PostgreSQL database (cluster )?dump complete/,
  },
  { program: 'mysqldump or mariadb-dump', begins: /^-- (MySQL|MariaDB) dump /m, ends: /-- Dump completed/ },
] as const;

const EDGE_BYTES = 4096;

/** @returns what is not there; undefined where the dump is whole, or no dump in text that is known */
async function missingTrailer(path: string, bytes: number): Promise<string | undefined> {
  const file = await open(path);
  try {
    const at = async (from: number): Promise<string> => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(EDGE_BYTES), 0, EDGE_BYTES, from);
      return buffer.toString('latin1', 0, bytesRead);
    };
    const head = await at(0);
    const known = TRAILERS.find(({ begins }) => begins.test(head));
    if (known === undefined || known.ends.test(await at(Math.max(0, bytes - EDGE_BYTES)))) return undefined;
    return `${known.program} ends its dumps with a line that is not there`;
  } finally {
    await file.close();
  }
}
