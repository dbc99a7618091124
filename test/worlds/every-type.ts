/** Every type of which PostgreSQL, from 15 on, can make a column, what a file makes of it, and values at its ends. */

/** A column of the torture tables. */
export interface TypedColumn {
  /** As in `CREATE TABLE`. */
  readonly type: string;
  /** As docs/replicate.md names it. */
  readonly parquet: string;
  /** SQL expressions, each of the type. NULL is added to them. */
  readonly values: readonly string[];
}

/** A column whose values are literals of its type. */
function literals(type: string, parquet: string, ...values: string[]): TypedColumn {
  return { type, parquet, values: values.map((value) => `${quoted(value)}::${type}`) };
}

function quoted(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

const text = (type: string, ...values: string[]): TypedColumn => literals(type, 'STRING', ...values);

const TEXTS = [
  '',
  ' ',
  'NULL',
  '\\N',
  'a\tb\nc\r\nd\\e',
  `it's "quoted", {braced}`,
  'é',
  '€',
  '😀👩‍👩‍👧',
  '\u{10ffff}\ufffd\u0301',
  '\u0001\u001f\u007f\u0080',
];

const TIMESTAMPS = [
  'infinity',
  '-infinity',
  '4713-01-01 00:00:00 BC',
  '4713-01-01 00:00:00.000001 BC',
  '0044-03-15 12:34:56.789 BC',
  '0001-12-31 23:59:59.999999 BC',
  '0001-01-01 00:00:00',
  '1582-10-10 00:00:00',
  '1899-12-31 23:59:59.999999',
  '1969-12-31 23:59:59.999999',
  '1970-01-01 00:00:00',
  '1970-01-01 00:00:00.000001',
  '2000-01-01 00:00:00',
  '2038-01-19 03:14:08',
  '2106-02-07 06:28:15.999999',
  // Around 2^53 microseconds, and so many before 1970.
  '2255-06-05 23:47:34.740991',
  '2255-06-05 23:47:34.740992',
  '2255-06-05 23:47:34.740993',
  '1684-07-28 00:12:25.259007',
  '9999-12-31 23:59:59.999999',
  '10000-01-01 00:00:00',
  // The ends of JavaScript's dates.
  '275760-09-13 00:00:00',
  '275760-09-13 00:00:00.000001',
  '294246-12-31 23:59:59.999999',
  // The ends of 64 bits that count from 1970: what readers take for infinity comes last.
  '294247-01-10 04:00:54.775806',
  '294247-01-10 04:00:54.775807',
  '294247-01-10 04:00:54.775808',
  '294276-12-31 23:59:59.999999',
];

const JSON_TEXTS = [
  'null',
  '""',
  '{"a": 1, "a": 2, "": {"a": []}}',
  '[9007199254740993, 12345678901234567890.123456789, 1e400, -0, 1.10, 5e-324]',
  '{"\\u00e9": "\\ud83d\\ude00 \\" \\\\ \\n"}',
  '[[[[[[]]]]]]',
];

/** Text that does not compress to less than a page; its table is one of {@link MADE_TYPES}. */
const KILOBYTES_64 = '(SELECT kilobytes_64 FROM hashes)';
const MEGABYTES_5 = '(SELECT megabytes_5 FROM hashes)';

const FLOATS = ['0', '-0', '1', '-1.5', 'NaN', 'Infinity', '-Infinity', '0.1', '16777217'];

/** Types with a form of their own in the file. */
export const NATIVE: readonly TypedColumn[] = [
  literals('boolean', 'BOOLEAN', 'true', 'false'),
  literals('smallint', 'INT32 (INT 16)', '-32768', '-1', '0', '32767'),
  literals('integer', 'INT32', '-2147483648', '-1', '0', '2147483647'),
  literals(
    'bigint',
    'INT64',
    '-9223372036854775808',
    '-9007199254740993',
    '-4294967296',
    '-1',
    '0',
    '4294967295',
    '999999999999999',
    '9007199254740993',
    '9223372036854775807',
  ),
  literals('oid', 'INT64', '0', '2147483648', '4294967295'),
  literals('xid', 'INT64', '0', '3', '4294967295'),
  literals('cid', 'INT64', '0', '4294967295'),
  // Decimals that lie almost between two of them, and a NaN with a sign.
  literals('real', 'FLOAT', '7.038531e-26', '-7.038531e-26'),
  { type: 'real', parquet: 'FLOAT', values: ["-('NaN'::real)"] },
  { type: 'double precision', parquet: 'DOUBLE', values: ["-('NaN'::float8)"] },
  literals('real', 'FLOAT', ...FLOATS, '3.4028235e38', '-3.4028235e38', '1e-45', '1.1754942e-38'),
  literals(
    'double precision',
    'DOUBLE',
    ...FLOATS,
    '1.7976931348623157e308',
    '-1.7976931348623157e308',
    '5e-324',
    '2.2250738585072011e-308',
    '9007199254740993',
    '123456789.123456789',
  ),
  literals('numeric(1,0)', 'DECIMAL(1,0)', '-9', '0', '9', 'NaN'),
  literals('numeric(9,4)', 'DECIMAL(9,4)', '-99999.9999', '0.0001', '-0.0001', '0', '99999.9999', 'NaN'),
  literals('numeric(10,2)', 'DECIMAL(10,2)', '-99999999.99', '42949672.96', '-42949672.96', '99999999.99'),
  literals('numeric(15,15)', 'DECIMAL(15,15)', '-0.999999999999999', '0.000000000000001', '0', 'NaN'),
  literals(
    'numeric(16,0)',
    'DECIMAL(16,0)',
    '9999999999999999',
    '-9999999999999999',
    '9007199254740993',
    '10000',
  ),
  literals('numeric(18,9)', 'DECIMAL(18,9)', '999999999.999999999', '-999999999.999999999', '0.000000001'),
  literals('numeric(19,0)', 'DECIMAL(19,0)', '9999999999999999999', '-9223372036854775809', '-1', 'NaN'),
  literals(
    'numeric(38,10)',
    'DECIMAL(38,10)',
    '9999999999999999999999999999.9999999999',
    '-9999999999999999999999999999.9999999999',
    '0.0000000001',
    '-0.0000000001',
    '0',
    '1',
    'NaN',
  ),
  literals('numeric(38,38)', 'DECIMAL(38,38)', `0.${'9'.repeat(38)}`, `-0.${'0'.repeat(37)}1`, '0'),
  literals('numeric(5,-3)', 'DECIMAL(8,0)', '99999000', '-99999000', '1000', '0', 'NaN'),
  literals('numeric(3,5)', 'DECIMAL(5,5)', '0.00999', '-0.00999', '0.00001', '0'),
  literals('numeric(30,-8)', 'DECIMAL(38,0)', `${'9'.repeat(30)}00000000`, '-100000000'),
  literals(
    'date',
    'DATE',
    'infinity',
    '-infinity',
    '4714-11-24 BC',
    '0044-03-15 BC',
    '0001-12-31 BC',
    '0001-01-01',
    '1582-10-10',
    '1969-12-31',
    '1970-01-01',
    '2000-02-29',
    '9999-12-31',
    '10000-01-01',
    '5874897-12-31',
  ),
  literals(
    'time',
    'TIME(MICROS)',
    '00:00:00',
    '00:00:00.000001',
    '01:11:34.967296',
    '23:59:59.999999',
    '24:00:00',
  ),
  literals('time(0)', 'TIME(MICROS)', '23:59:59', '24:00:00'),
  literals('timestamp', 'TIMESTAMP(MICROS, local)', ...TIMESTAMPS),
  literals(
    'timestamptz',
    'TIMESTAMP(MICROS, UTC)',
    ...TIMESTAMPS.map((value) => (value.endsWith('infinity') ? value : value.replace(/( BC)?$/, '+00$1'))),
    // In a zone whose offset has seconds.
    '1900-01-01 00:00:00 Europe/Amsterdam',
  ),
  literals('timestamp(3)', 'TIMESTAMP(MICROS, local)', '2026-11-21 12:00:00.123'),
  literals('uuid', 'STRING', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
  text('text', ...TEXTS),
  text('varchar', ...TEXTS),
  text('varchar(12)', '', ' ', 'é€😀'),
  text('bpchar', '', ' ', 'a  '),
  text('char(6)', '', 'a', 'é€😀'),
  text('name', '', 'a_name', 'n'.repeat(63)),
  literals(
    'bytea',
    'BYTE_ARRAY',
    '\\x',
    '\\x00',
    '\\x00ff7f80',
    `\\x${Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0')).join('')}`,
  ),
  text('json', ...JSON_TEXTS, '  { "b" : 1 }\n', '1e400'),
  text('jsonb', ...JSON_TEXTS),
  text(
    'numeric',
    'NaN',
    'Infinity',
    '-Infinity',
    '0',
    '0.000',
    '-1.10',
    '1e-20',
    '10000',
    '12340000.5600',
    '-0.00000001',
  ),
  text('numeric(39,1)', '99999999999999999999999999999999999999.9', '-0.1', '0', 'NaN'),
];

/** Types that are kept as the text of their output function. */
export const AS_TEXT: readonly TypedColumn[] = [
  text('"char"', 'a', '', ' '),
  text(
    'interval',
    '0',
    '178000000 years',
    '-178000000 years',
    '1 mon -1 days +04:05:06.789',
    '-1 mon 1 day -00:00:00.000001',
    '-9223372036854.775808 s',
    '1 year -1 mon',
  ),
  { type: 'interval', parquet: 'STRING', values: [from17('infinity'), from17('-infinity')] },
  text('timetz', '00:00:00+00', '24:00:00-15:59:59', '12:00:00.000001+01:02:03', '23:59:59.999999+15:59'),
  text('bit(3)', '000', '101'),
  text('bit varying', '', '1', '0'.repeat(70)),
  text('inet', '10.0.0.1', '10.0.0.1/8', '0.0.0.0/0', '::1', '::ffff:1.2.3.4/96', 'fe80::/10'),
  text('cidr', '10.0.0.0/8', '::/0', '10.0.0.1/32'),
  text('macaddr', '08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff'),
  text('macaddr8', '08:00:2b:01:02:03:04:05'),
  text('money', '-92233720368547758.08', '92233720368547758.07', '0', '-0.01'),
  text('tsvector', '', `'a':1A,2B 'b c':3 'it''s' '\\\\'`),
  text('tsquery', '', `'fat' & ( 'rat' | !'cat' ) <2> 'dog':*AB`),
  text('xml', '', '<a b="c">é &lt; &amp; <![CDATA[x]]></a>', '<?xml version="1.0"?><a/>', 'text <b/>'),
  text('xml', '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><a>€</a>'),
  text('jsonpath', '$.a[*] ? (@ > 1.5)', 'strict $."é"'),
  text('point', '(0,-0)', '(1e308,-Infinity)', '(NaN,0.1)'),
  text('line', '{1,-1,0}'),
  text('lseg', '[(0,0),(1.5,-1e-300)]'),
  text('box', '(1,1),(0,0)', '(0.1,0.2),(0.3,-0.4)'),
  text('path', '((0,0),(1,1))', '[(0,0),(1,1),(2,0)]'),
  text('polygon', '((0,0),(1,1),(2,0))'),
  text('circle', '<(0,0),1.5>'),
  text('pg_lsn', '0/0', 'FFFFFFFF/FFFFFFFF'),
  text('pg_snapshot', '10:20:10,14,15'),
  text('txid_snapshot', '10:20:10,14,15'),
  text('xid8', '0', '18446744073709551615'),
  text('tid', '(0,0)', '(4294967295,65535)'),
  text('refcursor', 'a cursor'),
  text('aclitem', 'postgres=arwdDxt/postgres'),
  text('int2vector', '', '1 -32768 32767'),
  text('oidvector', '', '0 4294967295'),
  text('regclass', '-', 'pg_class', 'information_schema.tables'),
  text('regcollation', '-', '"C"'),
  text('regconfig', '-', 'english'),
  text('regdictionary', '-', 'simple'),
  text('regnamespace', '-', 'pg_catalog'),
  text('regoper', '0', '||/'),
  text('regoperator', '0', '+(integer,integer)'),
  text('regproc', '-', 'pg_sleep'),
  text('regprocedure', '-', 'pg_sleep(double precision)'),
  text('regrole', '-', 'pg_monitor'),
  text('regtype', '-', 'timestamp with time zone', 'integer[]'),
  text('int4range', 'empty', '(,)', '[-2147483648,2147483647)', '[1,2)'),
  text('int8range', 'empty', '[9007199254740993,9223372036854775807)'),
  text('numrange', '(,)', '[1.10,1.100]', '(-Infinity,NaN]'),
  text('daterange', '[-infinity,infinity]', '[4714-11-24 BC,5874897-12-31)'),
  text('tsrange', '["4713-01-01 00:00:00 BC","294276-12-31 23:59:59.999999")', '(,infinity)'),
  text('tstzrange', '["2026-01-01 00:00:00.000001+05:30",)'),
  text('int4multirange', '{}', '{[1,2),[5,)}'),
  text('int8multirange', '{(,9223372036854775807)}'),
  text('nummultirange', '{[1.10,1.5],(2,3)}'),
  text('datemultirange', '{[2026-01-01,2026-02-01)}'),
  text('tsmultirange', '{["2026-01-01 00:00:00","2026-01-01 00:00:01"]}'),
  text('tstzmultirange', '{["2026-01-01 00:00:00+02","2026-01-01 00:00:01+02"]}'),
  { type: 'pg_node_tree', parquet: 'STRING', values: ['(SELECT adbin FROM pg_attrdef LIMIT 1)'] },
  { type: 'pg_ndistinct', parquet: 'STRING', values: [statisticOf('stxdndistinct')] },
  { type: 'pg_dependencies', parquet: 'STRING', values: [statisticOf('stxddependencies')] },
  { type: 'pg_mcv_list', parquet: 'STRING', values: [statisticOf('stxdmcv')] },
  // Of these no SQL makes a value.
  ...['gtsvector', 'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary'].map((type) => text(type)),
];

/** An interval that older servers have not. */
function from17(value: string): string {
  return `(CASE WHEN current_setting('server_version_num')::int >= 170000 THEN '${value}' ELSE '0' END)::interval`;
}

function statisticOf(column: string): string {
  return `(SELECT ${column} FROM pg_statistic_ext_data WHERE ${column} IS NOT NULL LIMIT 1)`;
}

/** What the columns below name; for an empty database. */
export const MADE_TYPES = `
  CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION isn;
  CREATE TYPE mood AS ENUM ('sad', 'so, so', 'it''s "ok"', '😀');
  CREATE DOMAIN price AS numeric(10, 2) CHECK (VALUE > -1000);
  CREATE DOMAIN fair_price AS price;
  CREATE DOMAIN any_amount AS numeric;
  CREATE DOMAIN good_mood AS mood;
  CREATE DOMAIN better_mood AS good_mood;
  CREATE DOMAIN numbers AS int[];
  CREATE DOMAIN instant AS timestamptz;
  CREATE DOMAIN code AS char(3);
  CREATE TYPE amount AS (value numeric, note text, at timestamptz);
  CREATE TYPE nested AS (one amount, many amount[], mood mood);
  CREATE DOMAIN known_amount AS amount;
  CREATE TYPE floatrange AS RANGE (subtype = float8);
  -- By their names alone these could be taken for those of PostGIS.
  CREATE SCHEMA shapes; CREATE TYPE shapes.geometry AS (x int, y int); CREATE TYPE shapes.geography AS (lon float8, lat float8);
  CREATE TABLE counted (a int DEFAULT 1, b int, c int); CREATE STATISTICS of_counted ON a, b FROM counted;
  INSERT INTO counted SELECT i % 3, i % 6, i FROM generate_series(1, 100) i; ANALYZE counted;
  CREATE TABLE hashes AS SELECT left(v, 65536) AS kilobytes_64, v AS megabytes_5
    FROM (SELECT string_agg(md5(i::text), '') AS v FROM generate_series(1, 163840) i) h`;

/** Of users' own types, and of extensions that come with PostgreSQL. */
export const MADE: readonly TypedColumn[] = [
  text('mood', 'sad', 'so, so', `it's "ok"`, '😀'),
  text('mood[]', '{}', '{sad,NULL,"so, so"}', `{"it's \\"ok\\""}`),
  literals('price', 'DECIMAL(10,2)', '-999.99', '99999999.99', '0', 'NaN'),
  literals('fair_price', 'DECIMAL(10,2)', '-999.99', '99999999.99', 'NaN'),
  text('any_amount', '1.10', 'Infinity', 'NaN'),
  text('good_mood', 'sad', '😀'),
  text('better_mood', 'sad'),
  text('numbers', '{1,NULL,3}', '{}'),
  literals('instant', 'TIMESTAMP(MICROS, UTC)', 'infinity', '2026-11-21 12:00:00.000001+02'),
  text('code', 'a', 'abc'),
  text('amount', '(1.10,x,)', '(,,)', '(NaN,"(,\\"\\\\",infinity)', '(,"",)'),
  text('amount[]', '{"(1.10,x,)",NULL,"(,,)"}'),
  text('nested', '("(1.10,,)","{""(2.0,,)""}",sad)', '(,,)', '("(,,)",{},)'),
  text('known_amount', '(,,)', '(1.0,"a,b",)'),
  text('price[]', '{1.00,NULL}'),
  text('floatrange', '[0.1,NaN]', 'empty'),
  text('hstore', '', 'a=>1, b=>NULL, "c d"=>"\\"x\\""'),
  text('citext', '', 'MiXeD é'),
  text('ltree', '', 'Top.Science'),
  text('cube', '(1,2),(3,4.5)'),
  text('isbn', '0-393-04002-X'),
  text('shapes.geometry', '(1,2)', '(,)', '(1,)'),
  text('shapes.geography', '(1.5,-2)', '(,)'),
  text('numeric(10,2)[]', '{1.10,NULL,NaN}', '{{1,2},{3,4}}', '[-2:-1]={5,6}', '[0:0][2:3]={{1,2}}'),
  // Stored apart.
  { type: 'text', parquet: 'STRING', values: [KILOBYTES_64] },
  text('text[]', '{}', '{"",NULL,"NULL"," ","{a,b}","\\"\\\\"}', '{{é,€},{😀,a}}'),
];

/** Values that are stored apart, and numbers with as many digits as there can be. */
export const LARGE: readonly TypedColumn[] = [
  {
    type: 'text',
    parquet: 'STRING',
    values: [MEGABYTES_5, `repeat('😀', 50000)`, KILOBYTES_64, `'short'`, `''`, `repeat('x', 300000)`],
  },
  {
    type: 'bytea',
    parquet: 'BYTE_ARRAY',
    values: [
      `''`,
      `'\\x00'`,
      `decode(repeat('00ff', 20000), 'hex')`,
      `convert_to(${MEGABYTES_5}, 'UTF8')`,
      `convert_to(${KILOBYTES_64}, 'UTF8')`,
      `'\\xff'`,
    ],
  },
  {
    type: 'numeric',
    parquet: 'STRING',
    values: [
      `(repeat('9', 131072) || '.' || repeat('9', 16383))::numeric`,
      `-(repeat('8', 131072)::numeric)`,
      `1e131071::numeric`,
      `('-0.' || repeat('0', 16382) || '1')::numeric`,
    ],
  },
  { type: 'jsonb', parquet: 'STRING', values: [`jsonb_build_object('a', ${KILOBYTES_64}, 'b', 1e400)`] },
  {
    type: 'json',
    parquet: 'STRING',
    values: [`('{"a": 1' || repeat('0', 5000) || ', "a": "' || repeat('é', 5000) || '"}')::json`],
  },
  {
    type: 'int[]',
    parquet: 'STRING',
    values: ['(SELECT array_agg(i * 7919) FROM generate_series(1, 20000) i)'],
  },
  { type: 'xml', parquet: 'STRING', values: [`('<a>' || ${KILOBYTES_64} || '</a>')::xml`] },
];

/** Of PostGIS, where it is there. */
export const GEOMETRY: readonly TypedColumn[] = [
  literals(
    'geometry',
    'BYTE_ARRAY',
    'POINT EMPTY',
    'SRID=4326;POINT(1 -2)',
    'POINT ZM(1 2 3 1e300)',
    'GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1), POLYGON EMPTY)',
  ),
  // Stored apart.
  {
    type: 'geometry',
    parquet: 'BYTE_ARRAY',
    values: ["ST_Buffer('POINT(0 0)', 1, 2000)", "'POINT(0 0)'::geometry"],
  },
  literals('geometry(Point,4326)', 'BYTE_ARRAY', 'SRID=4326;POINT(180 90)'),
  literals('geography', 'BYTE_ARRAY', 'POINT(1 2)', 'POLYGON((0 0, 0 1, 1 1, 0 0))'),
  { type: 'geometry[]', parquet: 'STRING', values: ["ARRAY['POINT(1 2)', NULL]::geometry[]"] },
  {
    type: 'geometry(Point,4326)[]',
    parquet: 'STRING',
    values: ["ARRAY['SRID=4326;POINT(1 2)', NULL]::geometry(Point,4326)[]"],
  },
  text('box2d', 'BOX(0 0,1 1.5)'),
  text('box3d', 'BOX3D(0 0 0,1 1 1)'),
];

/** Arrays of every type that has one: all of its values, and NULL. */
export function arraysOf(columns: readonly TypedColumn[]): TypedColumn[] {
  return columns
    .filter(({ type }) => !ARRAYLESS.has(type) && !type.endsWith(']'))
    .map(({ type, values }) => ({
      type: `${type}[]`,
      parquet: 'STRING',
      values: [
        `ARRAY[${[...values, 'NULL'].join(', ')}]::${type}[]`,
        `ARRAY[[NULL, ${values[0] ?? 'NULL'}], [NULL, NULL]]::${type}[]`,
        `'{}'::${type}[]`,
      ],
    }));
}

const ARRAYLESS = new Set([
  'pg_node_tree',
  'pg_ndistinct',
  'pg_dependencies',
  'pg_mcv_list',
  'pg_brin_bloom_summary',
  'pg_brin_minmax_multi_summary',
]);
