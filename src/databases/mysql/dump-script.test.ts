import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RowDigest } from '../row-digest.ts';
import { DumpScript } from './dump-script.ts';

function read(script: string, cut = Number.POSITIVE_INFINITY): DumpScript {
  const reader = new DumpScript();
  const bytes = Buffer.from(script);
  for (let at = 0; at < bytes.length; at += cut) reader.write(bytes.subarray(at, at + cut));
  reader.end();
  return reader;
}

function digest(...tuples: string[]): string {
  const rows = new RowDigest();
  for (const tuple of tuples) rows.add(Buffer.from(tuple), 0, Buffer.byteLength(tuple));
  return `${rows.rows} ${rows}`;
}

const rowsOf = (reader: DumpScript) =>
  Object.fromEntries([...reader.tables].map(([name, rows]) => [name, `${rows.rows} ${rows}`]));

const SCRIPT = String.raw`/*M!999999\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB
--
/*!40101 SET NAMES utf8mb4 */;
CREATE SEQUENCE ${'`'}sq${'`'} start with 7 ENGINE=InnoDB;
DO SETVAL(${'`'}sq${'`'}, 3007, 0);
CREATE TABLE ${'`'}odd ${'``'}na'"me ü;(${'`'} (
  ${'`'}VALUES${'`'} int(11) DEFAULT NULL COMMENT 'CREATE TABLE ${'`'}no${'`'}'
);
CREATE TABLE ${'`'}plain${'`'} (
  a int
);
CREATE TABLE ${'`'}empty${'`'} (
LOCK TABLES ${'`'}plain${'`'} WRITE;
INSERT INTO ${'`'}plain${'`'} VALUES
(1,'a\'b)\\',NULL),
(2,'it''s; (x','\n\r\0'),(-3.5e10,0x00FF,'\\');
INSERT INTO ${'`'}odd ${'``'}na'"me ü;(${'`'} (${'`'}VALUES${'`'}, ${'`'}c ${'``'}V(${'`'}) VALUES (1,'x(\')'),
(2,f(3,(4)));
INSERT INTO ${'`'}plain${'`'} VALUES (4,'',NULL);
UNLOCK TABLES;
/*!50001 CREATE VIEW ${'`'}v${'`'} AS SELECT
 NULL AS ${'`'}a${'`'} */;
DELIMITER ;;
CREATE PROCEDURE p() begin
INSERT INTO ${'`'}plain${'`'} VALUES (1);
CREATE TABLE ${'`'}temporary${'`'} (a int);
-- Dump completed
end ;;
DELIMITER ;

-- Dump completed on 2026-11-21 22:32:58
`;

it('reads tables, rows and sequences, wherever the chunks are cut', () => {
  const expected = {
    'odd `na\'"me ü;(': digest(String.raw`1,'x(\')'`, '2,f(3,(4))'),
    plain: digest(
      String.raw`1,'a\'b)\\',NULL`,
      String.raw`2,'it''s; (x','\n\r\0'`,
      String.raw`-3.5e10,0x00FF,'\\'`,
      "4,'',NULL",
    ),
    empty: digest(),
  };
  for (const cut of [1, 2, 3, 7, 64, 1000, Number.POSITIVE_INFINITY]) {
    const reader = read(SCRIPT, cut);
    expect(rowsOf(reader)).toEqual(expected);
    expect(Object.fromEntries(reader.sequences)).toEqual({ sq: '3007 0' });
    expect(reader.complete).toBe(true);
  }
});

it.each([
  ['its last line', SCRIPT.slice(0, SCRIPT.lastIndexOf('-- Dump completed'))],
  ['the end of a row', SCRIPT.slice(0, SCRIPT.indexOf('it'))],
  ['what it says after its last line', `${SCRIPT}INSERT`],
  ['anything', ''],
])('is not complete without %s', (_, script) => {
  expect(read(script).complete).toBe(false);
});

it('takes a last line without a line break', () => {
  expect(read(SCRIPT.trimEnd()).complete).toBe(true);
});

it('counts rows of any text', () => {
  const literal = (text: string) =>
    `'${text.replace(/[\\'"\n\r\0]/g, (character) => `\\${({ '\n': 'n', '\r': 'r', '\0': '0' } as Record<string, string>)[character] ?? character}`)}'`;
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom(...'\'\\"();,\n`ü😀a-') }), { minLength: 1 }),
      fc.integer({ min: 1, max: 40 }),
      (texts, cut) => {
        const tuples = texts.map((text, index) => `${index},${literal(text)}`);
        const script = `CREATE TABLE \`t\` (\nINSERT INTO \`t\` VALUES\n(${tuples.join('),\n(')});\n`;
        expect(rowsOf(read(script, cut))).toEqual({ t: digest(...tuples) });
      },
    ),
  );
});

it('fails where rows come of a table that was not made', () => {
  expect(() => read('INSERT INTO `t` VALUES (1);\n')).toThrow(
    expect.objectContaining({ code: 'DATABASE_FAILED' }),
  );
});
