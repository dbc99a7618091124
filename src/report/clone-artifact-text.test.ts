import { expect, test } from 'vitest';
import { parseArtifactConfig } from '../jobs/clone/artifact-config.ts';
import { inspectedText } from './clone-artifact-text.ts';

test('what would steer a terminal is shown, and not sent to it', () => {
  const ini =
    '[source_db]\nsource_db_cluster_id = shop\n[target_db]\nsubnet_ids = source\ninstance_type = db.r6g.large';
  const text = inspectedText({
    reference: 'shop:1',
    place: 'registry',
    digest: 'sha256:ab',
    contentDigest: 'sha256:cd',
    created: undefined,
    platform: 'linux/amd64',
    config: parseArtifactConfig(ini, 'x'),
    changelog: { entry: 'ä\u001b[2J.sql', changeSets: 1, files: [{ path: 'a\r\u202eb.sql', bytes: 1 }] },
    masking: 'a:\n\t- \u009b31m',
    layers: [],
    bytes: 0,
    labels: { title: 'x\u0007' },
  });
  expect(text).not.toMatch(/[^\P{C}\n\t]/u);
  for (const shown of [
    'begins with ä\\u{1b}[2J.sql',
    'a\\u{d}\\u{202e}b.sql',
    '\t- \\u{9b}31m',
    'title = x\\u{7}',
  ])
    expect(text).toContain(shown);
});

test('how long a clone lives is told as the INI file has it', () => {
  const inspected = (ttl: string) =>
    inspectedText({
      reference: 'shop:1',
      place: 'store',
      digest: 'sha256:ab',
      contentDigest: 'sha256:cd',
      created: undefined,
      platform: 'linux/amd64',
      config: parseArtifactConfig(
        `[source_db]\nsource_db_url = postgres://a@h/shop\n[target_db]\nttl = ${ttl}`,
        'x',
      ),
      changelog: undefined,
      masking: undefined,
      layers: [],
      bytes: 0,
      labels: {},
    });
  expect(inspected('2h')).toContain('\n  ttl: 2h 00m\n');
  expect(inspected('0')).toContain('\n  ttl: until it is dropped\n');
});
