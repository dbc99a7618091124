import { expect, test } from 'vitest';
import type { BooleanBuilder, BytesBuilder, FixedBuilder } from '../../formats/columns/column-builder.ts';
import { copyRowDecoder, RowBlock } from './copy-rows.ts';
import { fieldDecoder } from './field-decoder.ts';
import { mapField } from './field-mapping.ts';

/** Oids of int4, text, bool and date. */
const FIELDS = [23, 25, 16, 1082].map((typeOid, i) =>
  mapField({ name: `c${i}`, typeOid, typeModifier: -1, typeName: '', typeKind: 'b' }),
);
const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const END = Buffer.from([0xff, 0xff]);
const INFINITY_DAYS = 0x7fff_ffff;
const DAYS_2000 = 10_957;

type Row = readonly [int: number | null, text: string | null, bool: boolean | null, days: number | null];

function message([int, text, bool, days]: Row): Buffer {
  const fields = [
    word(int),
    text === null ? null : Buffer.from(text),
    bool === null ? null : Buffer.from([Number(bool)]),
    word(days),
  ];
  const pieces = fields.flatMap((field) => [word(field?.byteLength ?? -1)!, field ?? Buffer.alloc(0)]);
  return Buffer.concat([Buffer.from([0, fields.length]), ...pieces]);
}

function word(value: number | null): Buffer | null {
  if (value === null) return null;
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function setUp() {
  const decoders = FIELDS.map(fieldDecoder);
  const told: string[] = [];
  let rows = 0;
  const block = new RowBlock(decoders, (added, unfit) => {
    for (const { row, field, text } of unfit) told.push(`${rows + row}:${field}:${text}`);
    rows += added;
  });
  const [int, text, bool, date] = decoders.map(({ builder }) => builder) as unknown as [
    FixedBuilder,
    BytesBuilder,
    BooleanBuilder,
    FixedBuilder,
  ];
  const valuesOf = (): Row[] =>
    Array.from({ length: int.length }, (_, i) => [
      int.isNull(i) ? null : int.words[i]!,
      text.isNull(i) ? null : text.textAt(i),
      bool.isNull(i) ? null : bool.valueAt(i),
      date.isNull(i) ? null : date.words[i]! - DAYS_2000,
    ]);
  return { decoders, block, told, valuesOf, rowsTold: () => rows };
}

const rowOf = (i: number): Row => [
  i % 7 === 0 ? null : -i,
  i % 5 === 0 ? null : 'é'.repeat(i % 190),
  i % 3 === 0 ? null : i % 2 === 0,
  i % 11 === 0 ? null : i,
];
const rowsOf = (count: number) => Array.from({ length: count }, (_, i) => rowOf(i));

test('rows of many messages, and of more than a block holds', () => {
  const { block, valuesOf, rowsTold } = setUp();
  const rows = rowsOf(3000);
  const messages = [HEADER, ...rows.map(message), END];
  const bytes = Buffer.concat(messages);
  let at = 0;
  for (const { byteLength } of messages) {
    block.add(bytes, at, at + byteLength);
    at += byteLength;
  }
  block.flush();
  expect(rowsTold()).toBe(3000);
  expect(valuesOf()).toEqual(rows);
});

test('rows in memory that is used again', () => {
  const { block, valuesOf } = setUp();
  const rows = rowsOf(400);
  const memory = Buffer.alloc(4096);
  block.add(HEADER, 0, HEADER.byteLength);
  for (const row of rows) {
    const length = message(row).copy(memory);
    block.add(memory, 0, length);
    expect(block.flush()).toBe(1);
  }
  expect(block.flush()).toBe(0);
  expect(valuesOf()).toEqual(rows);
});

test('rows in other memory than the ones before', () => {
  const { block, valuesOf } = setUp();
  const rows = rowsOf(400);
  for (const bytes of [HEADER, ...rows.map(message)]) block.add(bytes, 0, bytes.byteLength);
  block.flush();
  expect(valuesOf()).toEqual(rows);
});

test('what a column cannot hold is told with its row', () => {
  const { block, told, valuesOf } = setUp();
  const days = [1, INFINITY_DAYS, 2, -INFINITY_DAYS - 1, INFINITY_DAYS];
  const rows = days.map((day, i): Row => [i, '', true, day]);
  const bytes = Buffer.concat([HEADER, ...rows.map(message)]);
  block.add(bytes, 0, bytes.byteLength);
  expect(told).toEqual([]);
  block.flush();
  expect(told).toEqual(['1:3:infinity', '3:3:-infinity', '4:3:infinity']);
  expect(valuesOf().map((row) => row[3])).toEqual([1, null, 2, null, null]);
});

test('each copy has a header, which may have an extension', () => {
  const { block, valuesOf } = setUp();
  const extended = Buffer.concat([HEADER.subarray(0, 15), Buffer.from([0, 0, 0, 3]), Buffer.from('abc')]);
  for (const header of [HEADER, extended]) {
    block.begin();
    const bytes = Buffer.concat([header, message(rowOf(1)), END]);
    block.add(bytes, 0, bytes.byteLength);
    block.flush();
  }
  expect(valuesOf()).toEqual([rowOf(1), rowOf(1)]);
});

test('a row of another number of fields is refused', () => {
  const { block } = setUp();
  const bytes = Buffer.concat([HEADER, Buffer.from([0, 3])]);
  expect(() => block.add(bytes, 0, bytes.byteLength)).toThrow('a row has 3 fields where 4 were asked for');
});

test('each message by itself', () => {
  const { decoders, valuesOf } = setUp();
  const told: string[] = [];
  const decoder = copyRowDecoder(
    decoders,
    (field, text) => told.push(`${field}:${text}`),
    () => told.push('row'),
  );
  expect(decoder.decode(HEADER, 0, HEADER.byteLength)).toBe(0);
  const unfit: Row = [2, null, null, INFINITY_DAYS];
  for (const bytes of [message(rowOf(1)), message(unfit), message(rowOf(3))]) {
    expect(decoder.decode(bytes, 0, bytes.byteLength)).toBe(1);
  }
  expect(told).toEqual(['row', '3:infinity', 'row', 'row']);
  expect(valuesOf()).toEqual([rowOf(1), [2, null, null, null], rowOf(3)]);
});
