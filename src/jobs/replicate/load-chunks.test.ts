import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CatalogueColumn, SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { chunkQuery, cutChunks } from './full-load.ts';

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
    rowsEstimate: 0,
  };
}

const ranges = (bytes: number, bytesMax: number, workers = 1) =>
  cutChunks([tableOf('t', [bytes])], bytesMax, workers).map(({ low, high }) => [low, high]);

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
      fc.array(fc.array(fc.nat(400 * PAGE), { maxLength: 4 }), { maxLength: 4 }),
      fc.integer({ min: 1, max: 60 * PAGE }),
      (sizes, bytesMax) => {
        const tables = sizes.map((leaves, i) => tableOf(`t${i}`, leaves));
        const chunks = cutChunks(tables, bytesMax, 1);
        for (const table of tables) {
          const own = chunks.filter((chunk) => chunk.table === table);
          expect(own.map(({ number }) => number)).toEqual(own.map((_, i) => i + 1));
          expect(own.map(({ leaf }) => leaf)).toEqual(
            own.map(({ leaf }) => leaf).toSorted((a, b) => a.fileNode - b.fileNode),
          );
          for (const leaf of table.leaves) {
            const parts = own.filter((chunk) => chunk.leaf === leaf);
            const pages = Math.ceil(leaf.bytes / PAGE);
            expect(parts[0]?.low).toBe(0);
            expect(parts.at(-1)!.high).toBeUndefined();
            for (const [i, { low, high }] of parts.entries()) {
              expect(high).toBe(parts[i + 1]?.low);
              const end = high ?? pages;
              if (pages > 0) expect(end).toBeGreaterThan(low);
              expect(end - low).toBeLessThanOrEqual(Math.ceil(bytesMax / PAGE));
            }
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
  expect(cutChunks([tableOf('t', Array(8).fill(512 * MIB))], GIB, 8)).toHaveLength(32);
});

test('a partitioned table without partitions has no chunk', () => {
  expect(cutChunks([tableOf('t', [])], PAGE, 1)).toEqual([]);
});

test('the query of a chunk reads its pages of its leaf alone', () => {
  const queries = (bytes: readonly number[]) => cutChunks([tableOf('t', bytes)], PAGE, 1).map(chunkQuery);
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
  const [chunk] = cutChunks([tableOf('Odd "t"', [0], columns)], PAGE, 1);
  expect(chunkQuery(chunk!)).toBe(
    `SELECT "a ""b""", CASE WHEN "IP" IS NOT NULL THEN format('%s', "IP") END FROM ONLY "public"."Odd ""t"""`,
  );
});

test('a table without columns is read by the places of its rows', () => {
  const [chunk] = cutChunks([tableOf('t', [0], [])], PAGE, 1);
  expect(chunkQuery(chunk!)).toBe('SELECT "ctid" FROM ONLY "public"."t"');
});
