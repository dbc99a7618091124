import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ARCHITECTURE, canonicalJson, MEDIA_TYPES } from '../../platforms/oci/image.ts';
import { ImageLayout } from '../../platforms/oci/image-layout.ts';
import { type BuildOptions, buildArtifact } from './build.ts';
import { diffArtifacts } from './diff.ts';
import { inspectArtifact } from './inspect.ts';
import { openArtifact } from './open-artifact.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-build-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** A file of the original form. */
const ini = (changelog: string): string => `[source_db]
source_db_cluster_id = fred
${changelog}

[target_db]
subnet_ids = source
vpc_id = source
instance_type = db.r4.large
database_name = shop
`;

function writeProject(at: string): void {
  write(`${at}/artifact-config.ini`, ini('liquibase_changelog_path = db/changelog.yaml'));
  write(
    `${at}/db/changelog.yaml`,
    `databaseChangeLog:
  - include: {file: tables/a.xml, relativeToChangelogFile: true}
  - includeAll: {path: db/more}
  - changeSet: {id: 1, author: me, changes: [{sqlFile: {path: db/sql/one.sql}}]}
`,
  );
  write(`${at}/db/tables/a.xml`, '<databaseChangeLog><changeSet id="1" author="x"/></databaseChangeLog>');
  write(`${at}/db/more/b.sql`, '--liquibase formatted sql\n--changeset a:1\n--changeset a:2\n');
  write(`${at}/db/more/deep/c.json`, '{"databaseChangeLog": []}');
  write(`${at}/db/sql/one.sql`, 'select 1;\n');
  write(`${at}/db/unused.sql`, 'select 2;\n');
}

const FILES = [
  'db/changelog.yaml',
  'db/more/b.sql',
  'db/more/deep/c.json',
  'db/sql/one.sql',
  'db/tables/a.xml',
];

/** A small image, which says that it has Node.js. */
async function writeBase(): Promise<string> {
  const layout = await ImageLayout.make(join(folder, 'base'));
  const layer = await layout.putBytes(Buffer.from('a layer'), MEDIA_TYPES.layer);
  const config = await layout.putBytes(
    canonicalJson({
      architecture: ARCHITECTURE,
      os: 'linux',
      config: { Env: ['JAVA_HOME=/java'], Labels: { mine: 'yes' }, Cmd: ['sh'], User: 'me' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${'1'.repeat(64)}`] },
      history: [{ created_by: 'somebody' }],
    }),
    MEDIA_TYPES.config,
  );
  const manifest = canonicalJson({ schemaVersion: 2, config, layers: [layer] });
  await layout.tag('jre', await layout.putBytes(manifest, MEDIA_TYPES.manifest));
  return `oci:${join(folder, 'base')}:jre`;
}

const build = (options: Partial<BuildOptions> & { config: string }, store = 'store', env = {}) =>
  buildArtifact(
    { tag: 'shop-db', node: 'base', ...options, config: join(folder, options.config) },
    { env, store: join(folder, store) },
  );

test('the same input has the same digest, from two folders and into two stores', async () => {
  writeProject('one');
  cpSync(join(folder, 'one'), join(folder, 'elsewhere/two'), { recursive: true });
  chmodSync(join(folder, 'elsewhere/two/db/sql/one.sql'), 0o600);
  utimesSync(join(folder, 'elsewhere/two/db/changelog.yaml'), 1, 1);
  const base = await writeBase();
  const output = (name: string) => join(folder, name);
  const one = await build({ config: 'one/artifact-config.ini', base, output: output('a.tar') });
  const two = await build(
    { config: 'elsewhere/two/artifact-config.ini', base, output: output('b.tar') },
    'store2',
  );
  expect(two.digest).toBe(one.digest);
  expect(readFileSync(output('a.tar')).equals(readFileSync(output('b.tar')))).toBe(true);
  expect(one).toMatchObject({
    reference: 'shop-db:latest',
    existed: false,
    source: 'fred',
    changelogFiles: 5,
    changeSets: 4,
  });
  expect((await build({ config: 'one/artifact-config.ini', base })).existed).toBe(true);

  const later = await build({ config: 'one/artifact-config.ini', base, tag: 'later' }, 'store', {
    SOURCE_DATE_EPOCH: '1700000000',
  });
  expect(later.digest).not.toBe(one.digest);
  expect(later.contentDigest).toBe(one.contentDigest);
  await expect(
    build({ config: 'one/artifact-config.ini', base }, 'store', { SOURCE_DATE_EPOCH: 'now' }),
  ).rejects.toThrow('SOURCE_DATE_EPOCH');
});

test('it is opened from the store, as a layout and as a tar file; a name that is nowhere is not fetched', async () => {
  writeProject('one');
  const base = await writeBase();
  const tar = join(folder, 'shop.tar');
  const { digest } = await build({ config: 'one/artifact-config.ini', base, output: tar });
  const environment = { env: {}, store: join(folder, 'store') };
  for (const reference of ['shop-db', 'shop-db:latest', `oci:${join(folder, 'store')}:shop-db:latest`, tar]) {
    const artifact = await openArtifact(reference, environment);
    expect(artifact.digest).toBe(digest);
    expect(artifact.config).toMatchObject({ source: { clusterId: 'fred' }, databaseName: 'shop' });
    expect(artifact.changelog?.entry).toBe('db/changelog.yaml');
    expect(artifact.changelog?.files.map(({ path }) => path)).toEqual(FILES);
    expect(artifact.changelog?.files[3]?.bytes.toString()).toBe('select 1;\n');
    expect(artifact.masking).toBeUndefined();
  }
  await expect(openArtifact('shop-db:2', environment)).rejects.toThrow('there is no artifact shop-db:2 in');
  await expect(openArtifact(base, environment)).rejects.toThrow('no database artifact');
});

test('what is built on another image keeps what that one has', async () => {
  writeProject('one');
  await build({ config: 'one/artifact-config.ini', base: await writeBase() });
  const layout = ImageLayout.find(join(folder, 'store'))!;
  const { config, manifest } = await layout.image('shop-db:latest');
  expect(config.config).toMatchObject({
    Env: ['JAVA_HOME=/java'],
    User: 'me',
    Labels: { mine: 'yes', 'io.longshore.source': 'fred', 'io.longshore.changelog.change-sets': '4' },
  });
  expect(config.config).not.toHaveProperty('Cmd');
  expect(config.config?.Entrypoint).toEqual(['node', '/longshore/converge.mjs']);
  expect(config.rootfs.diff_ids).toHaveLength(manifest.layers.length);
  expect(config.history).toHaveLength(manifest.layers.length);
  const inspected = await inspectArtifact('shop-db', { env: {}, store: join(folder, 'store') });
  expect(inspected.layers.map(({ part }) => part)).toEqual(['base', 'program', 'changelog', 'configuration']);
  expect(inspected.changelog).toMatchObject({ entry: 'db/changelog.yaml', changeSets: 4 });
});

test('an artifact is not built on an artifact', async () => {
  writeProject('one');
  await build({ config: 'one/artifact-config.ini', base: await writeBase() });
  const base = `oci:${join(folder, 'store')}`;
  await expect(build({ config: 'one/artifact-config.ini', base })).rejects.toThrow('is an artifact itself');
});

test('without another image there is no Node.js to take', async () => {
  writeProject('one');
  await expect(build({ config: 'one/artifact-config.ini' })).rejects.toMatchObject({
    code: 'CHECK_FAILED',
    hint: expect.stringContaining('--base'),
  });
});

test('what differs between two artifacts', async () => {
  writeProject('one');
  const base = await writeBase();
  await build({ config: 'one/artifact-config.ini', base, tag: 'a:1' });
  write(
    'one/artifact-config.ini',
    `${ini('liquibase_changelog_path = db/changelog.yaml').replace('r4', 'r6g')}masking_path = m.yaml\n`,
  );
  write('one/m.yaml', 'rules: []\n');
  write('one/db/sql/one.sql', 'select 1;\nselect 2;\n');
  write('one/db/more/d.sql', 'select 3;\n');
  rmSync(join(folder, 'one/db/more/deep'), { recursive: true });
  await build({ config: 'one/artifact-config.ini', base, tag: 'a:2' });
  const difference = await diffArtifacts(['a:1', 'a:2'], { env: {}, store: join(folder, 'store') });
  expect(difference.sameContent).toBe(false);
  expect(difference.config).toEqual([
    { key: 'aurora.instanceType', left: 'db.r4.large', right: 'db.r6g.large' },
    { key: 'maskingPath', left: undefined, right: 'm.yaml' },
  ]);
  expect(difference.files.map(({ path, change }) => [path, change])).toEqual([
    ['db/more/d.sql', 'added'],
    ['db/more/deep/c.json', 'removed'],
    ['db/sql/one.sql', 'changed'],
  ]);
  expect(difference.files[2]?.diff).toContain('\n+select 2;');
  expect(difference.masking?.change).toBe('added');
  expect(difference.program).toEqual([]);
});

test.each([
  ['a password in a comment', 'a.ini', `${ini('liquibase_changelog_path = c.sql')}\n; password = geheim`],
  ['a key in the changelog', 'c.sql', "select 'AKIAIOSFODNN7EXAMPLE';"],
])('%s is refused, and not repeated', async (_, path, text) => {
  write('a.ini', ini('liquibase_changelog_path = c.sql'));
  write('c.sql', 'select 1;');
  write(path, text);
  const building = build({ config: 'a.ini' });
  await expect(building).rejects.toThrow(`${path}, which seems to hold credentials: line`);
  await expect(building).rejects.not.toThrow(/geheim|AKIA/);
});

test('paths may be relative to the folder of the changelog, or absolute; what is missing is named', async () => {
  const base = await writeBase();
  write(
    'c/db/changelog.yaml',
    'databaseChangeLog: [{include: {file: sql/a.sql}}, {include: {file: "../up.sql", relativeToChangelogFile: true}}]',
  );
  write('c/db/sql/a.sql', 'select 1;');
  write('c/up.sql', 'select 1;');
  write('ini/a.ini', ini(`liquibase_changelog_path = ${join(folder, 'c/db/changelog.yaml')}`));
  await expect(build({ config: 'ini/a.ini', base })).rejects.toThrow(
    'refers to ../up.sql, which is not there',
  );
  write('c/db/changelog.yaml', 'databaseChangeLog: [{include: {file: sql/a.sql}}]');
  expect((await build({ config: 'ini/a.ini', base })).changelogFiles).toBe(2);
  write(
    'c/db/changelog.yaml',
    'databaseChangeLog: [{include: {file: db/sql/a.sql}}, {include: {file: up.sql}}]',
  );
  expect((await build({ config: 'ini/a.ini', base })).changelogFiles).toBe(3);
  write('ini/a.ini', ini('liquibase_changelog_path = no.yaml'));
  await expect(build({ config: 'ini/a.ini', base })).rejects.toThrow('no.yaml is not there');
  write('ini/a.ini', `${ini('')}masking_path = no.yaml`);
  await expect(build({ config: 'ini/a.ini', base })).rejects.toThrow('cannot read');
  await expect(build({ config: 'no.ini', base })).rejects.toThrow('it is not there');
  // Nothing of all that has the tag.
  write('ini/a.ini', '[source_db]');
  await expect(build({ config: 'ini/a.ini' }, 'other')).rejects.toThrow("Missing sections: {'target_db'}");
  expect(ImageLayout.find(join(folder, 'other'))).toBeUndefined();
});

test.each([
  ['an include', { 'a.yaml': '- include: {file: sub/b.yaml}', 'sub/b.yaml': '- include: {file: a.yaml}' }],
  ['an includeAll', { 'a.yaml': '- includeAll: {path: sub}', 'sub/b.yaml': '- includeAll: {path: sub}' }],
])('a changelog that comes back to itself by %s is refused', async (_, files) => {
  for (const [path, include] of Object.entries(files)) write(path, `databaseChangeLog:\n  ${include}\n`);
  write('a.ini', ini('liquibase_changelog_path = a.yaml'));
  await expect(build({ config: 'a.ini', base: await writeBase() })).rejects.toThrow(
    /the changelog includes itself: a\.yaml → sub\/b\.yaml → (a|sub\/b)\.yaml/,
  );
});

test('a changelog that is included twice goes in once', async () => {
  write('a.yaml', 'databaseChangeLog: [{include: {file: b.yaml}}, {include: {file: c.yaml}}]');
  write('b.yaml', 'databaseChangeLog: [{include: {file: c.yaml}}]');
  write('c.yaml', 'databaseChangeLog: []');
  write('a.ini', ini('liquibase_changelog_path = a.yaml'));
  expect((await build({ config: 'a.ini', base: await writeBase() })).changelogFiles).toBe(3);
});

test('a changelog that a URL answers, with what it includes', async () => {
  const answers: Record<string, string> = {
    '/x/changelog.yaml': 'databaseChangeLog: [{include: {file: sub/a b.sql, relativeToChangelogFile: true}}]',
    '/x/sub/a%20b.sql': 'select 1;',
    '/x/folder.yaml': 'databaseChangeLog: [{includeAll: {path: sub}}]',
  };
  const server = createServer((request, response) => {
    if (request.url === '/x/endless.yaml') {
      const pieces = Readable.from(
        (function* () {
          for (;;) yield Buffer.alloc(1 << 20, '#');
        })(),
      );
      return void pipeline(pieces, response, () => undefined);
    }
    const text = answers[request.url!];
    response.writeHead(text === undefined ? 404 : 200).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/x`;
    const base = await writeBase();
    write('a.ini', ini(`liquibase_changelog_url = ${url}/changelog.yaml`));
    await build({ config: 'a.ini', base });
    const { changelog } = await openArtifact('shop-db', { env: {}, store: join(folder, 'store') });
    expect(changelog?.files.map(({ path }) => path)).toEqual(['changelog.yaml', 'sub/a b.sql']);
    write('a.ini', ini(`liquibase_changelog_url = ${url}/folder.yaml`));
    await expect(build({ config: 'a.ini', base })).rejects.toThrow('a URL cannot be listed');
    write('a.ini', ini(`liquibase_changelog_url = ${url}/endless.yaml`));
    await expect(build({ config: 'a.ini', base })).rejects.toThrow(
      'endless.yaml has more than 268435456 bytes',
    );
    write('a.ini', ini(`liquibase_changelog_url = ${url}/no.yaml`));
    await expect(build({ config: 'a.ini', base })).rejects.toThrow('it answers 404');
  } finally {
    server.close();
  }
});

test('what is not part of a changelog does not go in: other files of its folders, and links out of them', async () => {
  writeProject('p');
  write('p/db/more/liquibase.properties', 'password=geheim');
  write('p/db/more/.env', 'DB_PASSWORD=geheim');
  const options = { config: join(folder, 'p/artifact-config.ini'), tag: 'shop:1', base: await writeBase() };
  const environment = { env: {}, store: join(folder, 'store') };
  await buildArtifact({ ...options, node: 'base' }, environment);
  const { changelog } = await openArtifact('shop:1', environment);
  expect(changelog!.files.map(({ path }) => path)).toEqual(FILES);

  write('elsewhere', 'select 1;');
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'p/db/more/link.sql'));
  await expect(buildArtifact({ ...options, node: 'base' }, environment)).rejects.toThrow(
    `link.sql is a link out of ${join(folder, 'p')}`,
  );
  // Within the folder a link is as good as a file.
  rmSync(join(folder, 'p/db/more/link.sql'));
  symlinkSync('../unused.sql', join(folder, 'p/db/more/link.sql'));
  expect((await buildArtifact({ ...options, node: 'base' }, environment)).changelogFiles).toBe(6);
});

test('a layer that was damaged in the store is written anew, and another artifact’s is not asked', async () => {
  writeProject('p');
  const options = {
    config: join(folder, 'p/artifact-config.ini'),
    base: await writeBase(),
    node: 'base',
  } as const;
  const environment = { env: {}, store: join(folder, 'store') };
  const { digest, layers } = await buildArtifact({ ...options, tag: 'shop:1' }, environment);
  const damage = (blob: string) => {
    const path = join(folder, 'store/blobs/sha256', blob.slice('sha256:'.length));
    writeFileSync(path, readFileSync(path).fill(0, 0, 5));
  };
  for (const layer of layers) damage(layer.digest);
  damage(digest);
  expect((await buildArtifact({ ...options, tag: 'shop:2' }, environment)).digest).toBe(digest);
  for (const tag of ['shop:1', 'shop:2'])
    expect((await openArtifact(tag, environment)).changelog!.files).toHaveLength(FILES.length);
});
