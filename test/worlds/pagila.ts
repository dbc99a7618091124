/** The sample database pagila: where its SQL is, and how it is loaded. */

import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Of `TEST_PAGILA`, or beside the repository. */
const FOLDER =
  process.env['TEST_PAGILA'] ?? fileURLToPath(new URL('../../../shared/data/pagila', import.meta.url));
const SCHEMA = 'pagila-schema.sql';
const DATA = 'pagila-data.sql';

/** More than so many tables and rows are in it. */
export const PAGILA_TABLES_MIN = 20;
export const PAGILA_ROWS_MIN = 45_000;

/** Whether it can be loaded; prints what is missing where not. */
export function pagilaAvailable(): boolean {
  const missing = [SCHEMA, DATA].some((file) => !existsSync(join(FOLDER, file)))
    ? 'pagila; set TEST_PAGILA to the folder of its SQL'
    : !hasPsql()
      ? 'psql; apt-get install postgresql-client'
      : undefined;
  if (missing !== undefined) console.warn(`skipped: no ${missing}`);
  return missing === undefined;
}

/** Makes what it is made of, without rows. */
export function loadPagilaSchema(url: string): Promise<void> {
  return runScript(url, SCHEMA);
}

export async function loadPagila(url: string): Promise<void> {
  await loadPagilaSchema(url);
  await runScript(url, DATA);
}

async function runScript(url: string, file: string): Promise<void> {
  await promisify(execFile)('psql', ['--no-psqlrc', '--quiet', '-d', url, '-f', join(FOLDER, file)]);
}

function hasPsql(): boolean {
  try {
    execFileSync('psql', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
