// Runs a script on Node 24 with everything installed: `node scripts/with-node24.mjs <script> [arguments]`.
// Plain JavaScript for any Node from 18 on, because it runs before anything is installed.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const MODULES = join(ROOT, 'node_modules');
const STAMP = join(MODULES, '.longshore-setup');
const NODE_MIN = 24;
const LOCK_STALE_MS = 15 * 60_000;

try {
  await setUp();
  const node = findNode();
  if (node === undefined)
    throw new Error(`needs Node.js ${NODE_MIN}, and the package "node" did not bring it`);
  run(node, process.argv.slice(2));
} catch (error) {
  say(error.message);
  process.exitCode = 1;
}

/** Installs packages when they are missing or older than the lock file; one process at a time. */
async function setUp() {
  if (isSetUp()) return;
  const lock = join(ROOT, '.longshore-setup.lock');
  while (!takeLock(lock)) await new Promise((resolve) => setTimeout(resolve, 500));
  try {
    if (isSetUp()) return;
    say('installing packages …');
    const command = existsSync(join(ROOT, 'package-lock.json')) ? 'ci' : 'install';
    const npm = spawnSync('npm', [command, '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: process.platform === 'win32',
    });
    if (npm.status !== 0) throw new Error(`npm ${command} failed`);
    finishHeldBackScripts();
    writeFileSync(STAMP, wanted());
  } finally {
    rmdirSync(lock);
  }
}

function isSetUp() {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted() && findNode() !== undefined;
}

function wanted() {
  const hash = createHash('sha256');
  for (const file of ['package.json', 'package-lock.json']) {
    if (existsSync(join(ROOT, file))) hash.update(readFileSync(join(ROOT, file)));
  }
  return hash.digest('hex');
}

function takeLock(lock) {
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    // Left by a process that was killed.
    if (Date.now() - statSync(lock).mtimeMs > LOCK_STALE_MS) rmdirSync(lock);
    return false;
  }
}

/** npm may hold back the install scripts of packages; what we need of them is done here. */
function finishHeldBackScripts() {
  const packageFolder = join(MODULES, 'node');
  if (nodeOfPackage() === undefined && existsSync(packageFolder)) {
    say('fetching Node.js 24 …');
    const script = spawnSync(process.execPath, ['installArchSpecificPackage.js'], {
      cwd: packageFolder,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (script.status !== 0) say('the package "node" could not fetch Node.js 24');
  }
}

function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MIN) return process.execPath;
  return nodeOfPackage();
}

function nodeOfPackage() {
  const node = join(MODULES, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (!existsSync(node)) return undefined;
  return spawnSync(node, ['--version'], { stdio: 'ignore' }).status === 0 ? node : undefined;
}

function run(node, [script, ...args]) {
  const path = [join(MODULES, '.bin'), dirname(node), process.env.PATH].join(delimiter);
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', join(ROOT, script), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, PATH: path },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 130;
  });
}

function say(text) {
  process.stderr.write(`longshore: ${text}\n`);
}
