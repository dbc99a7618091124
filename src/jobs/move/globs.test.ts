import { expect, test } from 'vitest';
import { globFilter } from './globs.ts';

const keys = (filter: (key: string) => boolean, ...all: string[]) => all.filter(filter);

test('nothing given selects everything', () => {
  expect(globFilter([], [])('any/key')).toBe(true);
});

test('a star stays within a segment, two cross', () => {
  const all = ['image/a.png', 'image/b/a.png', 'image/a.jpg', 'other/a.png'];
  expect(keys(globFilter(['image/*.png'], []), ...all)).toEqual(['image/a.png']);
  expect(keys(globFilter(['image/**.png'], []), ...all)).toEqual(['image/a.png', 'image/b/a.png']);
  expect(keys(globFilter(['**'], ['image/**']), ...all)).toEqual(['other/a.png']);
});

test('an exclude goes over an include, and any include is enough', () => {
  const filter = globFilter(['a/*', 'b/*'], ['*/secret']);
  expect(keys(filter, 'a/1', 'b/1', 'c/1', 'a/secret')).toEqual(['a/1', 'b/1']);
});

test('every other character stands for itself, and the whole key is compared', () => {
  const odd = 'a.b+c(d)[e]{f}|g^h$i\\j';
  expect(globFilter([odd], [])(odd)).toBe(true);
  expect(globFilter([odd], [])(odd.replace('.', 'x'))).toBe(false);
  expect(globFilter(['a'], [])('ab')).toBe(false);
  expect(globFilter(['A'], [])('a')).toBe(false);
});

test('characters are whole characters, line ends among them', () => {
  expect(globFilter(['?.png'], [])('😀.png')).toBe(true);
  expect(globFilter(['?.png'], [])('/.png')).toBe(false);
  expect(globFilter(['a*'], [])('a\nb')).toBe(true);
  expect(globFilter(['a**'], [])('a/\n')).toBe(true);
});
