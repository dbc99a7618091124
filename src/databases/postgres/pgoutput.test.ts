import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eachField, FIELD, type PgoutputMessage, readPgoutput, type Tuple } from './pgoutput.ts';

const MICROS_2000 = BigInt(Date.UTC(2000, 0, 1)) * 1000n;

const int8 = (value: number) => Buffer.from([value]);
const int16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}
function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}
const text = (value: string) => Buffer.from(`${value}\0`);

/** A field of a row: a value as text or as bytes, null, or one that is left as it was. */
type Value = string | Buffer | null | undefined;

function field(value: Value): Buffer {
  if (value === null) return Buffer.from('n');
  if (value === undefined) return Buffer.from('u');
  const bytes = Buffer.from(value as string);
  const mark = typeof value === 'string' ? 't' : 'b';
  return Buffer.concat([Buffer.from(mark), int32(bytes.byteLength), bytes]);
}
const tuple = (mark: string, ...values: readonly Value[]) =>
  Buffer.concat([Buffer.from(mark), int16(values.length), ...values.map(field)]);

/** Reads a message as it comes: somewhere within the bytes of a chunk. */
function read(streamed: boolean, code: string, ...parts: readonly Buffer[]): PgoutputMessage {
  const message = Buffer.concat([Buffer.from(code), ...parts]);
  const around = Buffer.from('\xff\x01around', 'latin1');
  const at = around.byteLength;
  return readPgoutput(Buffer.concat([around, message, around]), at, at + message.byteLength, streamed);
}

/** The same message outside of a streamed transaction, and within one, where it has an xid. */
function readBoth(code: string, ...parts: readonly Buffer[]): PgoutputMessage {
  const plain = read(false, code, ...parts);
  const streamed = read(true, code, int32(3_000_000_000), ...parts);
  expect(plain).toHaveProperty('xid', 0);
  expect(streamed).toHaveProperty('xid', 3_000_000_000);
  expect(shape({ ...streamed, xid: 0 } as PgoutputMessage)).toEqual(shape(plain));
  return plain;
}

function valuesOf(row: Tuple): Value[] {
  const values: Value[] = [];
  eachField(row, (index, mark, at, length) => {
    expect(index).toBe(values.length);
    const bytes = row.bytes.subarray(at, at + length);
    if (mark === FIELD.null) values.push(null);
    else if (mark === FIELD.unchanged) values.push(undefined);
    else values.push(mark === FIELD.text ? bytes.toString() : Buffer.from(bytes));
  });
  return values;
}

/** A message with the values of its rows in the place of where they are. */
function shape(message: PgoutputMessage): Record<string, unknown> {
  const plain: Record<string, unknown> = { ...message };
  for (const side of ['before', 'after']) {
    if (plain[side] !== undefined) plain[side] = valuesOf(plain[side] as Tuple);
  }
  return plain;
}

test('a transaction begins and commits', () => {
  const begin = [int64(0x16b374d848n), int64(1n), int32(3_000_000_000)];
  const commit = [int8(0), int64(0x16b374d848n), int64(0x16b374d900n), int64(-1n)];
  for (const streamed of [false, true]) {
    expect(read(streamed, 'B', ...begin)).toEqual({
      kind: 'begin',
      commitLsn: 0x16b374d848n,
      commitMicros: MICROS_2000 + 1n,
      xid: 3_000_000_000,
    });
    expect(read(streamed, 'C', ...commit)).toEqual({
      kind: 'commit',
      commitLsn: 0x16b374d848n,
      endLsn: 0x16b374d900n,
      commitMicros: MICROS_2000 - 1n,
    });
  }
});

test('a streamed transaction', () => {
  for (const streamed of [false, true]) {
    expect(read(streamed, 'S', int32(3_000_000_000), int8(1))).toEqual({
      kind: 'stream-start',
      xid: 3_000_000_000,
    });
    expect(read(streamed, 'E')).toEqual({ kind: 'stream-stop' });
    expect(read(streamed, 'c', int32(7), int8(0), int64(1n), int64(2n), int64(3n))).toEqual({
      kind: 'stream-commit',
      xid: 7,
      commitLsn: 1n,
      endLsn: 2n,
      commitMicros: MICROS_2000 + 3n,
    });
    expect(read(streamed, 'A', int32(7), int32(3_000_000_000))).toEqual({
      kind: 'stream-abort',
      xid: 7,
      subXid: 3_000_000_000,
    });
  }
});

test('a relation with its columns', () => {
  const columns = [
    Buffer.concat([int8(1), text('id'), int32(20), int32(-1)]),
    Buffer.concat([int8(0), text('Größe'), int32(3_000_000_000), int32(655_366)]),
  ];
  const message = [
    int32(3_000_000_001),
    text('sales'),
    text('Läden'),
    Buffer.from('f'),
    int16(2),
    ...columns,
  ];
  expect(readBoth('R', ...message)).toEqual({
    kind: 'relation',
    xid: 0,
    relation: {
      oid: 3_000_000_001,
      schema: 'sales',
      table: 'Läden',
      replicaIdentity: 'f',
      columns: [
        { key: true, name: 'id', typeOid: 20, typeModifier: -1 },
        { key: false, name: 'Größe', typeOid: 3_000_000_000, typeModifier: 655_366 },
      ],
    },
  });
});

test('a relation of the system catalogue comes without its schema, and one may have no columns', () => {
  expect(readBoth('R', int32(1), text(''), text('t'), Buffer.from('n'), int16(0))).toMatchObject({
    relation: { schema: 'pg_catalog', table: 't', replicaIdentity: 'n', columns: [] },
  });
});

test('a row that was inserted', () => {
  const values = ['1', null, '', 'Zoë', undefined, Buffer.from([0, 1, 0xff]), Buffer.alloc(0)];
  expect(shape(readBoth('I', int32(3_000_000_000), tuple('N', ...values)))).toEqual({
    kind: 'insert',
    xid: 0,
    oid: 3_000_000_000,
    after: values,
  });
});

test('a row that was updated: its key the same, its old key, its whole old row', () => {
  const after = tuple('N', '1', 'new', undefined);
  expect(shape(readBoth('U', int32(5), after))).toEqual({
    kind: 'update',
    xid: 0,
    oid: 5,
    before: undefined,
    beforeIs: undefined,
    after: ['1', 'new', undefined],
  });
  expect(shape(readBoth('U', int32(5), tuple('K', 'N', null, null), after))).toMatchObject({
    beforeIs: 'key',
    before: ['N', null, null],
    after: ['1', 'new', undefined],
  });
  expect(shape(readBoth('U', int32(5), tuple('O', '1', 'old', Buffer.from('N')), after))).toMatchObject({
    beforeIs: 'row',
    before: ['1', 'old', Buffer.from('N')],
    after: ['1', 'new', undefined],
  });
});

test('a row that was deleted, by its key or as a whole', () => {
  expect(shape(readBoth('D', int32(5), tuple('K', '1', null)))).toEqual({
    kind: 'delete',
    xid: 0,
    oid: 5,
    before: ['1', null],
    beforeIs: 'key',
  });
  expect(shape(readBoth('D', int32(5), tuple('O', '1', 'old')))).toMatchObject({
    beforeIs: 'row',
    before: ['1', 'old'],
  });
});

test('tables that were truncated', () => {
  const truncated = (flags: number) => readBoth('T', int32(2), int8(flags), int32(5), int32(3_000_000_000));
  expect(truncated(0)).toEqual({
    kind: 'truncate',
    xid: 0,
    oids: [5, 3_000_000_000],
    cascade: false,
    restartIdentity: false,
  });
  expect(truncated(1)).toMatchObject({ cascade: true, restartIdentity: false });
  expect(truncated(2)).toMatchObject({ cascade: false, restartIdentity: true });
  expect(truncated(3)).toMatchObject({ cascade: true, restartIdentity: true });
});

test('messages of applications', () => {
  const message = (flags: number) => [
    int8(flags),
    int64(9n),
    text('préfix'),
    int32(3),
    Buffer.from([0, 1, 2]),
  ];
  expect(readBoth('M', ...message(1))).toEqual({
    kind: 'message',
    xid: 0,
    transactional: true,
    prefix: 'préfix',
    content: Buffer.from([0, 1, 2]),
  });
  expect(readBoth('M', ...message(0))).toMatchObject({ transactional: false });
});

test('types and origins are passed over', () => {
  for (const streamed of [false, true]) {
    expect(read(streamed, 'O', int64(1n), text('origin'))).toEqual({ kind: 'other' });
  }
  expect(read(false, 'Y', int32(1), text('public'), text('mood'))).toEqual({ kind: 'other' });
  expect(read(true, 'Y', int32(7), int32(1), text('public'), text('mood'))).toEqual({ kind: 'other' });
});

test('a message that is not known, and a name without an end', () => {
  const failed = (message: string) =>
    expect.objectContaining({ code: 'DATABASE_FAILED', message: expect.stringContaining(message) });
  expect(() => read(false, 'b', int64(1n))).toThrow(failed('"b"'));
  expect(() => read(false, 'R', int32(1), Buffer.from('public'))).toThrow(failed('cut off'));
  // The zeros behind the message are not of it.
  const whole = Buffer.concat([
    Buffer.from('R'),
    int32(1),
    text('public'),
    text('t'),
    Buffer.from('d'),
    int16(0),
  ]);
  expect(readPgoutput(whole, 0, whole.byteLength, false)).toMatchObject({ relation: { table: 't' } });
  for (const end of [10, 11, 13]) expect(() => readPgoutput(whole, 0, end, false)).toThrow(failed('cut off'));
});

test('whatever the rows hold, they are told apart', () => {
  const value = fc.oneof(
    fc.constantFrom(null, undefined),
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  );
  const row = fc.array(value, { maxLength: 12 });
  fc.assert(
    fc.property(row, row, fc.constantFrom('K', 'O'), (before, after, mark) => {
      const message = readBoth('U', int32(1), tuple(mark, ...before), tuple('N', ...after));
      expect(shape(message)).toMatchObject({ before, after, beforeIs: mark === 'K' ? 'key' : 'row' });
    }),
  );
});

test('a walk over a row tells where it ends', () => {
  const bytes = Buffer.concat([tuple('N', 'one', null, undefined, Buffer.from('four')), Buffer.from('rest')]);
  const end = eachField({ bytes, at: 3, fields: 4 }, () => undefined);
  expect(bytes.toString('latin1', end)).toBe('rest');
});
