// Finds the servers that tests need, and installs what is missing where it may; what cannot run is told, with the
// command that enables it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const CACHE = join(ROOT, 'node_modules', '.cache', 'longshore');
const CFN_LINT = 'cfn-lint==1.58.0';
const MOTO = 'moto[server]==5.2.5';
const VERSITYGW = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0';
// Debian's docker-registry is on no other system; the others are.
const REGISTRY_PROGRAMS = [
  ['docker-registry', 'tests on a registry'],
  ['skopeo', 'tests that skopeo reads images'],
  ['umoci', 'tests that an unpacked image runs'],
];

/** @returns {{ env: Record<string, string>, skipped: { what: string, enable: string }[] }} */
export function prepareServers() {
  const skipped = [];
  const env = {};
  installDebianPackages();
  if (findPostgres() === undefined && process.env.TEST_PG === undefined) {
    skipped.push({
      what: 'tests on an installed PostgreSQL (they run on the embedded one)',
      enable: install('postgresql', 'postgresql@15'),
    });
  }
  if (
    findProgram('mariadbd', ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin']) === undefined &&
    process.env.TEST_MYSQL === undefined
  ) {
    skipped.push({ what: 'tests on MariaDB', enable: install('mariadb-server', 'mariadb') });
  }
  if (findProgram('pgbouncer', ['/usr/sbin', '/opt/homebrew/bin']) === undefined)
    skipped.push({ what: 'tests behind a pooler', enable: install('pgbouncer', 'pgbouncer') });
  if (findProgram('java', ['/usr/bin']) === undefined)
    skipped.push({ what: 'tests of changelogs', enable: install('default-jre-headless', 'openjdk') });
  for (const [name, what] of REGISTRY_PROGRAMS) {
    if (findProgram(name, []) === undefined) skipped.push({ what, enable: install(name, name) });
  }
  const versitygw = prepareVersitygw();
  if (versitygw === undefined) {
    skipped.push({
      what: 'tests on versitygw',
      enable: `install Go, or: GOBIN=~/bin go install ${VERSITYGW} and put it on the PATH`,
    });
  } else env.TEST_VERSITYGW = versitygw;
  const cfnLint = prepareCfnLint();
  if (cfnLint === undefined) {
    skipped.push({
      what: 'cfn-lint on the CloudFormation templates',
      enable: `pip install ${CFN_LINT} and put it on the PATH`,
    });
  } else env.TEST_CFN_LINT = cfnLint;
  const moto = prepareMoto();
  if (moto === undefined) {
    skipped.push({
      what: 'tests on moto, of buckets that are made and of clones of Aurora clusters',
      enable: `pip install '${MOTO}' and set TEST_MOTO to the path of moto_server`,
    });
  } else env.TEST_MOTO = moto;
  return { env, skipped };
}

function install(debian, homebrew) {
  return process.platform === 'darwin' ? `brew install ${homebrew}` : `sudo apt-get install ${debian}`;
}

/** Only as root on Debian; the packages' services are not started. */
function installDebianPackages() {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return;
  const missing = [];
  if (findPostgres() === undefined && process.env.TEST_PG === undefined) missing.push('postgresql');
  if (findProgram('mariadbd', ['/usr/sbin']) === undefined && process.env.TEST_MYSQL === undefined)
    missing.push('mariadb-server');
  if (findProgram('java', ['/usr/bin']) === undefined) missing.push('default-jre-headless');
  if (findProgram('pgbouncer', ['/usr/sbin']) === undefined) missing.push('pgbouncer');
  for (const [name] of REGISTRY_PROGRAMS) if (findProgram(name, []) === undefined) missing.push(name);
  if (missing.length === 0) return;
  say(`installing ${missing.join(', ')} …`);
  // In runlevel 1 invoke-rc.d starts nothing.
  const options = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  };
  const args = ['install', '-y', '-qq', '--no-install-recommends', ...missing];
  if (spawnSync('apt-get', args, { ...options, stdio: 'ignore' }).status === 0) return;
  spawnSync('apt-get', ['update', '-qq'], options);
  spawnSync('apt-get', args, options);
}

function findPostgres() {
  const folder = '/usr/lib/postgresql';
  if (
    existsSync(folder) &&
    readdirSync(folder).some((version) => existsSync(join(folder, version, 'bin', 'initdb')))
  )
    return folder;
  return findProgram('initdb', ['/opt/homebrew/opt/postgresql@15/bin', '/usr/local/opt/postgresql@15/bin']);
}

function prepareVersitygw() {
  if (process.env.TEST_VERSITYGW !== undefined) return process.env.TEST_VERSITYGW;
  const found = findProgram('versitygw', [join(CACHE, 'bin')]);
  if (found !== undefined) return found;
  if (findProgram('go', ['/usr/local/go/bin']) === undefined) return undefined;
  say('building versitygw …');
  mkdirSync(join(CACHE, 'bin'), { recursive: true });
  const built = spawnSync('go', ['install', VERSITYGW], {
    stdio: ['ignore', 'ignore', 'ignore'],
    env: { ...process.env, GOBIN: join(CACHE, 'bin') },
  });
  return built.status === 0 ? join(CACHE, 'bin', 'versitygw') : undefined;
}

function prepareCfnLint() {
  if (process.env.TEST_CFN_LINT !== undefined) return process.env.TEST_CFN_LINT;
  const found = findProgram('cfn-lint', [join(CACHE, 'cfn-lint', 'bin')]);
  // One that is found may still be a stub of a version manager.
  if (found !== undefined && spawnSync(found, ['--version']).status === 0) return found;
  return installPython('cfn-lint', CFN_LINT, 'cfn-lint');
}

function prepareMoto() {
  if (process.env.TEST_MOTO !== undefined) return process.env.TEST_MOTO;
  const found = join(CACHE, 'moto', 'bin', 'moto_server');
  return existsSync(found) ? found : installPython('moto', MOTO, 'moto_server');
}

/** Into a folder of its own. Undefined where that cannot be done. */
function installPython(name, what, program) {
  if (findProgram('python3', []) === undefined) return undefined;
  say(`installing ${name} …`);
  const folder = join(CACHE, name);
  const options = { stdio: 'ignore' };
  if (spawnSync('python3', ['-m', 'venv', folder], options).status !== 0) return undefined;
  const pip = ['install', '--quiet', '--disable-pip-version-check', what];
  if (spawnSync(join(folder, 'bin', 'pip'), pip, options).status !== 0) return undefined;
  return join(folder, 'bin', program);
}

function findProgram(name, folders) {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), ...folders]) {
    if (folder !== '' && existsSync(join(folder, name))) return join(folder, name);
  }
  return undefined;
}

function say(text) {
  process.stderr.write(`longshore: ${text}\n`);
}
