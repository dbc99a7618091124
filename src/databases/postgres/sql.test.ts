import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ColumnFacts } from '../database.ts';
import {
  arrayLiteral,
  boundaryStatement,
  quoteName,
  rewriteText,
  rowsByKeyStatement,
  rowsWithValueStatement,
  sampleStatement,
  scanStatement,
} from './sql.ts';

const column: ColumnFacts = {
  ref: { schema: 'public', table: 'avatars', column: 'path', within: 'auto' },
  name: 'public.avatars.path',
  kind: 'table',
  dataType: 'text',
  within: 'value',
  primaryKey: [{ name: 'id', type: 'bigint' }],
  indexed: true,
  rowsEstimate: 1000,
  generated: false,
  updateTriggers: [],
  canSelect: true,
  canUpdate: true,
};
const composite: ColumnFacts = {
  ...column,
  primaryKey: [...column.primaryKey, { name: 'Part', type: 'text' }],
};
const keyless: ColumnFacts = { ...column, primaryKey: [], indexed: false };

describe('names and arrays', () => {
  it('quotes names', () => {
    expect(quoteName('a"b.C')).toBe('"a""b.C"');
  });

  it('writes arrays that hold any text', () => {
    expect(arrayLiteral([])).toBe('{}');
    expect(arrayLiteral(['a', '', 'NULL', '{,}'])).toBe('{"a","","NULL","{,}"}');
    expect(arrayLiteral(['a"b', 'c\\d'])).toBe('{"a\\"b","c\\\\d"}');
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (texts) => {
        expect(elements(arrayLiteral(texts))).toEqual(texts);
      }),
    );
  });
});

describe('reading', () => {
  it('scans a range page by page in key order', () => {
    expect(scanStatement(column, { after: ['1'], upTo: ['9'] }, undefined, 100)).toEqual({
      text: 'SELECT t."id"::text, t."path"::text FROM "public"."avatars" AS t WHERE t."id" > $1::text::bigint AND t."id" <= $2::text::bigint AND t."path" IS NOT NULL ORDER BY t."id" LIMIT 100',
      values: ['1', '9'],
    });
  });

  it('compares keys of several columns as rows', () => {
    const { text, values } = scanStatement(composite, { after: ['1', 'x'] }, undefined, 5);
    expect(text).toContain('WHERE (t."id", t."Part") > ($1::text::bigint, $2::text::text) AND');
    expect(values).toEqual(['1', 'x']);
  });

  it('looks for needles without patterns', () => {
    const { text, values } = scanStatement(keyless, {}, ['a%', "b'"], 5);
    expect(text).toBe(
      'SELECT t."path"::text FROM "public"."avatars" AS t WHERE t."path" IS NOT NULL AND (position($1::text in (t."path"::text COLLATE "C")) > 0 OR position($2::text in (t."path"::text COLLATE "C")) > 0)',
    );
    expect(values).toEqual(['a%', "b'"]);
    expect(scanStatement(keyless, { after: ['(3,0)'] }, [], 5).text).toMatch(
      /t\.ctid > \$1::text::tid .* AND false$/,
    );
  });

  it('finds boundaries, values and keys', () => {
    expect(boundaryStatement(column, undefined, 10).text).toBe(
      'SELECT t."id"::text FROM "public"."avatars" AS t ORDER BY t."id" OFFSET 9 LIMIT 1',
    );
    expect(rowsWithValueStatement(column, ['a'])).toEqual({
      text: 'SELECT t."id"::text, t."path"::text FROM "public"."avatars" AS t WHERE t."path" = ANY($1::text[]::text[]) AND t."path"::text COLLATE "C" = ANY($1::text[])',
      values: ['{"a"}'],
    });
    expect(rowsWithValueStatement(keyless, ['a']).text).not.toContain('t."path" = ANY');
    expect(
      rowsByKeyStatement(composite, [
        ['1', 'x'],
        ['2', 'y'],
      ]),
    ).toEqual({
      text: 'SELECT t."id"::text, t."Part"::text, t."path"::text FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS v(k1, k2, n) JOIN "public"."avatars" AS t ON t."id" = v.k1::bigint AND t."Part" = v.k2::text WHERE t."path" IS NOT NULL',
      values: ['{"1","2"}', '{"x","y"}'],
    });
    expect(sampleStatement(column, 5, 0.5).text).toContain('TABLESAMPLE SYSTEM (0.5)');
  });
});

describe('rewriting', () => {
  it('is one statement, guarded by the old value', () => {
    expect(rewriteText(column, false)).toBe(
      'UPDATE "public"."avatars" AS t SET "path" = v.new::text FROM (SELECT k1::bigint AS k1, old, new, n FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS v(k1, old, new, n) ORDER BY 1) AS v WHERE t."id" = v.k1 AND t."path"::text COLLATE "C" = v.old RETURNING v.n::int4, CASE WHEN t."path"::text COLLATE "C" = v.new THEN NULL ELSE t."path"::text END',
    );
  });

  it('finds rows by value, through the index where there is one', () => {
    expect(rewriteText(column, true)).toMatch(
      /WHERE t\."path" = v\.old::text AND .* RETURNING .*, t\."id"::text$/,
    );
    expect(rewriteText(keyless, true)).toMatch(
      /WHERE t\."path"::text COLLATE "C" = v\.old RETURNING v\.n::int4, CASE .* END$/,
    );
  });

  it('uses the old value for a key that is the column itself', () => {
    const own = { ...column, primaryKey: [{ name: 'path', type: 'text' }] };
    expect(rewriteText(own, false)).toContain('SELECT old::text AS k1');
    expect(rewriteText(own, true)).toMatch(/, v\.old$/);
  });
});

/** Reads an array of quoted texts back. */
function elements(literal: string): string[] {
  return [...literal.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map((match) => match[1]!.replace(/\\(.)/gs, '$1'));
}
