import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CatalogueColumn, SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { chunkQuery, cutByKeys, cutByPages, hasIntegerKey } from './load-chunks.ts';

const PAGE = 8192;

const column = (name: string, typeOid: number, typeName: string): CatalogueColumn => ({
  name,
  typeOid,
  typeModifier: -1,
  typeName,
  typeKind: 'b',
  number: 1,
  notNull: false,
  toastable: false,
  generated: false,
});

/** A table whose leaves have so many bytes each. */
function tableOf(
  name: string,
  leaves: readonly number[],
  columns = [column('id', 20, 'bigint')],
): SourceTable {
  return {
    oid: 1,
    schema: 'public',
    name,
    partitioned: leaves.length !== 1,
    leaves: leaves.map((bytes, i) => ({
      oid: 100 + i,
      schema: 'public',
      name: leaves.length === 1 ? name : `${name}_${i}`,
      bytes,
      fileNode: i,
    })),
    columns,
    primaryKey: ['id'],
    replicaIdentity: 'd',
    identityColumns: [],
    canSelect: true,
    isOwner: true,
    rowsEstimate: 0,
  };
}

const ranges = (bytes: number, bytesMax: number, workers = 1) =>
  cutByPages(tableOf('t', [bytes]), { bytesMax, workers }).map(({ pages }) => [pages!.low, pages!.high]);

test('a table that fits is one chunk without an end', () => {
  expect(ranges(0, 10 * PAGE)).toEqual([[0, undefined]]);
  expect(ranges(10 * PAGE, 10 * PAGE)).toEqual([[0, undefined]]);
});

test('a larger table is cut into even chunks', () => {
  expect(ranges(11 * PAGE, 10 * PAGE)).toEqual([
    [0, 6],
    [6, undefined],
  ]);
  expect(ranges(3 * PAGE, 1)).toEqual([
    [0, 1],
    [1, 2],
    [2, undefined],
  ]);
});

test('chunks cover every page once, each as large as it may be at most', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(400 * PAGE), { maxLength: 4 }),
      fc.integer({ min: 1, max: 60 * PAGE }),
      fc.integer({ min: 1, max: 100 }),
      (leaves, bytesMax, first) => {
        const table = tableOf('t', leaves);
        const chunks = cutByPages(table, { bytesMax, workers: 1 }, first);
        expect(chunks.map(({ number }) => number)).toEqual(chunks.map((_, i) => first + i));
        for (const leaf of table.leaves) {
          const parts = chunks.filter((chunk) => chunk.leaf.name === leaf.name);
          const pages = Math.ceil(leaf.bytes / PAGE);
          expect(parts[0]?.pages?.low).toBe(0);
          expect(parts.at(-1)!.pages!.high).toBeUndefined();
          for (const [i, part] of parts.entries()) {
            const { low, high } = part.pages!;
            expect(high).toBe(parts[i + 1]?.pages?.low);
            const end = high ?? pages;
            if (pages > 0) expect(end).toBeGreaterThan(low);
            expect(end - low).toBeLessThanOrEqual(Math.ceil(bytesMax / PAGE));
          }
        }
      },
    ),
  );
});

test('a large table is cut for all workers, and a small one is not cut below 16 MiB', () => {
  const MIB = 1024 ** 2;
  const GIB = 1024 ** 3;
  expect(ranges(16 * MIB, GIB, 8)).toHaveLength(1);
  expect(ranges(64 * MIB, GIB, 8)).toHaveLength(4);
  expect(ranges(4 * GIB, GIB, 8)).toHaveLength(32);
  expect(ranges(4 * GIB, GIB, 1)).toHaveLength(4);
  expect(ranges(64 * GIB, GIB, 8)).toHaveLength(64);
  expect(ranges(64 * MIB, MIB, 8)).toHaveLength(64);
  expect(cutByPages(tableOf('t', Array(8).fill(512 * MIB)), { bytesMax: GIB, workers: 8 })).toHaveLength(32);
});

test('a partitioned table without partitions has no chunk', () => {
  expect(cutByPages(tableOf('t', []), { bytesMax: PAGE, workers: 1 })).toEqual([]);
});

test('the query of a chunk reads its pages of its leaf alone', () => {
  const queries = (bytes: readonly number[]) => {
    const table = tableOf('t', bytes);
    return cutByPages(table, { bytesMax: PAGE, workers: 1 }).map((chunk) => chunkQuery(table, chunk));
  };
  expect(queries([PAGE])).toEqual(['SELECT "id" FROM ONLY "public"."t"']);
  expect(queries([3 * PAGE, 0])).toEqual([
    `SELECT "id" FROM ONLY "public"."t_0" WHERE ctid < '(1,0)'::tid`,
    `SELECT "id" FROM ONLY "public"."t_0" WHERE ctid >= '(1,0)'::tid AND ctid < '(2,0)'::tid`,
    `SELECT "id" FROM ONLY "public"."t_0" WHERE ctid >= '(2,0)'::tid`,
    'SELECT "id" FROM ONLY "public"."t_1"',
  ]);
});

test('names are quoted, and types without a binary form of their own are asked for as text', () => {
  const columns = [column('a "b"', 25, 'text'), column('IP', 869, 'inet')];
  const table = tableOf('Odd "t"', [0], columns);
  const [chunk] = cutByPages(table, { bytesMax: PAGE, workers: 1 });
  expect(chunkQuery(table, chunk!)).toBe(
    `SELECT "a ""b""", CASE WHEN "IP" IS DISTINCT FROM NULL THEN format('%s', "IP") END FROM ONLY "public"."Odd ""t"""`,
  );
});

test('a table without columns is read by the places of its rows', () => {
  const table = tableOf('t', [0], []);
  const [chunk] = cutByPages(table, { bytesMax: PAGE, workers: 1 });
  expect(chunkQuery(table, chunk!)).toBe('SELECT "ctid" FROM ONLY "public"."t"');
});

test('ranges of keys take every key once, whatever the sample', () => {
  fc.assert(
    fc.property(
      fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 50 }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      (sample, key) => {
        const sorted = sample.toSorted((a, b) => (a < b ? -1 : 1)).map(String);
        const chunks = cutByKeys(tableOf('t', [100 * PAGE]), sorted, { bytesMax: 10 * PAGE, workers: 1 });
        const holding = chunks.filter(({ keys }) => {
          const { low, high } = keys!;
          return (low === null || key >= BigInt(low)) && (high === null || key < BigInt(high));
        });
        expect(holding).toHaveLength(1);
        expect(chunks.length).toBeLessThanOrEqual(10);
      },
    ),
  );
});

test('a range of keys is read from the table, and from all partitions of one', () => {
  const query = (leaves: readonly number[]) => {
    const table = tableOf('t', leaves);
    const chunks = cutByKeys(table, ['1', '5', '9'], { bytesMax: 20 * PAGE, workers: 1 });
    return chunks.map((chunk) => chunkQuery(table, chunk));
  };
  expect(query([60 * PAGE])).toEqual([
    'SELECT "id" FROM ONLY "public"."t" WHERE "id" < 5',
    'SELECT "id" FROM ONLY "public"."t" WHERE "id" >= 5 AND "id" < 9',
    'SELECT "id" FROM ONLY "public"."t" WHERE "id" >= 9',
  ]);
  expect(query([20 * PAGE, 20 * PAGE])).toEqual([
    'SELECT "id" FROM "public"."t" WHERE "id" < 5',
    'SELECT "id" FROM "public"."t" WHERE "id" >= 5',
  ]);
});

test('only a key of one whole number is cut into ranges', () => {
  expect(hasIntegerKey(tableOf('t', [0]))).toBe(true);
  expect(hasIntegerKey(tableOf('t', [0], [column('id', 25, 'text')]))).toBe(false);
  expect(hasIntegerKey(tableOf('t', [0], [{ ...column('id', 23, 'integer'), generated: true }]))).toBe(false);
  expect(hasIntegerKey({ ...tableOf('t', [0]), primaryKey: [] })).toBe(false);
  expect(hasIntegerKey({ ...tableOf('t', [0]), primaryKey: ['id', 'id'] })).toBe(false);
});
