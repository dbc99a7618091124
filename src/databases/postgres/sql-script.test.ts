import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSqlScript } from './sql-script.ts';

type Read = { kind: string; text: string; line: number; rows?: string };

async function read(script: string, cut: (script: string) => Iterable<string> = (s) => [s]): Promise<Read[]> {
  const parts: Read[] = [];
  for await (const part of readSqlScript(cut(script))) {
    if (part.kind !== 'copy') {
      parts.push({ ...part });
      continue;
    }
    let rows = '';
    for await (const piece of part.rows) rows += piece;
    parts.push({ kind: part.kind, text: part.text, line: part.line, rows });
  }
  return parts;
}

const texts = async (script: string): Promise<string[]> => (await read(script)).map(({ text }) => text);

function* characters(script: string): Generator<string> {
  yield* script.split('');
}

test.each<[string, string, string[]]>([
  ['semicolons', 'SELECT 1; SELECT 2;', ['SELECT 1', 'SELECT 2']],
  ['an end without one', 'SELECT 1;\nSELECT 2\n', ['SELECT 1', 'SELECT 2']],
  ['empty statements', ';; -- nothing\n;', []],
  ['strings', "SELECT ';', 'it''s;', ''; SELECT 2", ["SELECT ';', 'it''s;', ''", 'SELECT 2']],
  ['a backslash in a standard string', "SELECT 'c:\\'; SELECT 2", ["SELECT 'c:\\'", 'SELECT 2']],
  [
    'a backslash in an E string',
    "SELECT E'a\\';b', 'c\\'; SELECT 2",
    ["SELECT E'a\\';b', 'c\\'", 'SELECT 2'],
  ],
  ['an E string that goes on', "SELECT e'a'\n 'b\\';'; SELECT 2", ["SELECT e'a'\n 'b\\';'", 'SELECT 2']],
  ['a name that ends in e', "SELECT date'\\'; SELECT 2", ["SELECT date'\\'", 'SELECT 2']],
  ['quoted names', 'SELECT "a;""b;"; SELECT 2', ['SELECT "a;""b;"', 'SELECT 2']],
  [
    'dollar quotes',
    'SELECT $$;$a$;$$, $a$;$$;$b$;$a$; SELECT 2',
    ['SELECT $$;$a$;$$, $a$;$$;$b$;$a$', 'SELECT 2'],
  ],
  ['parameters and names with dollars', 'SELECT $1, a$b$; SELECT $2', ['SELECT $1, a$b$', 'SELECT $2']],
  [
    'comments',
    'SELECT 1 -- ; \'\n, 2 /* ; /* " */ ; */; SELECT 3',
    ['SELECT 1 -- ; \'\n, 2 /* ; /* " */ ; */', 'SELECT 3'],
  ],
  ['operators', 'SELECT 1 - 2 / 3 <-> 4; SELECT 5', ['SELECT 1 - 2 / 3 <-> 4', 'SELECT 5']],
  ['comments before', '-- Name: t;\n\n/* x; */ SELECT 1;', ['SELECT 1']],
  [
    'rules of several statements',
    'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3',
    ['CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)', 'SELECT 3'],
  ],
  [
    'a body in SQL',
    'CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3',
    [
      'CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END',
      'SELECT 3',
    ],
  ],
  ['transactions', 'BEGIN; SELECT 1; END; SELECT 2', ['BEGIN', 'SELECT 1', 'END', 'SELECT 2']],
  ['a mark of byte order', '\uFEFFSELECT 1;', ['SELECT 1']],
])('statements end at semicolons: %s', async (_, script, expected) => {
  expect(await texts(script)).toEqual(expected);
});

test('standard_conforming_strings decides about backslashes', async () => {
  const script =
    "SET standard_conforming_strings = off; SELECT '\\';'; SET standard_conforming_strings TO 'on'; SELECT '\\';";
  expect(await texts(script)).toEqual([
    'SET standard_conforming_strings = off',
    "SELECT '\\';'",
    "SET standard_conforming_strings TO 'on'",
    "SELECT '\\'",
  ]);
});

test('rows of COPY go up to a line of backslash and dot, and lines are counted', async () => {
  const script = [
    '-- rows',
    'COPY public.t (a, "from stdin") FROM stdin;',
    '1\t\\\\.',
    '\\.x',
    "2\t';",
    '\\.',
    '',
    'copy e from STDIN with (format csv) ;  ',
    '\\.',
    'COPY t TO STDOUT;',
    'SELECT 1;',
  ].join('\n');
  expect(await read(script)).toEqual([
    {
      kind: 'copy',
      text: 'COPY public.t (a, "from stdin") FROM stdin',
      line: 2,
      rows: "1\t\\\\.\n\\.x\n2\t';\n",
    },
    { kind: 'copy', text: 'copy e from STDIN with (format csv)', line: 8, rows: '' },
    { kind: 'statement', text: 'COPY t TO STDOUT', line: 10 },
    { kind: 'statement', text: 'SELECT 1', line: 11 },
  ]);
});

test('lines may end as on Windows, and the last one may not end', async () => {
  expect(await read('COPY t FROM stdin;\r\n1\r\n\\.\r\nSELECT 1;\r\nCOPY t FROM stdin;\n2\n\\.')).toEqual([
    { kind: 'copy', text: 'COPY t FROM stdin', line: 1, rows: '1\r\n' },
    { kind: 'statement', text: 'SELECT 1', line: 4 },
    { kind: 'copy', text: 'COPY t FROM stdin', line: 5, rows: '2\n' },
  ]);
});

test('rows that nobody reads, or not all of them, are passed over', async () => {
  const script = [
    'COPY t FROM stdin;\n1\n',
    '2\n3\n',
    '\\.\nSELECT 1;',
    'COPY t FROM stdin;\n1\n',
    '2\n\\.\nSELECT 2;',
  ];
  const seen: string[] = [];
  for await (const part of readSqlScript(script)) {
    seen.push(part.text);
    if (part.kind === 'copy' && seen.length > 1) for await (const _ of part.rows) break;
  }
  expect(seen).toEqual(['COPY t FROM stdin', 'SELECT 1', 'COPY t FROM stdin', 'SELECT 2']);
});

test('commands of psql are lines', async () => {
  expect(await read('\\restrict abc\nSELECT 1;\n  \\connect "a;b"\n')).toEqual([
    { kind: 'command', text: '\\restrict abc', line: 1 },
    { kind: 'statement', text: 'SELECT 1', line: 2 },
    { kind: 'command', text: '\\connect "a;b"', line: 3 },
  ]);
});

test.each([
  ["SELECT 1;\nSELECT 'a", 'it ends inside of a string that begins in line 2'],
  ["SELECT E'a\\'", 'it ends inside of a string that begins in line 1'],
  ['SELECT "a', 'it ends inside of a quoted name that begins in line 1'],
  ['DO $x$ BEGIN $$', 'it ends inside of a $x$ quote that begins in line 1'],
  ['/* a /* b */', 'it ends inside of a comment that begins in line 1'],
  ['COPY t FROM stdin;\n1\n\\', 'it ends inside of the rows of COPY that begins in line 1'],
  ['COPY t FROM stdin; SELECT 1;\n\\.', 'something stands behind COPY in line 1'],
  ['SELECT 1 \\gx', 'in line 1 a command of psql stands inside of a statement'],
])('%j is refused', async (script, message) => {
  await expect(read(script)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: `cannot read the SQL script: ${message}`,
  });
});

const PIECES = [
  'SELECT 1;',
  "SELECT E'\\';', 'x''y';\n",
  'SELECT $tag$;$ta$tag$, "n;";',
  '-- c;\n',
  '/* a /* b; */ */',
  'COPY t FROM stdin;\n1\t\\\\.\n\\.x\n\\.\n',
  'COPY t FROM stdin;\r\n\\.\r\n',
  'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;',
  '\\echo x\n',
  'SELECT a-b/c;\n',
];

test('it does not matter where chunks are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }),
      fc.array(fc.nat({ max: 30 }), { maxLength: 40 }),
      async (pieces, sizes) => {
        const script = pieces.join('');
        const whole = await read(script);
        const cut = function* (text: string): Generator<string> {
          let at = 0;
          for (const size of sizes) {
            yield text.slice(at, at + size);
            at += size;
          }
          yield text.slice(at);
        };
        expect(await read(script, cut)).toEqual(whole);
        expect(await read(script, characters)).toEqual(whole);
      },
    ),
  );
});

test('the script is closed when the caller stops', async () => {
  let closed = false;
  async function* endless(): AsyncGenerator<string> {
    try {
      for (;;) yield 'SELECT 1;';
    } finally {
      closed = true;
    }
  }
  for await (const _ of readSqlScript(endless())) break;
  expect(closed).toBe(true);
});
