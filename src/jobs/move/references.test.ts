import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ReferenceForm } from '../../databases/database.ts';
import { KeyRules } from './key-rules.ts';
import { ReferenceFinder, referenceBases } from './references.ts';

const finder = new ReferenceFinder({
  rules: new KeyRules([{ kind: 'prefix', from: 'image/', to: 'avatar/' }]),
  bases: referenceBases({
    source: { bucket: 'legacy-s3', region: 'eu-west-1' },
    target: { bucket: 'production-s3', region: 'eu-west-1' },
    urls: [{ source: 'https://cdn.old.example/', target: 'https://cdn.new.example/' }],
  }),
});

function rewritten(value: string, within: ReferenceForm = 'value'): string {
  return finder.rewrite(value, finder.find(value, within));
}

describe('a value that is one reference', () => {
  test.each([
    ['image/a.png', 'avatar/a.png'],
    ['/image/a.png', '/avatar/a.png'],
    ['s3://legacy-s3/image/a b?.png', 's3://production-s3/avatar/a b?.png'],
    ['https://cdn.old.example/image/a.png', 'https://cdn.new.example/avatar/a.png'],
    ['HTTPS://CDN.Old.example/image/a.png?v=3#top', 'https://cdn.new.example/avatar/a.png?v=3#top'],
    [
      'https://legacy-s3.s3.amazonaws.com/image/a%20b.png',
      'https://production-s3.s3.amazonaws.com/avatar/a%20b.png',
    ],
    [
      'https://s3.eu-west-1.amazonaws.com/legacy-s3/image/a.png',
      'https://s3.eu-west-1.amazonaws.com/production-s3/avatar/a.png',
    ],
    [
      '//legacy-s3.s3.eu-west-1.amazonaws.com/image/a.png',
      '//production-s3.s3.eu-west-1.amazonaws.com/avatar/a.png',
    ],
    ['https://cdn.old.example/image%2Fa.png', 'https://cdn.new.example/avatar%2Fa.png'],
  ])('%s', (value, wanted) => expect(rewritten(value)).toBe(wanted));

  test.each([
    'Image/a.png',
    'images/a.png',
    'x/image/a.png',
    ' image/a.png',
    'avatar/a.png',
    'https://other.example/image/a.png',
    'https://cdn.old.example.evil.example/image/a.png',
    'https://evil.example/?u=https://cdn.old.example/image/a.png',
    'https://cdn.old.example/avatar/a.png',
    's3://legacy-s3-other/image/a.png',
    '',
  ])('%j is left alone', (value) => expect(finder.find(value, 'value')).toEqual([]));

  test('a key that looks encoded is read as it stands first, and decoded second', () => {
    const [reference] = finder.find('image/a%20b.png', 'value');
    expect(reference?.sourceKey).toBe('image/a%20b.png');
    expect(reference?.alternatives?.map((a) => [a.sourceKey, a.replacement])).toEqual([
      ['image/a b.png', 'avatar/a%20b.png'],
    ]);
  });

  test('a key that looks escaped likewise', () => {
    const [reference] = finder.find('image/a&amp;b.png', 'value');
    expect(reference?.alternatives?.map((a) => [a.sourceKey, a.replacement])).toEqual([
      ['image/a&b.png', 'avatar/a&amp;b.png'],
    ]);
  });

  test('a presigned URL is told apart and not rewritten', () => {
    const value = 'https://cdn.old.example/image/a.png?X-Amz-Expires=60&X-Amz-Signature=abc';
    expect(finder.find(value, 'value')).toEqual([]);
    expect(finder.findPresigned(value, 'value')).toEqual(['image/a.png']);
  });
});

describe('inside documents', () => {
  test('a JSON document changes in its string values only', () => {
    const value =
      '{"image/a.png": "image/a.png", "n": 1.0, "big": 1e400, "u": ["https:\\/\\/cdn.old.example\\/image\\/b.png"], "other": "https://x.example/image/a.png"}';
    expect(rewritten(value, 'json')).toBe(
      '{"image/a.png": "avatar/a.png", "n": 1.0, "big": 1e400, "u": ["https:\\/\\/cdn.new.example\\/avatar\\/b.png"], "other": "https://x.example/image/a.png"}',
    );
  });

  test('escapes are read and written in kind', () => {
    expect(rewritten('["image/\\u00e9.png"]', 'json')).toBe('["avatar/\\u00e9.png"]');
    expect(rewritten('["image/\\ud83d\\ude00.png"]', 'json')).toBe('["avatar/\\ud83d\\ude00.png"]');
    expect(rewritten('["image/a\\"b.png"]', 'json')).toBe('["avatar/a\\"b.png"]');
  });

  test('prose in a JSON string: URLs, not bare words', () => {
    expect(
      rewritten('{"html": "see <img src=\\"https://cdn.old.example/image/a.png\\"> image/b.png"}', 'json'),
    ).toBe('{"html": "see <img src=\\"https://cdn.new.example/avatar/a.png\\"> image/b.png"}');
  });

  test('what is not JSON has no references', () =>
    expect(finder.find('{"a": image/a.png', 'json')).toEqual([]));

  test('an array literal', () => {
    expect(rewritten('{image/a.png,"image/b c.png",NULL,other}', 'array')).toBe(
      '{avatar/a.png,"avatar/b c.png",NULL,other}',
    );
    expect(rewritten('{{"image/\\"q\\".png"},{x}}', 'array')).toBe('{{"avatar/\\"q\\".png"},{x}}');
  });
});

describe('in text', () => {
  test.each([
    [
      '<img src="https://cdn.old.example/image/a.png?w=1&amp;h=2">',
      '<img src="https://cdn.new.example/avatar/a.png?w=1&amp;h=2">',
    ],
    ['see https://cdn.old.example/image/a.png, please.', 'see https://cdn.new.example/avatar/a.png, please.'],
    ['(image/a.png)', '(avatar/a.png)'],
    ['<a href=/image/a.png>', '<a href=/avatar/a.png>'],
    ['![x](https://cdn.old.example/image/a.png)', '![x](https://cdn.new.example/avatar/a.png)'],
  ])('%s', (value, wanted) => expect(rewritten(value, 'text')).toBe(wanted));

  test.each([
    'https://other.example/image/a.png',
    'https://other.example/?u=https://cdn.old.example/image/a.png',
    'myimage/a.png and reimage/b.png',
  ])('%s is left alone', (value) => expect(rewritten(value, 'text')).toBe(value));
});

const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).map((rest) => `image/${rest}`);

test('any key, bare or as a URL, is found as itself and comes out under the target', () => {
  fc.assert(
    fc.property(key, (sourceKey) => {
      const target = `avatar/${sourceKey.slice('image/'.length)}`;
      const [bare] = finder.find(sourceKey, 'value');
      expect([bare?.sourceKey, bare?.replacement]).toEqual([sourceKey, target]);
      const url = `https://cdn.old.example/${encodeURIComponent(sourceKey).replaceAll('%2F', '/')}`;
      const [encoded] = finder.find(url, 'value');
      expect(encoded?.sourceKey).toBe(sourceKey);
      expect(decodeURIComponent(encoded!.replacement)).toBe(`https://cdn.new.example/${target}`);
      const [raw] = finder.find(`s3://legacy-s3/${sourceKey}`, 'value');
      expect(raw?.replacement).toBe(`s3://production-s3/${target}`);
    }),
  );
});

test('a document is rewritten as its values are', () => {
  const leaf = fc.oneof(key, fc.string(), fc.integer(), fc.constant(null));
  const tree = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.array(tie('node'), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie('node'), { maxKeys: 4 }),
    ),
  })).node;
  const mapped = (value: unknown): unknown => {
    if (typeof value === 'string') return value.startsWith('image/') ? `avatar/${value.slice(6)}` : value;
    if (Array.isArray(value)) return value.map(mapped);
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, mapped(v)]));
    return value;
  };
  fc.assert(
    fc.property(tree, (document) => {
      const text = JSON.stringify(document);
      expect(JSON.parse(rewritten(text, 'json'))).toEqual(mapped(JSON.parse(text)));
    }),
  );
});

test('needles stand in every spelling', () => {
  expect(finder.needles()).toEqual(['image']);
});

test('target references', () => {
  expect(finder.findTargets('avatar/a.png', 'value')).toEqual(['avatar/a.png']);
  expect(finder.findTargets('https://cdn.new.example/avatar/a.png', 'value')).toEqual(['avatar/a.png']);
  expect(finder.findTargets('image/a.png', 'value')).toEqual([]);
});
