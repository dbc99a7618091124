/** What is published and shipped: the schema, the package's files, the container's and compose's files. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { configJsonSchema } from '../src/cli/config-schema.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const read = (name: string): string => readFileSync(`${ROOT}${name}`, 'utf8');

test('the published schema is that of the program; npm run schema writes it', () => {
  expect(JSON.parse(read('longshore.schema.json'))).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
});

test('the schema refuses what the program refuses', () => {
  const { properties } = configJsonSchema() as {
    properties: { move: { additionalProperties: { required: string[]; additionalProperties: boolean } } };
  };
  expect(properties.move.additionalProperties.required).toEqual(['from', 'to']);
  expect(properties.move.additionalProperties.additionalProperties).toBe(false);
});

test('the container copies only what there is', () => {
  for (const line of read('Dockerfile').split('\n')) {
    const match = /^COPY (?!--from)(.+) \S+$/.exec(line);
    for (const source of match?.[1]?.split(' ') ?? [])
      expect(existsSync(`${ROOT}${source}`), source).toBe(true);
  }
});

test('compose names services, images and variables that there are', () => {
  const { services, volumes } = parse(read('compose.yaml')) as {
    services: Record<
      string,
      {
        image?: string;
        build?: string;
        environment: Record<string, string>;
        volumes: string[];
        depends_on?: Record<string, unknown>;
      }
    >;
    volumes: Record<string, unknown>;
  };
  expect(Object.keys(services)).toEqual(['postgres', 's3', 'longshore']);
  const known =
    read('src/config/script-environment.ts') +
    read('src/config/s3-environment.ts') +
    read('src/stores/s3/credentials.ts');
  for (const name of Object.keys(services['longshore']!.environment)) expect(known).toContain(name);
  for (const service of Object.values(services)) {
    expect(service.image ?? service.build).toBeDefined();
    for (const volume of service.volumes) {
      const source = volume.split(':')[0]!;
      expect(source.startsWith('./') ? existsSync(`${ROOT}${source}`) : source in volumes, source).toBe(true);
    }
  }
});

test('the package holds the program and its types, and no tests', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [packed] = JSON.parse(output) as [{ files: { path: string }[] }];
  const paths = packed.files.map((file) => file.path);
  expect(paths).toContain('bin/longshore.mjs');
  expect(paths).toContain('longshore.schema.json');
  expect(paths.filter((path) => /\.test\.|^test\/|^src\/|^bench\//.test(path))).toEqual([]);
});

test('the program starts on a Node.js that is too old, to fetch a newer one or to say so', () => {
  // A name that the old one does not have ends the start before its first line.
  expect(read('bin/longshore.mjs')).not.toMatch(/import \{[^}]*\} from 'node:module'/);
});
