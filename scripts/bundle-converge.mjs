// Writes dist/converge.mjs: what an artifact's image runs, in one file without node_modules.

import { renameSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const OUTPUT = join(ROOT, 'dist', 'converge.mjs');
// Of libraries that work without them.
const OPTIONAL = ['pg-native', 'cloudflare:sockets'];
const nodes = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));

const bundle = await rolldown({
  input: join(ROOT, 'src', 'cli', 'converge-entry.ts'),
  cwd: ROOT,
  platform: 'node',
  external: (id) => nodes.has(id) || id.startsWith('node:') || OPTIONAL.includes(id),
  // A warning may be a file that is missing in the image.
  onLog(level, log, handle) {
    if (level === 'warn' && log.code === 'UNRESOLVED_IMPORT') throw new Error(log.message);
    if (level !== 'info' && level !== 'debug' && process.argv.includes('--verbose')) handle(level, log);
  },
});
// Another process may make it at the same time: both write the same.
const making = `converge.${process.pid}.making`;
await bundle.write({
  file: join(ROOT, 'dist', making),
  format: 'esm',
  codeSplitting: false,
  comments: false,
});
await bundle.close();
renameSync(join(ROOT, 'dist', making), OUTPUT);
