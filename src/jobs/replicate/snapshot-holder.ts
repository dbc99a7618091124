/**
 * A process of its own that holds a snapshot, so that a full load whose process died goes on under it. It ends when
 * nobody has worked on the job for a while.
 */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { LongshoreError } from '../../errors.ts';

/** What the process is told, over its standard input: a password must not stand in its arguments. */
export interface HolderTask {
  readonly from: string;
  readonly snapshot: string;
  readonly slot: string;
  /** Oids of the tables that are locked against being truncated and rewritten. */
  readonly tables: readonly number[];
  /** How long it stays when nobody works on the job. */
  readonly keepMs: number;
}

/** The sources run as they are, the built program has none. */
const PROCESS = new URL(
  import.meta.url.endsWith('.ts') ? './snapshot-holder-process.ts' : './snapshot-holder-process.js',
  import.meta.url,
);

/**
 * Starts the process.
 * @returns the name under which it holds the snapshot
 * @throws DATABASE_FAILED where it cannot
 */
export async function startHolder(
  task: HolderTask,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const child = spawn(process.execPath, [fileURLToPath(PROCESS)], {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...env },
  });
  child.stdin.end(JSON.stringify(task));
  let text = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  child.unref();
  const [line] = text.split('\n');
  if (line?.startsWith('held ') === true) return line.slice('held '.length);
  throw new LongshoreError('DATABASE_FAILED', `no process can hold the snapshot: ${line || 'it ended'}`);
}

/** Ends the processes that hold a snapshot for a job. */
export async function endHolders(client: pg.ClientBase, slot: string): Promise<void> {
  await client.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()',
    [holderName(slot)],
  );
}

/** What its session is called, in at most 63 bytes. */
export function holderName(slot: string): string {
  return `${slot} snapshot`;
}
