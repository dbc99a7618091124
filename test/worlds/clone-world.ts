/** A world for clones by the program: a folder of its own, and what a server says of the databases that are there. */

import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect } from 'vitest';
import { type ProgramResult, runProgram } from '../e2e/world.ts';

export interface CloneWorld extends Disposable {
  readonly folder: string;
  readonly env: Record<string, string>;
  /** `longshore clone …`, in the folder or in one below it. */
  clone(
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
    onStart?: Parameters<typeof runProgram>[3],
  ): Promise<ProgramResult>;
  /** What the programs left in their temporary folder. */
  temporary(): string[];
}

export function createCloneWorld(): CloneWorld {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-e2e-'));
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  chmodSync(folder, 0o755);
  const world = { folder, env: { TMPDIR: temporary } };
  return {
    ...world,
    clone: (args, env, onStart) => runProgram(world, ['clone', ...args], env, onStart),
    temporary: () => readdirSync(temporary),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Without its password, as it stands in a file or among arguments. */
export function withoutPassword(url: string, user?: string): string {
  const own = new URL(url);
  own.password = '';
  if (user !== undefined) own.username = user;
  return own.href;
}

export const passwordOf = (url: string): string => decodeURIComponent(new URL(url).password);

export function withDatabaseName(url: string, database: string): string {
  const own = new URL(url);
  own.pathname = `/${database}`;
  return own.href;
}

/** Runs one statement. @throws what the server says */
export async function ask(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text);
    return rows;
  } finally {
    await client.end();
  }
}

/** Of a program that has to end well. */
export async function done(running: Promise<ProgramResult>): Promise<ProgramResult> {
  const result = await running;
  expect(result.code, result.stderr).toBe(0);
  return result;
}
/** What it printed, as JSON. */
export const parsed = async (running: Promise<ProgramResult>): Promise<unknown> =>
  JSON.parse((await done(running)).stdout);
