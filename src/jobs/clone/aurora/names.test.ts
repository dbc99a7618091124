import { expect, test } from 'vitest';
import { clusterNameProblem, defaultCloneName, ownerOf, stackNameProblem, tagValue } from './names.ts';

test('a default name tells artifact, mode and owner, and is legal whatever they are', () => {
  expect(defaultCloneName('shop-db:latest', 'clone', 'fred')).toBe('shop-db-clone-fred');
  expect(defaultCloneName('reg.example:5000/team/shop_db@sha256:ab', 'create', 'Fred@Host')).toBe(
    'shop-db-create-fred-host',
  );
  expect(defaultCloneName('9lives:1', 'clone', '---')).toBe('c-9lives-clone');
  const long = (owner: string) => defaultCloneName('shop', 'clone', 'x'.repeat(80) + owner);
  expect(long('a')).not.toBe(long('b'));
  for (const name of [
    long('a'),
    defaultCloneName('a--b-', 'clone', '-'),
    defaultCloneName('ü', 'clone', 'é'),
  ])
    expect(clusterNameProblem(name), name).toBeUndefined();
});

test.each([
  ['shop-test', undefined],
  ['a'.repeat(63), undefined],
  ['', 'has 0 characters'],
  ['a'.repeat(64), 'has 64 characters'],
  ['1shop', 'does not begin'],
  ['shop_test', 'something else'],
  ['shop--test', 'two hyphens'],
  ['shop-', 'ends with'],
])('%s is a cluster’s name: %s', (name, problem) => {
  if (problem === undefined) expect(clusterNameProblem(name)).toBeUndefined();
  else expect(clusterNameProblem(name)).toContain(problem);
});

test('stacks have names of their own rules', () => {
  expect(stackNameProblem('longshore-shop--x-')).toBeUndefined();
  for (const name of ['a'.repeat(129), '1a', 'a_b', '']) expect(stackNameProblem(name)).toBeDefined();
});

test.each([
  ['arn:aws:iam::123456789012:user/team/fred', 'fred'],
  ['arn:aws:iam::123456789012:root', 'root'],
  ['arn:aws:sts::123456789012:assumed-role/Developer/fred@example.test', 'fred@example.test'],
  ['arn:aws:sts::123456789012:assumed-role/Developer/aws-sdk-js-1700000000000', 'Developer'],
  ['arn:aws:sts::123456789012:assumed-role/Developer/botocore-session-1700000000', 'Developer'],
])('the owner of %s is %s', (arn, owner) => expect(ownerOf(arn)).toBe(owner));

test('a tag takes what AWS takes', () => {
  expect(tagValue('fred#<x>')).toBe('fred__x_');
  expect(tagValue('x'.repeat(300))).toHaveLength(256);
});
