import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bareEtag,
  decodeUrlKey,
  decodeXml,
  elements,
  elementText,
  encodeXml,
  isWhole,
  parseContents,
} from './xml.ts';

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';

describe('text', () => {
  test('what is encoded is decoded to the same, control characters included', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => decodeXml(encodeXml(text)) === text));
  });

  test('what is encoded holds nothing that XML 1.0 cannot', () => {
    const text = encodeXml('\u0000\u0008\u001f\ufffe\uffff\r\n\t<>&"\'');
    expect(text).toMatch(/^[\x20-\x7e]*$/);
    expect(text.replaceAll(/&#x[0-9a-f]+;/g, '')).toBe('');
  });

  test('named, decimal and hexadecimal references are decoded once', () => {
    expect(decodeXml('&lt;&gt;&amp;&quot;&apos;&#65;&#x1F600;&amp;lt;')).toBe('<>&"\'A😀&lt;');
    expect(decodeXml('&unknown; & plain')).toBe('&unknown; & plain');
  });

  test('an element is found by its whole name', () => {
    const xml = '<A><KeyCount>3</KeyCount><Key>a&amp;b</Key><Key>c</Key><Empty/></A>';
    expect(elementText(xml, 'Key')).toBe('a&b');
    expect(elementText(xml, 'Empty')).toBeUndefined();
    expect([...elements(xml, 'Key')]).toEqual(['a&amp;b', 'c']);
    expect([...elements('<Key>a</Key><Key>cut', 'Key')]).toEqual(['a']);
  });

  test('an ETag loses its quotes', () => {
    expect(bareEtag('"abc-2"')).toBe('abc-2');
    expect(bareEtag('abc')).toBe('abc');
  });
});

describe('whole answers', () => {
  const whole = `${HEAD}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Prefix/><Contents><Key>a/b</Key><Owner/></Contents><IsTruncated>false</IsTruncated></ListBucketResult>`;

  test('are whole; empty ones too', () => {
    expect(isWhole(whole, 'ListBucketResult')).toBe(true);
    expect(isWhole(`${HEAD}<ListBucketResult/>`, 'ListBucketResult')).toBe(true);
    expect(isWhole(`${HEAD}<Tagging xmlns="x" />\n`, 'Tagging')).toBe(true);
    expect(isWhole('   <CopyObjectResult><ETag>"a"</ETag></CopyObjectResult>', 'CopyObjectResult')).toBe(
      true,
    );
  });

  test('cut at any place are not, behind an empty element neither', () => {
    for (let length = 0; length < whole.length; length++) {
      expect(isWhole(whole.slice(0, length), 'ListBucketResult'), whole.slice(0, length)).toBe(false);
    }
  });

  test('of another kind are not', () => {
    expect(isWhole(`${HEAD}<Error><Code>SlowDown</Code></Error>`, 'CopyObjectResult')).toBe(false);
    expect(isWhole('', 'CopyObjectResult')).toBe(false);
  });
});

describe('listings', () => {
  const item = (key: string, rest = '') =>
    `<Contents><Key>${key}</Key><LastModified>2024-05-01T10:20:30.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>42</Size>${rest}</Contents>`;
  const facts = { sizeBytes: 42, etag: 'e', lastModifiedMs: Date.UTC(2024, 4, 1, 10, 20, 30) };

  test('are read item by item', () => {
    const xml =
      item('a') +
      item('b&amp;c', '<StorageClass>GLACIER</StorageClass>') +
      item('d').replaceAll('&quot;', '"');
    expect(parseContents(xml, (key) => key)).toEqual([
      { key: 'a', ...facts, storageClass: 'STANDARD' },
      { key: 'b&c', ...facts, storageClass: 'GLACIER' },
      { key: 'd', ...facts, storageClass: 'STANDARD' },
    ]);
  });

  test('take no field of the next item for one that is missing', () => {
    const [first] = parseContents(item('a').replace(/<ETag>.*<\/ETag>/, '') + item('b'), (key) => key);
    expect(first?.etag).toBe('');
  });

  test('in URL encoding: a plus is a space where the store says so, and else a plus', () => {
    expect(decodeUrlKey('a+b%2Bc%20d%C3%A9', true)).toBe('a b+c dé');
    expect(decodeUrlKey('a+b%2Bc%20d', false)).toBe('a+b+c d');
    expect(decodeUrlKey('plain/key.png', true)).toBe('plain/key.png');
  });
});
