import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CatalogueTable, HeapSize } from './dump-catalogue.ts';
import { partQuery, planParts } from './split-parts.ts';

const MB = 1024 ** 2;
const table = (oid: number, columns = ['id', 'b "c']): CatalogueTable => ({
  oid,
  schema: 'public',
  name: `t${oid}`,
  columns,
  bytes: 0,
});
const sizesOf = (...sizes: HeapSize[]) => new Map(sizes.map((size) => [size.oid, size]));
const heap = (oid: number, bytes: number, pages = Math.ceil(bytes / 8192)): HeapSize => ({
  oid,
  bytes,
  pages,
  heap: true,
});

test('every page of every table is in exactly one part, and the last one is open', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ pages: fc.nat(5_000_000), toast: fc.nat(1e12) }), { maxLength: 5 }),
      fc.integer({ min: 1, max: 16 }),
      (given, jobs) => {
        const tables = given.map((_, i) => table(i));
        const sizes = sizesOf(...given.map(({ pages, toast }, i) => heap(i, pages * 8192 + toast, pages)));
        const parts = planParts(tables, sizes, { jobs });
        expect(parts.map(({ bytes }) => bytes)).toEqual(
          parts.map(({ bytes }) => bytes).toSorted((one, other) => other - one),
        );
        for (const one of tables) {
          const own = parts.filter((part) => part.table === one);
          if (own.length === 1 && own[0]!.pages === undefined) continue;
          const ranges = own.map(({ pages }) => pages!).sort((a, b) => a.low - b.low);
          expect(ranges.map(({ low }) => low)).toEqual([0, ...ranges.slice(0, -1).map(({ high }) => high)]);
          expect(ranges.at(-1)!.high).toBeUndefined();
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('large tables are cut, by what is stored apart too, and small ones are not', () => {
  const tables = [table(1), table(2), table(3), table(4)];
  const sizes = sizesOf(heap(1, 1000 * MB), heap(2, 7 * MB), heap(3, 900 * MB, 100), {
    ...heap(4, 500 * MB),
    heap: false,
  });
  const parts = planParts(tables, sizes, { jobs: 2 });
  const count = (one: CatalogueTable) => parts.filter((part) => part.table === one).length;
  expect(tables.map(count)).toEqual([5, 1, 5, 1]);
  expect(planParts([table(1)], sizesOf(heap(1, 1024 ** 4)), { jobs: 4 })).toHaveLength(4096);
});

test('a part is read by its pages alone, without what inherits', () => {
  const [first, ...others] = planParts([table(1)], sizesOf(heap(1, 100 * MB)), { jobs: 1 });
  expect(partQuery(first!)).toMatch(
    /^COPY \(SELECT "id", "b ""c" FROM ONLY "public"."t1" WHERE ctid < '\(\d+,0\)'::tid\) TO STDOUT$/,
  );
  expect(partQuery(others.at(-1)!)).toMatch(/WHERE ctid >= '\(\d+,0\)'::tid\) TO STDOUT$/);
  expect(partQuery({ table: table(1, []), bytes: 0 })).toBe('COPY "public"."t1"  TO STDOUT');
});
