import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ReferenceForm } from '../../databases/database.ts';
import { KeyRules } from './key-rules.ts';
import { referenceBases } from './reference-bases.ts';
import { ReferenceFinder } from './references.ts';

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

describe('places that are easily misread', () => {
  test.each<[ReferenceForm, string, string, string[]]>([
    [
      'value',
      'https://cdn.old.example/image/a&#39;b.png',
      'https://cdn.new.example/avatar/a&#39;b.png',
      ["image/a'b.png"],
    ],
    [
      'value',
      'https://cdn.old.example/image/a.png#39;',
      'https://cdn.new.example/avatar/a.png#39;',
      ['image/a.png'],
    ],
    ['value', 'S3://legacy-s3/image/a.png', 's3://production-s3/avatar/a.png', ['image/a.png']],
    ['value', 's3://Legacy-S3/image/a.png', 's3://Legacy-S3/image/a.png', []],
    // Lower case of this letter is two characters long.
    [
      'text',
      'İİ https://CDN.old.example/image/a.png',
      'İİ https://cdn.new.example/avatar/a.png',
      ['image/a.png'],
    ],
    [
      'text',
      'https://cdn.old.example/image/a.png?v=1,https://cdn.old.example/image/b.png',
      'https://cdn.new.example/avatar/a.png?v=1,https://cdn.new.example/avatar/b.png',
      ['image/a.png', 'image/b.png'],
    ],
    [
      'text',
      'https://other.example/image/a.png,https://cdn.old.example/image/b.png',
      'https://other.example/image/a.png,https://cdn.new.example/avatar/b.png',
      ['image/b.png'],
    ],
    [
      'text',
      'https://other.example/?u=a,https://cdn.old.example/image/b.png',
      'https://other.example/?u=a,https://cdn.old.example/image/b.png',
      [],
    ],
    ['text', 'https://other.example/w_1,image/b.png', 'https://other.example/w_1,image/b.png', []],
    ['text', 'image/a.png;/image/b.png', 'avatar/a.png;/avatar/b.png', ['image/a.png', 'image/b.png']],
    [
      'text',
      '<p data-x="{&quot;src&quot;:&quot;https://cdn.old.example/image/a.png&quot;}">',
      '<p data-x="{&quot;src&quot;:&quot;https://cdn.new.example/avatar/a.png&quot;}">',
      ['image/a.png'],
    ],
    [
      'text',
      '&lt;b&gt;https://cdn.old.example/image/a.png&lt;/b&gt;',
      '&lt;b&gt;https://cdn.new.example/avatar/a.png&lt;/b&gt;',
      ['image/a.png'],
    ],
    [
      'text',
      '&#39;https://cdn.old.example/image/a.png&#39;',
      '&#39;https://cdn.new.example/avatar/a.png&#39;',
      ['image/a.png'],
    ],
    [
      'text',
      '<a href="https://cdn.old.example/image/a.">a</a>',
      '<a href="https://cdn.new.example/avatar/a.">a</a>',
      ['image/a.'],
    ],
    [
      'text',
      '<p>at https://cdn.old.example/image/a.</p>',
      '<p>at https://cdn.new.example/avatar/a.</p>',
      ['image/a'],
    ],
    [
      'json',
      `{"image/a"${' '.repeat(500)}: "image/b"}`,
      `{"image/a"${' '.repeat(500)}: "avatar/b"}`,
      ['image/b'],
    ],
    ['json', '["image\\/a \\\\"]', '["avatar\\/a \\\\"]', ['image/a \\']],
    ['json', '["image/a\\u0026\\u003cé"]', '["avatar/a\\u0026\\u003cé"]', ['image/a&<é']],
    ['json', '["image/\\u00C9"]', '["avatar/\\u00C9"]', ['image/É']],
    // Half a surrogate pair is in no key.
    ['json', '["image/\\ud800%20", "image/a"]', '["image/\\ud800%20", "avatar/a"]', ['image/a']],
    ['value', 'image/\ud800', 'image/\ud800', []],
  ])('%s: %s', (within, value, wanted, keys) => {
    const found = finder.find(value, within);
    expect(found.map(({ sourceKey }) => sourceKey)).toEqual(keys);
    expect(finder.rewrite(value, found)).toBe(wanted);
  });

  test('a presigned URL in a list keeps its object', () => {
    const presigned = 'https://cdn.old.example/image/a.png?X-Amz-Signature=abc';
    expect(finder.findPresigned(`see ${presigned}, and`, 'text')).toEqual(['image/a.png']);
    expect(finder.findPresigned(JSON.stringify({ presigned }), 'json')).toEqual(['image/a.png']);
    expect(finder.find(JSON.stringify({ presigned }), 'json')).toEqual([]);
  });
});

test('values of many megabytes', () => {
  const long = `{"a":"${'x'.repeat(20_000_000)}","b":"image/a.png"}`;
  expect(finder.find(long, 'json').map(({ sourceKey }) => sourceKey)).toEqual(['image/a.png']);
  const list = Array.from({ length: 20_000 }, (_, i) => `image/${i}.png`);
  expect(finder.find(list.join(','), 'text').map(({ sourceKey }) => sourceKey)).toEqual(list);
  expect(finder.find('=image/'.repeat(20_000), 'text')).toEqual([]);
});

test('the bases of a region of China', () => {
  const bases = referenceBases({
    source: { bucket: 'a', region: 'cn-north-1' },
    target: { bucket: 'b', region: 'cn-north-1' },
  });
  expect(bases).toContainEqual({
    source: 'https://a.s3.cn-north-1.amazonaws.com.cn/',
    target: 'https://b.s3.cn-north-1.amazonaws.com.cn/',
  });
});

const oddKey = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...' +%&?#;=@:"\'<>/()[]{},.\\~-_'),
      fc.constantFrom(
        '%20',
        '%2F',
        '&amp;',
        '&#39;',
        '//',
        '\u0001',
        '\n',
        '😀',
        '\uff5e',
        'é',
        'e\u0301',
        'aB',
      ),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    minLength: 1,
    maxLength: 12,
  })
  .map((rest) => `image/${rest}`);

const targetOf = (sourceKey: string): string => `avatar/${sourceKey.slice('image/'.length)}`;
const rfc3986 = (key: string): string =>
  encodeURIComponent(key)
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/');
const escapeHtml = (text: string): string =>
  text.replace(
    /[&<>"']/g,
    (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c]!,
  );
const URL_STYLES: ((key: string) => string)[] = [
  (key) => key,
  rfc3986,
  (key) => encodeURI(key).replace(/[?#]/g, encodeURIComponent),
  (key) => rfc3986(key).replaceAll('%20', '+'),
];
const STYLES = URL_STYLES.flatMap((style) => [style, (key: string) => escapeHtml(style(key))]);
const LEADS = [['', ''], ['/', '/'], ...finder.bases.map(({ source, target }) => [source, target])];

test('every spelling is found as one reference and comes out in the same style', () => {
  fc.assert(
    fc.property(oddKey, (sourceKey) => {
      const spellings = finder.spellings(sourceKey);
      expect(spellings[0]).toEqual({ value: sourceKey, replacement: targetOf(sourceKey) });
      expect(new Set(spellings.map(({ value }) => value)).size).toBe(spellings.length);
      for (const { source } of finder.bases.filter(({ source }) => source.startsWith('http'))) {
        expect(spellings.map(({ value }) => value)).toContain(source + rfc3986(sourceKey));
      }
      for (const { value, replacement } of spellings) {
        const found = finder.find(value, 'value');
        expect(found.map((reference) => reference.sourceKey)).toEqual([sourceKey]);
        expect(finder.rewrite(value, found)).toBe(replacement);
        const wanted = LEADS.flatMap(([source, target]) =>
          STYLES.filter((style) => source + style(sourceKey) === value).flatMap((style) => [
            target + style(targetOf(sourceKey)),
            // A stray percent sign behind a URL is written safely.
            ...(sourceKey.includes('%') ? [target + rfc3986(targetOf(sourceKey))] : []),
          ]),
        );
        expect(wanted).toContain(replacement);
        expect(finder.find(replacement, 'value')).toEqual([]);
        expect(finder.findTargets(replacement, 'value')).toEqual([targetOf(sourceKey)]);
        expect(finder.needles().some((needle) => value.includes(needle))).toBe(true);
      }
    }),
  );
});

test('other hosts, other letters and longer names are left alone', () => {
  const host = fc.constantFrom(
    'https://cdn.old.example.evil/',
    'https://xcdn.old.example/',
    'https://evil.example/?u=https://cdn.old.example/',
    'https://evil.example/https://cdn.old.example/',
    'ftp://cdn.old.example/',
    's3://legacy-s32/',
    '//legacy-s3.s3.amazonaws.com.evil/',
  );
  fc.assert(
    fc.property(host, oddKey, (other, sourceKey) => {
      expect(finder.find(other + sourceKey, 'value')).toEqual([]);
      expect(finder.find(other + rfc3986(sourceKey), 'text')).toEqual([]);
      expect(finder.find(`I${sourceKey.slice(1)}`, 'value')).toEqual([]);
      expect(finder.find(`x${sourceKey}`, 'value')).toEqual([]);
    }),
  );
});

test('in text nothing but the reference changes', () => {
  const noise = fc.string({ unit: 'binary', maxLength: 30 }).filter((text) => !/image/i.test(text));
  const delimiters = fc.constantFrom(
    [' ', ' '],
    ['"', '"'],
    ["'", "'"],
    ['(', ')'],
    ['<a href=', '>'],
    ['\n', ', '],
  );
  const plainEnd = oddKey.filter((sourceKey) => !/[.]$/.test(sourceKey));
  fc.assert(
    fc.property(noise, delimiters, plainEnd, noise, (before, [open, close], sourceKey, after) => {
      const around = (url: string): string => `${before} ${open}${url}${close} ${after}`;
      const value = around(`https://cdn.old.example/${rfc3986(sourceKey)}?v=1`);
      const found = finder.find(value, 'text');
      expect(found.map((reference) => reference.sourceKey)).toEqual([sourceKey]);
      const after1 = finder.rewrite(value, found);
      expect(after1).toBe(around(`https://cdn.new.example/${rfc3986(targetOf(sourceKey))}?v=1`));
      expect(finder.find(after1, 'text')).toEqual([]);
    }),
  );
});

test('an array literal is rewritten as its elements are', () => {
  const literal = (elements: readonly (string | null)[]): string =>
    `{${elements.map((e) => (e === null ? 'NULL' : `"${e.replace(/["\\]/g, '\\$&')}"`)).join(',')}}`;
  fc.assert(
    fc.property(fc.array(fc.oneof(oddKey, fc.string(), fc.constant(null))), (elements) => {
      const mapped = elements.map((e) => (e?.startsWith('image/') ? targetOf(e) : e));
      expect(rewritten(literal(elements), 'array')).toBe(literal(mapped));
    }),
  );
});

test('a document with escapes is rewritten as its values are', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(oddKey, fc.integer())),
      fc.boolean(),
      fc.boolean(),
      (values, slash, code) => {
        let text = JSON.stringify({ 'image/name': values }, null, 2);
        if (slash) text = text.replaceAll('/', '\\/');
        if (code) {
          text = text.replace(
            /[&<>\u007f-\uffff]/g,
            (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
          );
        }
        const mapped = values.map((v) => (typeof v === 'string' ? targetOf(v) : v));
        const result = rewritten(text, 'json');
        expect(JSON.parse(result)).toEqual({ 'image/name': mapped });
        const name = slash ? 'image\\/name' : 'image/name';
        const sources = text.slice(text.indexOf(name) + name.length);
        expect(result.slice(result.indexOf(name) + name.length)).toBe(
          sources.replaceAll('"image', '"avatar'),
        );
      },
    ),
  );
});
