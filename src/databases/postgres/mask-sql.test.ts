import { expect, test } from 'vitest';
import type { CatalogueColumn, CatalogueTable } from '../masking/catalogue.ts';
import { FIRST_NAMES, LAST_NAMES } from '../masking/fake-names.ts';
import type { ColumnRule } from '../masking/work.ts';
import { cutText, deleteText, leftText, orphansText, spreadText, updateText } from './mask-sql.ts';

const TABLE = { id: '"Odd"."T"' } as CatalogueTable;
const masked = (name: string, rule: ColumnRule, more: Partial<CatalogueColumn> = {}) => ({
  column: { name, holds: 'text', caseless: false, ...more } as CatalogueColumn,
  rule,
});
const HASH = (column: string) =>
  `sha256(convert_to(current_setting('longshore.mask_key'), 'UTF8') || sha256(convert_to(current_setting('longshore.mask_key'), 'UTF8') || convert_to(${column}, 'UTF8')))`;

test('all columns of a table are one statement', () => {
  const text = updateText({
    table: TABLE,
    columns: [
      masked('a"b', { kind: 'hash', length: 12 }),
      masked('c', { kind: 'constant', value: "it's \\" }),
      masked('d', { kind: 'null' }),
      masked('e', { kind: 'email', digits: 20 }, { caseless: true }),
    ],
  });
  expect(text).toBe(
    `UPDATE "Odd"."T" AS t SET "a""b" = left(encode(${HASH('t."a""b"::text')}, 'hex'), 12), "c" = E'it''s \\\\', "d" = NULL, ` +
      `"e" = 'u' || left(encode(${HASH('lower(t."e"::text)')}, 'hex'), 20) || '@example.com'`,
  );
});

test('shuffled columns are shuffled apart', () => {
  const text = updateText({
    table: TABLE,
    columns: [
      masked('a', { kind: 'shuffle' }),
      masked('b', { kind: 'null' }),
      masked('c', { kind: 'shuffle' }),
    ],
  });
  expect(text).toMatch(/^UPDATE "Odd"."T" AS t SET "a" = s.s0, "b" = NULL, "c" = s.s1 FROM/);
  expect(text.match(/ORDER BY random\(\)/g)).toHaveLength(2);
});

test('rows that go are found by every column of a key', () => {
  const key = {
    ...{ name: 'k', child: '"c"', childColumns: ['x', 'y'], parent: '"p"', parentColumns: ['i', 'j'] },
    definition: undefined,
  };
  const partitioned = (id: string) => id === '"p"';
  expect(spreadText(key, partitioned)).toMatch(
    /FROM ONLY "c" c\s+JOIN "p" p ON p."i" = c."x" AND p."j" = c."y"\s+JOIN pg_temp.longshore_gone g/,
  );
  const orphaned = `c."x" IS NOT NULL AND c."y" IS NOT NULL AND NOT EXISTS (SELECT FROM "p" p WHERE p."i" = c."x" AND p."j" = c."y")`;
  expect(orphansText(key, partitioned)).toBe(`SELECT count(*)::text FROM ONLY "c" c WHERE ${orphaned}`);
  expect(cutText(key, partitioned)).toBe(`UPDATE ONLY "c" c SET "x" = NULL, "y" = NULL WHERE ${orphaned}`);
  expect(deleteText('"c"')).toContain('t.tableoid = g.o AND t.ctid = g.t');
});

test('what a rule leaves is counted, unless it may be what was there', () => {
  const left = (rule: ColumnRule) => leftText({ table: TABLE, columns: [] }, masked('a', rule), 3);
  expect(left({ kind: 'hash', length: 12 })).toContain('b.c = 3');
  expect(left({ kind: 'null' })).toBe('SELECT count(*)::text FROM "Odd"."T" t WHERE t."a" IS NOT NULL');
  expect(left({ kind: 'shuffle' })).toBeUndefined();
});

test('there are as many names as a byte chooses evenly', () => {
  for (const names of [FIRST_NAMES, LAST_NAMES]) {
    expect(256 % names.length).toBe(0);
    expect(new Set(names).size).toBe(names.length);
  }
});
