// Format, lint and types of the whole tree.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
for (const command of [
  ['biome', 'check', '.'],
  ['tsc', '-p', 'tsconfig.json'],
]) {
  const [program, ...args] = command;
  const done = spawnSync(join(ROOT, 'node_modules', '.bin', program), args, { cwd: ROOT, stdio: 'inherit' });
  if (done.status !== 0) {
    process.stderr.write(`${command.join(' ')} failed\n`);
    process.exit(1);
  }
}
