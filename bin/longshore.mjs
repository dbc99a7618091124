#!/usr/bin/env node
// Starts the program: the built one where it is published, the sources where they are checked out; on Node 24.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

const root = new URL('../', import.meta.url);
const sources = new URL('src/cli/main.ts', root);
const built = new URL('dist/cli/main.js', root);
const NODE_MIN = 24;

if (Number(process.versions.node.split('.')[0]) >= NODE_MIN) {
  // On a large machine V8 lets garbage grow to gigabytes; a mover of data has a small working set and keeps it.
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=25');
  // Helper threads would each keep an arena of freed memory, for a heap that one thread sweeps in no time.
  setFlagsFromString('--single-threaded-gc');
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
