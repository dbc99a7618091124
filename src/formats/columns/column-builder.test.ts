import { tableFromIPC, type Vector } from 'apache-arrow';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BatchBuilder } from './batch-builder.ts';
import {
  type BooleanBuilder,
  BytesBuilder,
  type ColumnBuilder,
  type FixedBuilder,
  newBuilder,
} from './column-builder.ts';
import type { ColumnType } from './column-type.ts';

/** A type of column: its values, how they are put in, and how Arrow reads them back. */
interface Kind<T = unknown> {
  readonly type: ColumnType;
  readonly values: fc.Arbitrary<T>;
  readonly push: (builder: ColumnBuilder, value: T) => void;
  readonly get: (vector: Vector, index: number) => unknown;
}

const kind = <T>(kind: Kind<T>) => kind as Kind;
/** What Arrow holds of a vector that came in one batch, where its getters would convert. */
const raw = (vector: Vector) => vector.data[0]!.values as ArrayLike<number | bigint>;
const signed = (bits: number) =>
  fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n });
const word = (value: bigint, index: number) => Number(BigInt.asIntN(32, value >> BigInt(32 * index)));

function push64(builder: ColumnBuilder, value: bigint): void {
  (builder as FixedBuilder).push64(word(value, 1), word(value, 0));
}
function push32(builder: ColumnBuilder, value: number): void {
  (builder as FixedBuilder).push32(value);
}
function push128(builder: ColumnBuilder, value: bigint): void {
  (builder as FixedBuilder).push128(word(value, 0), word(value, 1), word(value, 2), word(value, 3));
}
function decimalAt(vector: Vector, index: number): bigint {
  const words = Array.from({ length: 4 }, (_, i) => BigInt(Number(raw(vector)[4 * index + i]) >>> 0));
  return BigInt.asIntN(
    128,
    words.reduce((sum, part, i) => sum | (part << BigInt(32 * i)), 0n),
  );
}

const scratch = new DataView(new ArrayBuffer(8));
const int64s = { values: signed(64), push: push64, get: (v: Vector, i: number) => raw(v)[i] };
const TEXTS = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60, size: 'max' }),
  fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀'), maxLength: 40, size: 'max' }),
);

const KINDS: readonly Kind[] = [
  kind<boolean>({
    type: { kind: 'boolean' },
    values: fc.boolean(),
    push: (builder, value) => (builder as BooleanBuilder).push(value),
    get: (vector, i) => vector.get(i),
  }),
  kind<number>({
    type: { kind: 'int16' },
    values: fc.integer({ min: -32_768, max: 32_767 }),
    push: push32,
    get: (vector, i) => vector.get(i),
  }),
  kind<number>({ type: { kind: 'int32' }, values: fc.integer(), push: push32, get: (v, i) => v.get(i) }),
  kind<bigint>({ type: { kind: 'int64' }, ...int64s }),
  kind<number>({
    type: { kind: 'float32' },
    values: fc.float(),
    push: (builder, value) => {
      scratch.setFloat32(0, value);
      push32(builder, scratch.getInt32(0));
    },
    get: (vector, i) => vector.get(i),
  }),
  kind<number>({
    type: { kind: 'float64' },
    values: fc.double(),
    push: (builder, value) => {
      scratch.setFloat64(0, value);
      (builder as FixedBuilder).push64(scratch.getInt32(0), scratch.getInt32(4));
    },
    get: (vector, i) => vector.get(i),
  }),
  kind<bigint>({
    type: { kind: 'decimal', precision: 38, scale: 4 },
    values: fc.bigInt({ min: 1n - 10n ** 38n, max: 10n ** 38n - 1n }),
    push: push128,
    get: decimalAt,
  }),
  kind<number>({ type: { kind: 'date' }, values: fc.integer(), push: push32, get: (v, i) => raw(v)[i] }),
  kind<bigint>({ type: { kind: 'time' }, ...int64s, values: fc.bigInt({ min: 0n, max: 86_399_999_999n }) }),
  kind<bigint>({ type: { kind: 'timestamp', utc: false }, ...int64s }),
  kind<bigint>({ type: { kind: 'timestamp', utc: true }, ...int64s }),
  kind<string>({
    type: { kind: 'text' },
    values: TEXTS,
    push: (builder, value) => (builder as BytesBuilder).pushText(value),
    get: (vector, i) => vector.get(i),
  }),
  kind<Uint8Array>({
    type: { kind: 'binary' },
    values: fc.uint8Array({ maxLength: 120, size: 'max' }),
    push: (builder, value) => {
      const around = Buffer.from('around');
      (builder as BytesBuilder).push(
        Buffer.concat([around, value, around]),
        around.byteLength,
        value.byteLength,
      );
    },
    get: (vector, i) => new Uint8Array(vector.get(i) as Uint8Array),
  }),
];
const NAMES = KINDS.map(({ type }) => (type.kind === 'timestamp' ? `${type.kind} ${type.utc}` : type.kind));

const put = ({ push }: Kind, builder: ColumnBuilder, value: unknown) =>
  value === null ? builder.pushNull() : push(builder, value);

/** The values of a column as a reader of the stream has them. */
function columnOf(ipc: Uint8Array, { get }: Kind, name: string): unknown[] {
  const vector = tableFromIPC(ipc).getChild(name)!;
  return Array.from({ length: vector.length }, (_, i) => (vector.isValid(i) ? get(vector, i) : null));
}

test.each(KINDS.map((of, i) => [NAMES[i]!, of] as const))(
  '%s: values and nulls come out as they went in, however rows are taken back and batches taken',
  (name, of) => {
    const step = fc.oneof(
      { weight: 20, arbitrary: of.values.map((value) => ({ do: 'push', value }) as const) },
      { weight: 10, arbitrary: fc.constant({ do: 'push', value: null } as const) },
      { weight: 4, arbitrary: fc.nat(30).map((rows) => ({ do: 'truncate', rows }) as const) },
      { weight: 1, arbitrary: fc.constant({ do: 'take' } as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const batch = new BatchBuilder([{ name, type: of.type }]);
        const [builder] = batch.builders;
        let rows: unknown[] = [];
        const taken: { ipc: Uint8Array; rows: unknown[] }[] = [];
        const take = () => {
          taken.push({ ipc: batch.takeIpc(), rows });
          rows = [];
          expect([batch.rows, batch.bytes, builder!.nullCount]).toEqual([0, 0, 0]);
        };
        for (const step of steps) {
          if (step.do === 'push') {
            put(of, builder!, step.value);
            rows.push(step.value);
          } else if (step.do === 'truncate') {
            rows = rows.slice(0, Math.max(0, rows.length - step.rows));
            builder!.truncate(rows.length);
          } else take();
          expect(batch.rows).toBe(rows.length);
          expect(builder!.nullCount).toBe(rows.filter((value) => value === null).length);
        }
        expect(rows.map((_, i) => builder!.isNull(i))).toEqual(rows.map((value) => value === null));
        take();
        for (const one of taken) expect(columnOf(one.ipc, of, name)).toEqual(one.rows);
      }),
      { numRuns: 60 },
    );
  },
);

test.each(['memory that is kept', 'memory that is given back'])(
  'a batch of over 100,000 rows, and a smaller one in %s',
  (memory) => {
    const columns = KINDS.map(({ type }, i) => ({ name: NAMES[i]!, type }));
    const batch = new BatchBuilder(columns);
    const samples = KINDS.map(({ values }, i) => fc.sample(values, { numRuns: 97, seed: 11 + i }));
    for (const rows of [100_003, 1_500]) {
      const expected = KINDS.map((of, column) => {
        const builder = batch.builders[column]!;
        const nulls = column + 3;
        return Array.from({ length: rows }, (_, row) => {
          const value = row % nulls === 0 ? null : samples[column]![(row + rows) % 97];
          put(of, builder, value);
          return value;
        });
      });
      expect(batch.rows).toBe(rows);
      const table = tableFromIPC(batch.takeIpc());
      if (memory !== 'memory that is kept') batch.shrink();
      expect(table.numRows).toBe(rows);
      for (const [i, of] of KINDS.entries()) {
        const vector = table.getChild(NAMES[i]!)!;
        expect(vector.nullCount).toBe(Math.ceil(rows / (i + 3)));
        const differs = expected[i]!.findIndex((value, row) => {
          if (value === null) return vector.isValid(row);
          const back = of.get(vector, row);
          return !vector.isValid(row) || !same(back, value);
        });
        expect([NAMES[i], differs]).toEqual([NAMES[i], -1]);
      }
    }
  },
);

function same(a: unknown, b: unknown): boolean {
  return Object.is(a, b) || (a instanceof Uint8Array && Buffer.compare(a, b as Uint8Array) === 0);
}

test('what was taken does not change when the batch is filled again', () => {
  const batch = new BatchBuilder([{ name: 'a', type: { kind: 'text' } }]);
  const [builder] = batch.builders as [BytesBuilder];
  builder.pushText('first');
  builder.pushNull();
  const ipc = batch.takeIpc();
  const before = Buffer.from(ipc);
  for (let i = 0; i < 100; i++) builder.pushText('second');
  expect(before.equals(ipc)).toBe(true);
});

test('an empty batch has its columns and no rows', () => {
  const columns = KINDS.map(({ type }, i) => ({ name: NAMES[i]!, type }));
  const table = tableFromIPC(new BatchBuilder(columns).takeIpc());
  expect(table.numRows).toBe(0);
  expect(table.schema.fields.map(({ name, nullable }) => ({ name, nullable }))).toEqual(
    NAMES.map((name) => ({ name, nullable: true })),
  );
});

test('the types are what Arrow calls them', () => {
  const columns = KINDS.map(({ type }, i) => ({ name: NAMES[i]!, type }));
  const { fields } = tableFromIPC(new BatchBuilder(columns).takeIpc()).schema;
  expect(fields.map(({ type }) => String(type))).toEqual([
    'Bool',
    'Int16',
    'Int32',
    'Int64',
    'Float32',
    'Float64',
    'Decimal[38e+4]',
    'Date32<DAY>',
    'Time64<MICROSECOND>',
    'Timestamp<MICROSECOND>',
    'Timestamp<MICROSECOND, UTC>',
    'Utf8',
    'Binary',
  ]);
});

test('text that is written in place, in a memory that grows for it', () => {
  const batch = new BatchBuilder([{ name: 'a', type: { kind: 'text' } }]);
  const [builder] = batch.builders as [BytesBuilder];
  const expected = Array.from({ length: 40 }, (_, i) => String(i).repeat(i * 100));
  for (const text of expected) {
    const data = builder.reserve(text.length);
    builder.pushed(
      builder.end + Buffer.from(data.buffer, data.byteOffset).write(text, builder.end, 'latin1'),
    );
  }
  builder.push(Buffer.alloc(1_000_000, 'x'), 10, 900_000);
  expect(builder.textAt(3)).toBe(expected[3]);
  expect(columnOf(batch.takeIpc(), KINDS[NAMES.indexOf('text')]!, 'a')).toEqual([
    ...expected,
    'x'.repeat(900_000),
  ]);
});

test('text from a view, of any length and wherever it lies', () => {
  const source = Buffer.from(Array.from({ length: 700 }, (_, i) => i & 0xff));
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const builder = new BytesBuilder({ kind: 'binary' });
  const places = Array.from({ length: 700 }, (_, i) => [(i * 37) % 700, (i * 13) % 300] as const).flatMap(
    ([at, length]) => [[at, Math.min(length, 700 - at)] as const, [700 - length, length] as const],
  );
  for (const [at, length] of places) builder.pushFrom(view, at, length);
  expect(builder.length).toBe(places.length);
  const differs = places.findIndex(
    ([at, length], i) => Buffer.compare(builder.bytesAt(i), source.subarray(at, at + length)) !== 0,
  );
  expect(differs).toBe(-1);
});

test('nulls of a range', () => {
  const builder = new BytesBuilder({ kind: 'text' });
  const isNull = (i: number) => i % 3 === 0 || (i > 40 && i < 60);
  for (let i = 0; i < 203; i++) {
    if (isNull(i)) builder.pushNull();
    else builder.pushText('a');
  }
  const count = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => from + i).filter(isNull).length;
  for (const [from, to] of [
    [0, 8],
    [8, 64],
    [40, 56],
    [0, 203],
    [200, 203],
    [16, 16],
  ] as const) {
    expect(builder.nullsIn(from, to)).toBe(count(from, to));
  }
  builder.truncate(50);
  expect(builder.nullsIn(0, 50)).toBe(count(0, 50));
  builder.clear();
  for (let i = 0; i < 20; i++) builder.pushText('b');
  expect(builder.nullsIn(0, 20)).toBe(0);
});

test('memory that large values needed is given back', () => {
  const builder = new BytesBuilder({ kind: 'text' });
  builder.push(Buffer.alloc(70_000_000, 'x'), 0, 70_000_000);
  builder.clear();
  expect(builder.memory.view.byteLength).toBeLessThan(1_000_000);
  builder.pushText('after');
  expect(builder.textAt(0)).toBe('after');
});

test('text of an index, and none of a null', () => {
  const builder = new BytesBuilder({ kind: 'text' });
  builder.pushText('a€😀');
  builder.pushNull();
  builder.pushText('b');
  expect([0, 1, 2].map((i) => builder.textAt(i))).toEqual(['a€😀', '', 'b']);
});

test('the bytes of a batch are about what its values take', () => {
  const bytesOf = (type: ColumnType, fill: (builder: never) => void) => {
    const builder = newBuilder(type);
    for (let i = 0; i < 1000; i++) fill(builder as never);
    return builder.bytes;
  };
  expect(bytesOf({ kind: 'int32' }, (builder: FixedBuilder) => builder.push32(1))).toBe(4000);
  expect(bytesOf({ kind: 'int64' }, (builder: FixedBuilder) => builder.push64(0, 1))).toBe(8000);
  expect(bytesOf({ kind: 'boolean' }, (builder: BooleanBuilder) => builder.push(true))).toBe(125);
  expect(bytesOf({ kind: 'text' }, (builder: BytesBuilder) => builder.pushText('abc'))).toBe(7000);
});
