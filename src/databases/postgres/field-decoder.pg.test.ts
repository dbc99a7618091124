/** Values of every type, read in both forms in which the server sends them: the columns are the same. */

import { tableFromIPC } from 'apache-arrow';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { BatchBuilder } from '../../formats/columns/batch-builder.ts';
import { copyRowDecoder } from './copy-rows.ts';
import { CopyStream } from './copy-stream.ts';
import { fieldDecoder } from './field-decoder.ts';
import { type FieldMapping, mapField, outputText, selectText } from './field-mapping.ts';
import { readTables } from './table-catalogue.ts';

let postgres: PostgresServer;
let client: pg.Client;
beforeAll(async () => {
  postgres = await postgresServer();
  const database = await postgres.createDatabase();
  client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  await client.query(
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'",
  );
  await client.query("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(10, 2)");
});
afterAll(async () => {
  await client.end();
  await postgres[Symbol.asyncDispose]();
});

/** A type, values of it, and what a column holds of each; a text behind `~` went to the side column. */
const TYPES: [string, string[], (string | number | boolean | bigint | null)[]][] = [
  ['boolean', ['true', 'false'], [true, false]],
  ['smallint', ['-32768', '32767'], [-32768, 32767]],
  ['integer', ['-2147483648', '2147483647', '0'], [-2147483648, 2147483647, 0]],
  [
    'bigint',
    ['-9223372036854775808', '9223372036854775807', '9007199254740993', '-1'],
    [-9223372036854775808n, 9223372036854775807n, 9007199254740993n, -1n],
  ],
  ['oid', ['4294967295', '0'], [4294967295n, 0n]],
  [
    'real',
    ['1.5', 'NaN', 'Infinity', '-Infinity', '3.4028235e+38', '1e-45'],
    [1.5, Number.NaN, Infinity, -Infinity, 3.4028234663852886e38, 1.401298464324817e-45],
  ],
  [
    'double precision',
    ['0.1', 'NaN', '-Infinity', '1.7976931348623157e+308', '5e-324', '-0'],
    [0.1, Number.NaN, -Infinity, 1.7976931348623157e308, 5e-324, -0],
  ],
  [
    'numeric(12,2)',
    ['0', '0.01', '-0.01', '9999999999.99', '-9999999999.99', '100', 'NaN'],
    ['0', '1', '-1', '999999999999', '-999999999999', '10000', '~NaN'],
  ],
  [
    'numeric(38,10)',
    ['0.0000000001', '9999999999999999999999999999.9999999999', '-1'],
    ['1', '99999999999999999999999999999999999999', '-10000000000'],
  ],
  [
    'numeric(20,0)',
    ['99999999999999999999', '-12345678901234567890'],
    ['99999999999999999999', '-12345678901234567890'],
  ],
  [
    'numeric',
    ['0', '1.10', '-0.000001', '123456789012345678901234567890.5', '1e-20', '1e30', 'NaN'],
    [
      '0',
      '1.10',
      '-0.000001',
      '123456789012345678901234567890.5',
      '0.00000000000000000001',
      '1000000000000000000000000000000',
      'NaN',
    ],
  ],
  ['price', ['1.50', '-3'], ['150', '-300']],
  [
    'date',
    ['1970-01-02', '0001-12-31 BC', '5874897-12-31', 'infinity', '-infinity'],
    [1, -719163, 2145042905, '~infinity', '~-infinity'],
  ],
  ['time', ['00:00:00.000001', '23:59:59.999999', '24:00:00'], [1n, 86399999999n, '~24:00:00']],
  [
    'timestamp',
    [
      '1970-01-01 00:00:00.000001',
      '4713-01-01 00:00:00 BC',
      '294246-01-01',
      '294276-12-31 23:59:59.999999',
      'infinity',
      '-infinity',
    ],
    [
      1n,
      -210863520000000000n,
      9223339708800000000n,
      '~294276-12-31 23:59:59.999999',
      '~infinity',
      '~-infinity',
    ],
  ],
  [
    'timestamptz',
    [
      '1969-12-31 23:59:59.999999+00',
      '2026-11-21 12:00:00+02',
      'infinity',
      '294276-12-31 23:59:59.999999+00',
    ],
    [-1n, 1795255200000000n, '~infinity', '~294276-12-31 23:59:59.999999+00'],
  ],
  ['uuid', ['01234567-89ab-cdef-0123-456789abcdef'], ['01234567-89ab-cdef-0123-456789abcdef']],
  ['text', ['', 'é😀', "line\nand 'quote'"], ['', 'é😀', "line\nand 'quote'"]],
  ['varchar(10)', ['abc'], ['abc']],
  ['char(5)', ['ab'], ['ab   ']],
  ['name', ['a_name'], ['a_name']],
  ['json', ['{"a": 1.10, "b":[null]}'], ['{"a": 1.10, "b":[null]}']],
  ['jsonb', ['{"b":[null],"a":12345678901234567890}'], ['{"a": 12345678901234567890, "b": [null]}']],
  ['mood', ['sad', 'ok'], ['sad', 'ok']],
  ['bytea', ['\\x', '\\x00ff7f'], ['', '00ff7f']],
  [
    'interval',
    ['1 year 2 mons 3 days 04:05:06.789', '-1 day'],
    ['1 year 2 mons 3 days 04:05:06.789', '-1 days'],
  ],
  ['timetz', ['12:00:00+02'], ['12:00:00+02']],
  ['int[]', ['{1,NULL,3}', '{{1,2},{3,4}}', '[0:1]={5,6}'], ['{1,NULL,3}', '{{1,2},{3,4}}', '[0:1]={5,6}']],
  ['int4range', ['[1,5)', 'empty'], ['[1,5)', 'empty']],
  ['inet', ['10.0.0.1/8', '::1'], ['10.0.0.1/8', '::1']],
  ['macaddr', ['08:00:2b:01:02:03'], ['08:00:2b:01:02:03']],
  ['bit(3)', ['101'], ['101']],
  ['tsvector', ['a:1 b:2'], ["'a':1 'b':2"]],
  ['xml', ['<a>1</a>'], ['<a>1</a>']],
  ['money', ['1234.5'], ['$1,234.50']],
  ['pg_lsn', ['16/B374D848'], ['16/B374D848']],
];

describe.each(TYPES)('%s', (type, values, expected) => {
  test('binary and text come out alike, and whole', async () => {
    await client.query(`DROP TABLE IF EXISTS t; CREATE TABLE t (n serial, v ${type})`);
    for (const value of [...values, null]) await client.query('INSERT INTO t (v) VALUES ($1)', [value]);
    const [table] = await readTables(client);
    const mapping = mapField(table!.columns[1]!);
    const wanted = [...expected, null];
    expect(await readText(mapping)).toEqual(wanted);
    expect(await readBinary(mapping)).toEqual(wanted);
  });
});

async function readBinary(mapping: FieldMapping): Promise<unknown[]> {
  const decoder = fieldDecoder(mapping);
  const unfit = new Map<number, string>();
  let row = 0;
  const rows = copyRowDecoder(
    [decoder],
    (_, text) => unfit.set(row, text),
    () => row++,
  );
  const query = `COPY (SELECT ${selectText(mapping)} FROM t ORDER BY n) TO STDOUT (FORMAT binary)`;
  await CopyStream.start(client, query, (bytes, at, end) => rows.decode(bytes, at, end)).done;
  return valuesOf(mapping, decoder, unfit);
}

async function readText(mapping: FieldMapping): Promise<unknown[]> {
  const decoder = fieldDecoder(mapping);
  const unfit = new Map<number, string>();
  const { rows } = await client.query<{ v: string | null }>(
    `SELECT ${outputText('v')} AS v FROM t ORDER BY n`,
  );
  for (const [i, { v }] of rows.entries()) {
    if (v === null) {
      decoder.builder.pushNull();
      continue;
    }
    const bytes = Buffer.from(`..${v}..`);
    const text = decoder.text(bytes, 2, bytes.byteLength - 4);
    if (text !== undefined) unfit.set(i, text);
  }
  return valuesOf(mapping, decoder, unfit);
}

function valuesOf(
  { column }: FieldMapping,
  decoder: ReturnType<typeof fieldDecoder>,
  unfit: ReadonlyMap<number, string>,
): unknown[] {
  const batch = new BatchBuilder([column], [decoder.builder]);
  const vector = tableFromIPC(batch.takeIpc()).getChildAt(0)!;
  return Array.from({ length: vector.length }, (_, i) => {
    if (unfit.has(i)) {
      expect(vector.get(i)).toBeNull();
      return `~${unfit.get(i)}`;
    }
    if (vector.data[0]!.nullCount > 0 && !vector.isValid(i)) return null;
    const { kind } = column.type;
    // What is stored, where the library would make dates of it.
    if (kind === 'date' || kind === 'time' || kind === 'timestamp') return vector.data[0]!.values[i];
    return plain(kind, vector.get(i));
  });
}

function plain(kind: string, value: unknown): unknown {
  if (kind === 'decimal') {
    const unsigned = (value as Uint32Array).reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
    return String(BigInt.asIntN(128, unsigned));
  }
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
}
