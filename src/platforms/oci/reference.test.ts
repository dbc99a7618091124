import { expect, test } from 'vitest';
import { parseImageReference, referenceText, withTag } from './reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test.each([
  ['registry.example/team/shop-db:1.4', 'registry.example', 'team/shop-db', '1.4', true],
  ['registry.example:5000/shop', 'registry.example:5000', 'shop', 'latest', true],
  ['localhost/shop:x', 'localhost', 'shop', 'x', true],
  ['127.0.0.1:5000/a/b__c:x', '127.0.0.1:5000', 'a/b__c', 'x', true],
  ['[::1]:5000/a', '[::1]:5000', 'a', 'latest', true],
  ['shop-db:1', 'docker.io', 'library/shop-db', '1', false],
  ['team/shop-db', 'docker.io', 'team/shop-db', 'latest', false],
  ['docker.io/node:24', 'docker.io', 'library/node', '24', true],
])('%s', (text, registry, repository, tag, isExplicit) => {
  expect(parseImageReference(text)).toEqual({ registry, repository, tag, isExplicit, digest: undefined });
});

test('a digest goes before the tag', () => {
  const reference = parseImageReference(`registry.example/shop:1@${DIGEST}`);
  expect(reference).toMatchObject({ tag: '1', digest: DIGEST });
  expect(referenceText(reference)).toBe(`registry.example/shop@${DIGEST}`);
});

test.each([
  '',
  'Shop',
  'a//b',
  'shop:',
  'shop: x',
  'https://registry.example/shop',
  'a b',
  '../a',
  `a@sha256:1`,
  'a:-x',
])('"%s" is refused', (text) => {
  expect(() => parseImageReference(text)).toThrow('as the name of an image');
});

test('a tag that is left out is latest', () => {
  expect(withTag('shop-db')).toBe('shop-db:latest');
  expect(withTag('shop-db:2')).toBe('shop-db:2');
  expect(withTag('registry.example:5000/shop')).toBe('registry.example:5000/shop:latest');
  expect(() => withTag(`shop@${DIGEST}`)).toThrow('it names a digest');
});
