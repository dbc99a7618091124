/** What is published: the built program, without its sources. */

import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

test('the built program starts, and every command of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-package-'));
  try {
    for (const name of ['package.json', 'bin'])
      cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const dist = join(folder, 'dist');
    await run(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', dist]);
    const longshore = (...args: string[]) =>
      run(process.execPath, [join(folder, 'bin', 'longshore.mjs'), ...args], { cwd: folder });
    const { stdout } = await longshore('--help');
    const commands = [...stdout.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name!);
    expect(commands).toEqual(expect.arrayContaining(['move', 'replicate', 'backup', 'restore', 'clone']));
    for (const command of commands.filter((name) => name !== 'help')) await longshore(command, '--help');
    await expect(longshore('clone', 'list')).rejects.toMatchObject({ code: 2 });
    await expect(longshore('clone', 'inspect', 'nothing')).rejects.toMatchObject({ code: 2 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
