import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseArtifactConfig } from './artifact-config.ts';
import { artifactOf, filesOf } from './artifact-files.ts';
import { openArtifactFolder } from './open-artifact.ts';

const INI =
  '[source_db]\nsource_db_cluster_id = fred\n[target_db]\nsubnet_ids = source\ninstance_type = db.r4.large\n';

function files(path: string): Map<string, Buffer> {
  const changelog = { entry: path, files: [{ path, bytes: Buffer.from('select 1;') }] };
  const input = { ini: INI, config: parseArtifactConfig(INI, 'a.ini'), changelog, masking: 'rules: []\n' };
  const { configuration, changelog: rest } = filesOf(input);
  return new Map([...configuration, ...rest]);
}

test('what goes in comes out', () => {
  const artifact = artifactOf(files('db/a.sql'), 'shop:1', 'sha256:x');
  expect(artifact).toMatchObject({
    reference: 'shop:1',
    digest: 'sha256:x',
    config: parseArtifactConfig(INI, 'a.ini'),
    changelog: { entry: 'db/a.sql', files: [{ path: 'db/a.sql', bytes: Buffer.from('select 1;') }] },
    masking: 'rules: []\n',
  });
  // Within the image nobody knows the digest of its manifest.
  const { digest, contentDigest } = artifactOf(files('db/a.sql'), 'shop:1', undefined);
  expect([digest, contentDigest]).toEqual([artifact.contentDigest, artifact.contentDigest]);
  expect(artifactOf(files('db/b.sql'), 'shop:1', undefined).contentDigest).not.toBe(contentDigest);
});

test('within the image it is called as its database is', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-artifact-'));
  const called = async (ini: string) => {
    writeFileSync(join(folder, 'artifact-config.ini'), ini);
    return (await openArtifactFolder(folder)).reference;
  };
  try {
    writeFileSync(join(folder, 'artifact.json'), '{}');
    expect(await called(`${INI}database_name = shop`)).toBe('shop');
    expect(await called(INI)).toBe('fred');
    expect(await called('[source_db]\nsource_db_url = postgres://db/crm\n[target_db]')).toBe('crm');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each(['../a.sql', 'a/../../b.sql', '/etc/passwd', 'a\\..\\..\\b.sql', 'c:/a.sql', 'a//b.sql'])(
  'a changelog with the path %s is refused',
  (path) => {
    expect(() => artifactOf(files(path), 'shop:1', 'x')).toThrow(`its changelog has the path ${path}`);
  },
);

test('what is missing or broken is named', () => {
  const without = (name: string) => new Map([...files('a.sql')].filter(([path]) => path !== name));
  expect(() => artifactOf(without('artifact-config.ini'), 'shop:1', 'x')).toThrow(
    'it holds no artifact-config.ini',
  );
  expect(() => artifactOf(without('changelog/a.sql'), 'shop:1', 'x')).toThrow('its changelog has no a.sql');
  const broken = new Map([...files('a.sql'), ['artifact.json', Buffer.from('{"changelog": 1}')] as const]);
  expect(() => artifactOf(broken, 'shop:1', 'x')).toThrow('cannot read artifact.json of shop:1');
});
