import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { FROM, keysOf, moveWorld, put, TO } from '../../../test/worlds/move-world.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { settingsRules } from './key-rules.ts';
import { checkNamesApart } from './overlap.ts';
import { move } from './run.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-overlap-'));
  return () => rmSync(folder, { recursive: true, force: true });
});

const OVERLAP = expect.objectContaining({ code: 'LOCATIONS_OVERLAP' });

function check(from: string, to: string, env: Record<string, string> = {}): void {
  const [source, target] = [parseStoreUrl(from), parseStoreUrl(to)];
  checkNamesApart(source, target, settingsRules([], source.prefix, target.prefix), env);
}

test('folders are compared as what they lead to', () => {
  mkdirSync(join(folder, 'real/sub'), { recursive: true });
  symlinkSync(join(folder, 'real'), join(folder, 'link'));
  const url = (path: string) => `file://${folder}/${path}`;
  expect(() => check(url('real/'), url('link/'))).toThrow(OVERLAP);
  expect(() => check(url('real/'), url('real/sub/'))).toThrow(OVERLAP);
  expect(() => check(url('link/sub/'), url('real/'))).toThrow(OVERLAP);
  expect(() => check(url('link/not-yet/'), url('real/not-yet/deeper/'))).toThrow(OVERLAP);
  expect(() => check(url('real/a'), url('real/b'))).not.toThrow();
  expect(() => check(url('real/'), url('reality/'))).not.toThrow();
});

test('an endpoint counts, whether the URL or the environment names it', () => {
  const env = { AWS_ENDPOINT_URL: 'http://127.0.0.1:9000/' };
  expect(() => check(FROM, `${FROM}?endpoint=http://127.0.0.1:9000`, env)).toThrow(OVERLAP);
  expect(() => check(FROM, `${FROM}sub/`, env)).toThrow(OVERLAP);
  expect(() => check(FROM, `${FROM}?endpoint=http://127.0.0.1:9001`, env)).not.toThrow();
  expect(() => check('s3://one/a/', 's3://one/b/')).not.toThrow();
});

test.each(['proven', 'never'] as const)(
  'one bucket is not moved onto itself, however its endpoint is spelled, with --delete %s',
  async (when) => {
    await using world = await moveWorld();
    await put(world.legacy, 'image/a');
    const elsewhere = world.s3.url.replace('127.0.0.1', 'localhost');
    for (const to of [`${FROM}?endpoint=${elsewhere}`, `${FROM}deeper/?endpoint=${elsewhere}`]) {
      await expect(move({ from: FROM, to, delete: when }, world.environment)).rejects.toThrow(OVERLAP);
    }
    expect(await keysOf(world.legacy)).toEqual(['image/a']);
  },
);

test('a pattern concerns what is under --from alone, and leads under --to alone', async () => {
  await using world = await moveWorld();
  await put(world.legacy, 'image/a.png');
  await put(world.legacy, 'invoices/a.png');
  const rules = [{ pattern: '(?:image|invoices)/(.*)\\.png', replacement: 'avatar/$1.png' }];
  const summary = await move({ from: FROM, to: TO, rules, delete: 'proven' }, world.environment);
  expect(summary.total.objects.copied).toBe(1);
  expect(await keysOf(world.legacy)).toEqual(['invoices/a.png']);
  const wrong = (pattern: string, replacement: string) =>
    move({ from: FROM, to: TO, rules: [{ pattern, replacement }] }, world.environment);
  await expect(wrong('image/(.*)', 'x/$1')).rejects.toThrow('leads out of "avatar/"');
  await expect(wrong('other/(.*)', 'avatar/$1')).rejects.toThrow('matches no key under "image/"');
});
