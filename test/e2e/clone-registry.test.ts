/** Artifacts as images: built without Docker, published to a real registry, read and run by other programs. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BuiltArtifact } from '../../src/jobs/clone/build.ts';
import type { PublishedArtifact } from '../../src/jobs/clone/publish.ts';
import { startCutProxy } from '../servers/cut-proxy.ts';
import {
  dockerRegistryAvailable,
  hasProgram,
  startDockerRegistry,
  type TestRegistry,
} from '../servers/docker-registry.ts';
import { type ProgramResult, runProgram } from './world.ts';

const isLinux = process.platform === 'linux';
const registryAvailable = isLinux && dockerRegistryAvailable();
const skopeoAvailable = hasProgram('skopeo', 'skopeo');
const umociAvailable = hasProgram('umoci', 'umoci');

let folder: string;
let built: BuiltArtifact;
let registry: TestRegistry;
const all = new AsyncDisposableStack();

/** The artifact is built once: most of it is this machine's Node.js. */
beforeAll(async () => {
  if (!isLinux) return;
  folder = mkdtempSync(join(tmpdir(), 'longshore-registry-'));
  all.defer(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(
    join(folder, 'artifact-config.ini'),
    `[source_db]
source_db_cluster_id = fred
liquibase_changelog_path = changelog.yaml

[target_db]
subnet_ids = source
vpc_id = source
instance_type = db.r4.large
database_name = shop
`,
  );
  writeFileSync(join(folder, 'changelog.yaml'), 'databaseChangeLog: [{changeSet: {id: 1, author: me}}]\n');
  const result = await longshore([
    'build',
    'artifact-config.ini',
    '--tag',
    'shop-db:1',
    '--output',
    'shop.tar',
    '--json',
  ]);
  built = JSON.parse(result.stdout) as BuiltArtifact;
  if (registryAvailable) registry = all.use(await startDockerRegistry());
});
afterAll(() => all.disposeAsync());

async function longshore(args: readonly string[], env: Record<string, string> = {}): Promise<ProgramResult> {
  const result = await runProgram({ env: {}, folder }, ['clone', ...args], env);
  expect(result.code, result.stderr).toBe(0);
  return result;
}

async function publish(
  to: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<PublishedArtifact> {
  return JSON.parse(
    (await longshore(['publish', 'shop-db:1', to, ...args, '--json'], env)).stdout,
  ) as PublishedArtifact;
}

const ways = ({ blobs }: PublishedArtifact): string[] => [...new Set(blobs.map(({ how }) => how))];

/** A folder for DOCKER_CONFIG. */
function dockerConfig(host: string, login: string): Record<string, string> {
  const path = join(folder, `docker-${host.replace(':', '-')}-${login.replace(':', '-')}`);
  mkdirSync(path, { recursive: true });
  writeFileSync(
    join(path, 'config.json'),
    JSON.stringify({ auths: { [host]: { auth: Buffer.from(login).toString('base64') } } }),
  );
  return { DOCKER_CONFIG: path };
}

test.skipIf(!registryAvailable)(
  'what is published is there once, mounted where it may be, and pulled as it was',
  async () => {
    const first = await publish(`${registry.host}/team/shop-db:1`);
    expect(first).toMatchObject({ digest: built.digest, existed: false });
    expect(ways(first)).toEqual(['uploaded']);

    const sent = registry.requests().length;
    const again = await publish(`${registry.host}/team/shop-db:1`);
    expect(again).toMatchObject({ existed: true, uploadedBytes: 0 });
    expect(ways(again)).toEqual(['there']);
    expect(
      registry
        .requests()
        .slice(sent)
        .filter((request) => !request.startsWith('HEAD')),
    ).toEqual([]);

    const mounted = await publish(`${registry.host}/other/shop-db:1`, [
      '--mount-from',
      'nobody/has',
      'team/shop-db',
    ]);
    expect(mounted.uploadedBytes).toBe(0);
    expect(ways(mounted)).toEqual(['mounted']);

    const chunked = await publish(`${registry.host}/chunks/shop-db:1`, ['--chunk', '8MiB']);
    expect(ways(chunked)).toEqual(['uploaded']);
    expect(
      registry.requests().filter((request) => /^PATCH \/v2\/chunks\/.* 202$/.test(request)).length,
    ).toBeGreaterThan(5);

    // From nothing but the registry; of its layers not those of the program.
    const before = registry.requests().length;
    for (const reference of [`${registry.host}/team/shop-db:1`, chunked.pinned]) {
      const { stdout } = await longshore(['inspect', reference, '--store', 'empty', '--json']);
      expect(JSON.parse(stdout)).toMatchObject({
        place: 'registry',
        digest: built.digest,
        contentDigest: built.contentDigest,
        changelog: { entry: 'changelog.yaml', changeSets: 1 },
        config: { databaseName: 'shop' },
      });
    }
    const runtime = built.layers.find(({ part }) => part === 'runtime')!;
    expect(
      registry
        .requests()
        .slice(before)
        .filter((request) => request.includes(runtime.digest)),
    ).toEqual([]);
    const { stdout } = await longshore(['diff', 'shop-db:1', `${registry.host}/team/shop-db:1`]);
    expect(stdout).toContain('are the same');

    const missing = await runProgram({ env: {}, folder }, [
      'clone',
      'inspect',
      `${registry.host}/team/shop-db:2`,
    ]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('MANIFEST_UNKNOWN');
  },
);

test.skipIf(!registryAvailable)(
  'a connection that breaks in the middle of a layer does not keep it from getting there',
  async () => {
    await using proxy = await startCutProxy(registry.port);
    for (const [name, args] of [
      ['stream', []],
      ['chunks', ['--chunk', '4MiB']],
    ] as const) {
      proxy.cutAfter(10_000_000);
      const published = await publish(`127.0.0.1:${proxy.port}/cut/${name}:1`, args);
      expect(published.digest).toBe(built.digest);
      const requests = registry
        .requests()
        .filter((request) => request.includes(`/cut/${name}/blobs/uploads/`));
      // It asked how far it had got.
      expect(requests.some((request) => request.startsWith('GET'))).toBe(true);
      if (skopeoAvailable) {
        skopeo(
          'copy',
          '--src-tls-verify=false',
          `docker://${registry.host}/cut/${name}:1`,
          `dir:${join(folder, name)}`,
        );
      }
    }
  },
);

test.skipIf(!registryAvailable).each(['password', 'token'] as const)(
  'a registry that wants a %s',
  async (auth) => {
    await using guarded = await startDockerRegistry(auth);
    const to = `${guarded.host}/team/shop-db:1`;
    const env = dockerConfig(guarded.host, 'me:geheim');
    expect(await publish(to, [], env)).toMatchObject({ digest: built.digest });
    expect(
      ways(await publish(`${guarded.host}/other/shop-db:1`, ['--mount-from', 'team/shop-db'], env)),
    ).toEqual(['mounted']);
    await longshore(['inspect', to, '--store', 'empty'], env);
    for (const [login, expected] of [
      [dockerConfig(guarded.host, 'me:falsch'), 'docker login'],
      [{ DOCKER_CONFIG: '/nowhere' }, 'docker login'],
    ] as const) {
      const refused = await runProgram(
        { env: {}, folder },
        ['clone', 'publish', 'shop-db:1', `${guarded.host}/new/shop-db:1`],
        login,
      );
      expect(refused.code, refused.stderr).toBe(3);
      expect(refused.stderr).toContain('STORE_CREDENTIALS');
      expect(refused.stderr).toContain(expected);
      expect(refused.stderr).not.toContain('falsch');
    }
  },
);

const skopeo = (...args: string[]): string =>
  execFileSync('skopeo', args, { encoding: 'utf8', cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });

test.skipIf(!isLinux || !skopeoAvailable)(
  'skopeo reads the layout, the tar file and the registry',
  async () => {
    const layout = 'oci:.longshore/artifacts:shop-db:1';
    const label = (text: string): unknown =>
      (JSON.parse(text) as { Labels: Record<string, string> }).Labels['io.longshore.source'];
    expect(label(skopeo('inspect', layout))).toBe('fred');
    expect(label(skopeo('inspect', 'docker-archive:shop.tar'))).toBe('fred');
    skopeo('copy', layout, 'oci:copied:shop');
    skopeo('copy', 'docker-archive:shop.tar', 'oci:from-tar:shop');
    for (const reference of ['oci:copied:shop', 'oci:from-tar:shop']) {
      const { stdout } = await longshore(['inspect', reference, '--json']);
      expect(JSON.parse(stdout)).toMatchObject({ contentDigest: built.contentDigest });
    }
    if (!registryAvailable) return;
    await publish(`${registry.host}/skopeo/shop-db:1`);
    const inspected = skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/skopeo/shop-db:1`);
    expect(JSON.parse(inspected)).toMatchObject({
      Digest: built.digest,
      Labels: { 'io.longshore.source': 'fred' },
    });
    skopeo(
      'copy',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `docker://${registry.host}/skopeo/shop-db:1`,
      `docker://${registry.host}/skopeo/copy:1`,
    );
    const { stdout } = await longshore([
      'inspect',
      `${registry.host}/skopeo/copy:1`,
      '--store',
      'empty',
      '--json',
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ digest: built.digest });
  },
);

test.skipIf(!isLinux || !umociAvailable)('unpacked, the program inside runs', () => {
  const isRoot = process.getuid?.() === 0;
  const bundle = join(folder, 'bundle');
  const unpack = [
    'unpack',
    ...(isRoot ? [] : ['--rootless']),
    '--image',
    `${join(folder, '.longshore/artifacts')}:shop-db:1`,
    bundle,
  ];
  execFileSync('umoci', unpack, { stdio: 'pipe' });
  const rootfs = join(bundle, 'rootfs');
  const { process: start } = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as {
    process: { args: string[] };
  };
  const run = (env: Record<string, string>, ...args: string[]) => {
    const inside = start.args.map((arg) => (arg.startsWith('/') && !isRoot ? join(rootfs, arg) : arg));
    const chroot = ['/usr/sbin/chroot', '/sbin/chroot'].find((path) => existsSync(path))!;
    const [command, ...all] = [...(isRoot ? [chroot, rootfs] : []), ...inside, ...args];
    try {
      return {
        code: 0,
        text: execFileSync(command!, all, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
      };
    } catch (error) {
      const { status, stderr } = error as { status: number; stderr: string };
      return { code: status, text: stderr };
    }
  };
  expect(run({}, '--help')).toMatchObject({ code: 0, text: expect.stringContaining('CREATE_MODE') });
  const unset = run({});
  expect(unset.code).toBe(2);
  expect(unset.text).toContain('CREATE_MODE must be clone or create, it is not set; DB_PASSWORD is not set');
  expect(run({ CREATE_MODE: 'copy', DB_PASSWORD: 'geheim' }).text).toContain(
    'CREATE_MODE must be clone or create, it is copy',
  );
});
