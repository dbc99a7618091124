#!/usr/bin/env node
// Starts the program: the built one where it is published, the sources where they are checked out; on Node 24.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

const root = new URL('../', import.meta.url);
const sources = new URL('src/cli/main.ts', root);
const built = new URL('dist/cli/main.js', root);
const NODE_MIN = 24;

if (Number(process.versions.node.split('.')[0]) >= NODE_MIN) {
  // On a large machine V8 lets garbage grow to gigabytes; a mover of data has a small working set and keeps it.
  setFlagsFromString('--semi-space-growth-factor=1');
  // Streams of large buffers would have it swept all the time.
  if (!['backup', 'restore', 'drill'].includes(process.argv[2])) {
    setFlagsFromString('--heap-growing-percent=25');
    // Helper threads would each keep an arena of freed memory, for a heap that one thread sweeps in no time.
    setFlagsFromString('--single-threaded-gc');
  }
  keepCompiledCode();
  // node:sqlite works and still calls itself experimental.
  const show = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') for (const listener of show) listener(warning);
  });
  const { main } = await import((existsSync(sources) ? sources : built).href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  const node = fileURLToPath(new URL('node_modules/node/bin/node', root));
  if (!existsSync(node)) {
    process.stderr.write(`longshore: needs Node.js ${NODE_MIN} or newer, this is ${process.versions.node}\n`);
    process.exit(2);
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal !== null) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}

// Half of a start is the compilation of the same code; threads find the place in the environment.
function keepCompiledCode() {
  const folder = process.env.NODE_COMPILE_CACHE ?? cacheFolder();
  if (folder === undefined) return;
  process.env.NODE_COMPILE_CACHE = folder;
  module.enableCompileCache(folder);
}

function cacheFolder() {
  const caches = existsSync(sources) ? fileURLToPath(new URL('node_modules/.cache', root)) : userCaches();
  const own = join(caches, 'longshore');
  try {
    for (const folder of [caches, own]) if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    return own;
  } catch {
    // A folder that is not there or not ours: everything is compiled each time.
    return undefined;
  }
}

function userCaches() {
  const home = homedir();
  if (process.platform === 'darwin') return join(home, 'Library', 'Caches');
  if (process.platform === 'win32') return process.env.LOCALAPPDATA ?? home;
  return process.env.XDG_CACHE_HOME ?? join(home, '.cache');
}
