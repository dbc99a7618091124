import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareKeys } from '../../stores/key-order.ts';
import { joinByKey, NameIndex } from './name-index.ts';

const object = (key: string) => ({
  key,
  sizeBytes: 1,
  etag: 'e',
  lastModifiedMs: 0,
  storageClass: 'STANDARD',
});

describe('NameIndex', () => {
  test('gives keys in the order of their UTF-8 bytes, with how many rows name each', () => {
    using index = new NameIndex();
    for (const [i, key] of ['b', '😀', '～', 'a', 'b', 'é'].entries()) {
      index.add(key, { column: 0, primaryKey: [String(i)] });
    }
    index.seal();
    expect([...index.keys()].map(({ key, rows }) => [key, rows])).toEqual([
      ['a', 1],
      ['b', 2],
      ['é', 1],
      ['～', 1],
      ['😀', 1],
    ]);
    expect([...index.rowsOf('b')]).toEqual([
      { column: 0, primaryKey: ['0'] },
      { column: 0, primaryKey: ['4'] },
    ]);
  });

  test('cuts a span inside a prefix, whatever the span reaches beyond', () => {
    using index = new NameIndex();
    for (const key of ['a', 'image/', 'image/1', 'image/2', 'image0', 'z']) {
      index.add(key, { column: 0, primaryKey: [] });
    }
    index.seal();
    const keys = (span: { after?: string; upTo?: string }) =>
      [...index.keys('image/', span)].map(({ key }) => key);
    expect(keys({})).toEqual(['image/', 'image/1', 'image/2']);
    expect(keys({ after: 'image/' })).toEqual(['image/1', 'image/2']);
    expect(keys({ after: 'image/1', upTo: 'zz' })).toEqual(['image/2']);
    expect(keys({ upTo: 'image/1' })).toEqual(['image/', 'image/1']);
    expect(keys({ after: 'a', upTo: 'b' })).toEqual([]);
  });

  test('two spans may be read at once, and what is absent noted meanwhile', () => {
    using index = new NameIndex();
    for (let i = 0; i < 3000; i++) index.add(`k${i}`, { column: 0, primaryKey: [String(i)] });
    index.seal();
    const one = index.keys('k1');
    const other = index.keys('k2');
    expect(one.next().value).toEqual({ key: 'k1', rows: 1 });
    expect(other.next().value).toEqual({ key: 'k2', rows: 1 });
    index.addAbsent('k5');
    expect(one.next().value).toEqual({ key: 'k10', rows: 1 });
    expect([...index.absent(10)]).toEqual([['k5']]);
    expect([...index.pages(1000)].map((page) => page.length)).toEqual([1000, 1000, 1000]);
    expect(index.splitPoints(10).length).toBe(10);
  });
});

test('a join by key is the outer join of the two sets', () => {
  const keys = fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }), { maxLength: 20 });
  fc.assert(
    fc.property(keys, keys, (stored, named) => {
      const objects = [...stored].sort(compareKeys).map(object);
      const names = [...named].sort(compareKeys).map((key) => ({ key, rows: 1 }));
      const joined = [...joinByKey(objects, names)];
      const union = [...new Set([...stored, ...named])].sort(compareKeys);
      expect(joined.map(({ key }) => key)).toEqual(union);
      for (const { key, object: found, rows } of joined) {
        expect(found !== undefined).toBe(stored.includes(key));
        expect(rows).toBe(named.includes(key) ? 1 : 0);
      }
    }),
  );
});
