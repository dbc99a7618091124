import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  changeFileName,
  datePartition,
  loadFileName,
  manifestKey,
  manifestPrefix,
  pendingKey,
  tableFolder,
  timestampText,
} from './layout.ts';

const micros = (text: string, more = 0) => BigInt(Date.parse(text)) * 1000n + BigInt(more);

/** What a name of PostgreSQL may be, and its separators often. */
const name = fc.string({
  minLength: 1,
  maxLength: 6,
  unit: fc.constantFrom('a', 'B', '/', '%', '2', 'F', 'é'),
});
/** Commits from 1970 to 2100. */
const commit = fc.bigInt({ min: 0n, max: 4_102_444_800_000_000n });
const lsn = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });

test('a table lies in the folder of its schema', () => {
  expect(tableFolder({ schema: 'public', name: 'orders' })).toBe('public/orders/');
  expect(tableFolder({ schema: 'Sales', name: 'Größe 1' })).toBe('Sales/Größe 1/');
  expect(tableFolder({ schema: 'a/b', name: '50%' })).toBe('a%2Fb/50%25/');
});

test('no name is a folder of its own kind', () => {
  expect(tableFolder({ schema: '..', name: '.' })).toBe('%2E./%2E/');
  expect(tableFolder({ schema: '_longshore', name: '_longshore' })).toBe('%5Flongshore/_longshore/');
});

test('no two tables share a folder, and none lies in that of another', () => {
  fc.assert(
    fc.property(name, name, name, name, (schema, table, otherSchema, otherTable) => {
      fc.pre(schema !== otherSchema || table !== otherTable);
      const folder = tableFolder({ schema, name: table });
      expect(folder.split('/')).toHaveLength(3);
      expect(tableFolder({ schema: otherSchema, name: otherTable }).startsWith(folder)).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test('files of the full load are counted as DMS counts them', () => {
  expect(loadFileName(1)).toBe('LOAD00000001.parquet');
  expect(loadFileName(31)).toBe('LOAD0000001F.parquet');
  expect(loadFileName(0xffffffff)).toBe('LOADFFFFFFFF.parquet');
});

test('files of the full load sort by their numbers', () => {
  const number = fc.integer({ min: 1, max: 0xffffffff });
  fc.assert(
    fc.property(number, number, (a, b) => {
      expect(loadFileName(a) < loadFileName(b)).toBe(a < b);
    }),
  );
});

test('a file of changes is named by its first commit and by its LSNs', () => {
  const file = {
    firstCommitMicros: micros('2026-11-21T13:15:00.123Z', 456),
    firstLsn: 0x16b3748n,
    lastLsn: 0x1_016b3900n,
    part: 1,
  };
  expect(changeFileName(file)).toBe('20261121-131500123-00000000016B3748-00000001016B3900.parquet');
  expect(changeFileName({ ...file, part: 2 })).toBe(
    '20261121-131500123-00000000016B3748-00000001016B3900_00002.parquet',
  );
});

test('names of changes sort by time, then by LSN', () => {
  fc.assert(
    fc.property(commit, commit, lsn, lsn, (a, b, first, second) => {
      const of = (firstCommitMicros: bigint, firstLsn: bigint) =>
        changeFileName({ firstCommitMicros, firstLsn, lastLsn: firstLsn, part: 1 });
      expect(of(a, first) < of(b, second)).toBe(
        a / 1000n === b / 1000n ? first < second : a / 1000n < b / 1000n,
      );
      expect(of(a, first) < of(a, second)).toBe(first < second);
    }),
  );
});

test('another time, LSN or part is another name', () => {
  const file = { firstCommitMicros: 1_000_000n, firstLsn: 1n, lastLsn: 2n, part: 1 };
  const others = [
    { firstCommitMicros: 1_001_000n },
    { firstLsn: 2n },
    { lastLsn: 3n },
    { part: 2 },
    { part: 12 },
  ];
  const names = [file, ...others.map((other) => ({ ...file, ...other }))].map(changeFileName);
  expect(new Set(names).size).toBe(names.length);
});

test('the partition is the day of the commit in UTC', () => {
  expect(datePartition(micros('2026-11-21T23:59:59.999Z', 999))).toBe('2026/11/21/');
  expect(datePartition(micros('2026-11-22T00:00:00Z'))).toBe('2026/11/22/');
  expect(datePartition(micros('2026-01-02T03:04:05Z'))).toBe('2026/01/02/');
});

test('a time is written to the microsecond', () => {
  expect(timestampText(micros('2026-11-21T13:15:00.123Z', 456))).toBe('2026-11-21 13:15:00.123456');
  expect(timestampText(micros('2026-11-21T13:15:00Z', 7))).toBe('2026-11-21 13:15:00.000007');
  expect(timestampText(0n)).toBe('1970-01-01 00:00:00.000000');
});

test('a time can be read back, and sorts', () => {
  fc.assert(
    fc.property(commit, commit, (a, b) => {
      const text = timestampText(a);
      expect(
        BigInt(Date.parse(`${text.slice(0, 23).replace(' ', 'T')}Z`)) * 1000n + BigInt(text.slice(23)),
      ).toBe(a);
      expect(text < timestampText(b)).toBe(a < b);
    }),
  );
});

test('what is of the job itself lies below a folder of the job, and sorts by epochs', () => {
  expect(manifestKey('orders', 1)).toBe('_longshore/orders/epochs/0000000001.json');
  expect(pendingKey('orders', 1)).toBe('_longshore/orders/pending/0000000001.json');
  expect(manifestPrefix('orders')).toBe('_longshore/orders/epochs/');
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (a, b) => {
      expect(manifestKey('orders', a).startsWith(manifestPrefix('orders'))).toBe(true);
      expect(manifestKey('orders', a) < manifestKey('orders', b)).toBe(a < b);
      expect(pendingKey('orders', a) < pendingKey('orders', b)).toBe(a < b);
    }),
  );
});

test('parts of one transaction sort as they come', () => {
  const file = { firstCommitMicros: 1_000_000n, firstLsn: 1n, lastLsn: 2n };
  const names = [1, 2, 10, 11].map((part) => changeFileName({ ...file, part }));
  expect(names.toSorted()).toEqual(names);
});

test('a time before 1970 is written to the microsecond', () => {
  expect(timestampText(-1n)).toBe('1969-12-31 23:59:59.999999');
});
