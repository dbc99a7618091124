/** What changes of rows come to. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NetRows, nameOf, type Values } from './net-rows.ts';

const KEY = [0];

describe('what changes of one row come to', () => {
  test.each<[string, (net: NetRows) => void, unknown[]]>([
    ['an insert', (net) => net.insert(['1', 'a']), [['insert', ['1', 'a']]]],
    ['an update', (net) => net.update(['1', undefined]), [['update', ['1', undefined]]]],
    ['a deletion', (net) => net.delete(['1', null]), [['delete', []]]],
    [
      'an insert and an update',
      (net) => {
        net.insert(['1', 'a']);
        net.update(['1', undefined]);
        net.update(['1', 'b']);
      },
      [['insert', ['1', 'b']]],
    ],
    [
      'an insert and a deletion',
      (net) => {
        net.insert(['1', 'a']);
        net.delete(['1', null]);
      },
      [],
    ],
    [
      'updates of other columns',
      (net) => {
        net.update(['1', 'a', undefined]);
        net.update(['1', undefined, 'b']);
      },
      [['update', ['1', 'a', 'b']]],
    ],
    [
      'an update and a deletion',
      (net) => {
        net.update(['1', 'a']);
        net.delete(['1', 'a']);
      },
      [['delete', ['1', 'a']]],
    ],
    [
      'a deletion and an insert',
      (net) => {
        net.delete(['1', null]);
        net.insert(['1', 'b']);
        net.update(['1', 'c']);
      },
      [['replace', ['1', 'c']]],
    ],
    [
      'a row that takes the key of another one',
      (net) => {
        net.delete(['2', null]);
        expect(net.move(['1', null], ['2', 'b'])).toBe(true);
      },
      [
        ['replace', ['2', 'b']],
        ['delete', []],
      ],
    ],
    [
      'a row that goes from key to key, with values that only its first change had',
      (net) => {
        net.insert(['1', 'a']);
        expect(net.move(['1', null], ['2', undefined])).toBe(true);
        expect(net.move(['2', null], ['3', undefined])).toBe(true);
      },
      [['insert', ['3', 'a']]],
    ],
  ])('%s', (_, change, expected) => {
    const net = new NetRows(KEY);
    change(net);
    expect(net.take().map(({ kind, values }) => [kind, values])).toEqual(expected);
    expect([net.size, net.take()]).toEqual([0, []]);
  });

  test('a row that moves and is not whole is left to the table', () => {
    const net = new NetRows(KEY);
    net.update(['1', 'a', undefined]);
    expect(net.move(['1', null, null], ['2', 'b', undefined])).toBe(false);
    expect(net.take().map(({ kind, key }) => [kind, key])).toEqual([['update', ['1']]]);
  });

  test.each<[string, (net: NetRows) => void]>([
    ['inserted twice', (net) => twice(() => net.insert(['1', 'a']))],
    ['deleted twice', (net) => twice(() => net.delete(['1', null]))],
    [
      'changed after it was deleted',
      (net) => {
        net.delete(['1', null]);
        net.update(['1', 'b']);
      },
    ],
  ])('a row that is %s is out of order', (_, change) => {
    expect(() => change(new NetRows(KEY))).toThrow('changes a row that is not there');
  });
});

test('whatever is done, it comes to what the table holds in the end', () => {
  const change = fc.record({
    kind: fc.integer({ min: 0, max: 3 }),
    key: fc.integer({ min: 0, max: 5 }),
    to: fc.integer({ min: 0, max: 5 }),
    b: fc.option(fc.string(), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), fc.integer({ min: 1, max: 7 }), (changes, every) => {
      const source = new Map<string, Values>([0, 1, 2].map((key) => [String(key), [String(key), 'a', 'b']]));
      const target = new Map(source);
      const net = new NetRows(KEY);
      for (const [i, { kind, key: number, to, b }] of changes.entries()) {
        const key = String(number);
        const there = source.get(key);
        if (kind === 0 && there === undefined) {
          source.set(key, [key, `i${i}`, b ?? null]);
          net.insert(source.get(key)!);
        } else if (kind === 1 && there !== undefined) {
          source.set(key, [key, `u${i}`, b ?? there[2]]);
          net.update([key, `u${i}`, b]);
        } else if (kind === 2 && there !== undefined) {
          source.delete(key);
          net.delete([key, null, null]);
        } else if (kind === 3 && there !== undefined && !source.has(String(to))) {
          source.delete(key);
          source.set(String(to), [String(to), `m${i}`, there[2]]);
          if (!net.move([key, null, null], [String(to), `m${i}`, undefined])) {
            apply(net, target);
            target.set(String(to), [String(to), `m${i}`, target.get(key)![2]]);
            target.delete(key);
          }
        }
        if (i % every === 0) apply(net, target);
      }
      apply(net, target);
      expect(Object.fromEntries(target)).toEqual(Object.fromEntries(source));
    }),
  );
});

function twice(work: () => void): void {
  work();
  work();
}

/** Deletions first, then updates, then inserts, each of which must find what it is about. */
function apply(net: NetRows, target: Map<string, Values>): void {
  const rows = net.take();
  for (const { key } of rows.filter(({ kind }) => kind === 'delete'))
    expect(target.delete(nameOf(key))).toBe(true);
  for (const { key, values } of rows.filter(({ kind }) => kind === 'update' || kind === 'replace')) {
    const before = target.get(nameOf(key));
    expect(before).toBeDefined();
    target.set(
      nameOf(key),
      values.map((value, i) => (value === undefined ? before![i] : value)),
    );
  }
  for (const { key, values } of rows.filter(({ kind }) => kind === 'insert')) {
    expect(target.has(nameOf(key))).toBe(false);
    target.set(nameOf(key), values);
  }
}
