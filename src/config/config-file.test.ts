import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseBytes } from './bytes.ts';
import { CONFIG_FILE, readJob } from './config-file.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { databaseFromEnvironment, moveFromEnvironment } from './script-environment.ts';
import { parseStoreUrl } from './store-url.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-config-'));
  file = join(folder, 'longshore.yaml');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('longshore.yaml', () => {
  test('the only job needs no name; variables are filled in', () => {
    writeFileSync(
      file,
      'move:\n  avatars:\n    from: s3://a/x/\n    rows: postgres://me:${PW}@db/prod#t.c\n',
    );
    expect(readJob(file, 'move', undefined, { PW: 's3cret' })).toEqual({
      from: 's3://a/x/',
      rows: 'postgres://me:s3cret@db/prod#t.c',
    });
  });

  test.each([
    ['move: [', undefined, /cannot read/],
    ['moves: {}', undefined, /Unrecognized key/],
    ['move: {a: {}, b: {}}', undefined, /2 move jobs: a, b/],
    ['move: {a: {}}', 'c', /no move job "c"/],
    ['move: {a: {from: "${NOT_SET}"}}', 'a', /NOT_SET/],
  ])('%s', (text, name, message) => {
    writeFileSync(file, text);
    expect(() => readJob(file, 'move', name, {})).toThrow(message);
  });

  test('no file is fine as long as neither it nor a job of it is asked for', () => {
    expect(readJob(CONFIG_FILE, 'move', undefined, {})).toBeUndefined();
    expect(() => readJob(CONFIG_FILE, 'move', 'avatars', {})).toThrow(/there is no/);
    expect(() => readJob(file, 'move', undefined, {})).toThrow(/there is no/);
  });
});

describe('the environment of migration scripts', () => {
  test('buckets under both names', () => {
    const wanted = { from: 's3://old/image/', to: 's3://new/avatar/' };
    expect(moveFromEnvironment({ S3_LEGACY_BUCKET_NAME: 'old', S3_PROD_BUCKET_NAME: 'new' })).toEqual(wanted);
    expect(moveFromEnvironment({ S3_BUCKET_NAME: 'old', S3_BUCKET_NAME_PROD: 'new' })).toEqual(wanted);
    expect(moveFromEnvironment({ S3_BUCKET_NAME: 'old' })).toBeUndefined();
  });

  test('the database by a connection string, with or without a driver, or by its parts', () => {
    expect(databaseFromEnvironment({ DB_CONN_STRING: 'postgresql+psycopg2://u:p@h/d' })).toBe(
      'postgresql://u:p@h/d',
    );
    expect(databaseFromEnvironment({ DB_HOST: 'h', DB_NAME: 'd', DB_USER: 'u', DB_PASSWD: 'p@/' })).toBe(
      'postgres://u:p%40%2F@h/d',
    );
    expect(
      moveFromEnvironment({ S3_BUCKET_NAME: 'a', S3_BUCKET_NAME_PROD: 'b', DB_HOST: 'h', DB_NAME: 'd' })
        ?.rows,
    ).toBe('postgres://h/d#avatars.path');
  });
});

test('durations and sizes', () => {
  expect(['500ms', '30s', '10m', '24h', '7d'].map(parseDuration)).toEqual([
    500, 30_000, 600_000, 86_400_000, 604_800_000,
  ]);
  expect(() => parseDuration('soon')).toThrow(/duration/);
  expect(formatDuration(3_840_000)).toBe('1h 04m');
  expect(formatDuration(604_740_000)).toBe('6d 23h');
  expect(['512', '64KiB', '1.5GB'].map(parseBytes)).toEqual([512, 65_536, 1_500_000_000]);
  expect(() => parseBytes('much')).toThrow(/size/);
});

test('store URLs: prefixes are taken byte for byte', () => {
  expect(parseStoreUrl('s3://bucket/a b%20+?#/')).toMatchObject({
    kind: 's3',
    bucket: 'bucket',
    prefix: 'a b%20+?#/',
  });
  expect(parseStoreUrl('s3://bucket')).toMatchObject({ bucket: 'bucket', prefix: '' });
  expect(parseStoreUrl('s3://b-1/x/?endpoint=http://h:9000&region=eu-west-1')).toMatchObject({
    prefix: 'x/',
    endpoint: 'http://h:9000',
    region: 'eu-west-1',
  });
  expect(parseStoreUrl('file:///data/image/a')).toMatchObject({
    kind: 'files',
    folder: '/data/image/',
    prefix: 'a',
  });
  for (const bad of ['http://x/', 's3://', 's3:///x', 's3://b-1/?endpoint=x&nonsense=1', 'file://host/x']) {
    expect(() => parseStoreUrl(bad), bad).toThrow(/cannot read/);
  }
});
