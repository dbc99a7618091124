/** The program that an artifact carries: one file with everything that converging needs. */

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LongshoreError } from '../../errors.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BUNDLE = join(ROOT, 'dist', 'converge.mjs');
const SCRIPT = join(ROOT, 'scripts', 'bundle-converge.mjs');
const SOURCES = join(ROOT, 'src');

/** Of the program. */
export function programVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

/** Its path; of a checkout it is made anew where a source is newer. @throws CHECK_FAILED */
export async function convergeBundle(signal: AbortSignal | undefined): Promise<string> {
  // What is published has the bundle and no sources.
  if (!existsSync(SCRIPT)) {
    if (existsSync(BUNDLE)) return BUNDLE;
    throw new LongshoreError('CHECK_FAILED', `the program that an artifact carries is not there: ${BUNDLE}`, {
      hint: 'install Longshore again',
    });
  }
  if (newestMs([SOURCES, SCRIPT, join(ROOT, 'package-lock.json')]) <= newestMs([BUNDLE])) return BUNDLE;
  await new Promise<void>((resolve, reject) => {
    execFile(process.execPath, [SCRIPT], { cwd: ROOT, signal }, (error, _, stderr) => {
      if (error === null) return resolve();
      reject(
        signal?.reason ??
          new LongshoreError(
            'CHECK_FAILED',
            `cannot bundle the program that an artifact carries: ${stderr.trim() || error.message}`,
            {
              cause: error,
              hint: 'run node scripts/bundle-converge.mjs',
            },
          ),
      );
    });
  });
  return BUNDLE;
}

function newestMs(paths: readonly string[]): number {
  return paths.reduce((newest, path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return newest;
    if (!found.isDirectory()) return Math.max(newest, found.mtimeMs);
    // That of the folder itself tells of files that are gone.
    return Math.max(newest, found.mtimeMs, newestMs(readdirSync(path).map((name) => join(path, name))));
  }, 0);
}
