/** The SQL that changes rows. */

import { describe, expect, test } from 'vitest';
import {
  deleteStatement,
  insertStatement,
  selectIntoStatement,
  updateStatement,
  wholeRowStatement,
} from './row-statements.ts';
import type { TargetColumn, TargetTable } from './target-table.ts';

const column = (name: string, type: string, more: Partial<TargetColumn> = {}): TargetColumn => ({
  name,
  type,
  asText: false,
  base: null,
  exact: true,
  equals: '=',
  always: false,
  ...more,
});
const TABLE: TargetTable = {
  schema: 'public',
  name: 't',
  text: 'ONLY "public"."t"',
  plainText: '"public"."t"',
  columns: [
    column('id', 'integer'),
    column('a "b"', 'integer[]', { asText: true, exact: false }),
    column('m', 'mood'),
  ],
  key: [0],
};

describe('many rows', () => {
  test('are inserted from arrays, with what arrays give a meaning to', () => {
    expect(
      insertStatement(TABLE, [
        ['1', '{1,NULL}', 'it\'s "ok"\\'],
        ['2', null, 'NULL'],
      ]),
    ).toEqual({
      text: `INSERT INTO "public"."t" ("id", "a ""b""", "m") OVERRIDING SYSTEM VALUE
SELECT v.s0, v.s1::integer[], v.s2 FROM unnest($1::integer[], $2::text[], $3::mood[]) AS v ("s0", "s1", "s2")`,
      values: ['{"1","2"}', '{"{1,NULL}",NULL}', '{"it\'s \\"ok\\"\\\\","NULL"}'],
    });
  });

  test('are deleted by their keys', () => {
    expect(deleteStatement(TABLE, [['1'], ['2']])).toEqual({
      text: 'DELETE FROM ONLY "public"."t" AS t USING unnest($1::integer[]) AS v ("k0") WHERE t."id" = v.k0',
      values: ['{"1","2"}'],
    });
  });

  test('are updated in some columns, by the keys that they had', () => {
    const rows = [{ key: ['1'], values: ['9', undefined, 'ok'] }];
    expect(updateStatement(TABLE, [0, 2], rows)).toEqual({
      text: `UPDATE ONLY "public"."t" AS t SET "id" = v.s0, "m" = v.s1
FROM unnest($1::integer[], $2::integer[], $3::mood[]) AS v ("k0", "s0", "s1") WHERE t."id" = v.k0`,
      values: ['{"1"}', '{"9"}', '{"ok"}'],
    });
  });

  test('columns that only the server numbers are not set, unless the rows lie elsewhere', () => {
    const table = { ...TABLE, columns: [TABLE.columns[0]!, column('n', 'integer', { always: true })] };
    const rows = [{ key: ['1'], values: ['1', '5'] }];
    expect(updateStatement(table, [1], rows).text).toBe(
      'SELECT FROM ONLY "public"."t" AS t, unnest($1::integer[], $2::integer[]) AS v ("k0", "s0") WHERE t."id" = v.k0 AND t."n" = v.s0',
    );
    expect(updateStatement(table, [1], rows, 'pg_temp.aside').text).toContain(
      'UPDATE pg_temp.aside AS t SET "n" = v.s0',
    );
    expect(selectIntoStatement(table, 'pg_temp.aside', [['1']]).text).toContain(
      'INSERT INTO pg_temp.aside ("id", "n") SELECT t."id", t."n"',
    );
  });

  test('keys of domains and of types of extensions are compared as what they are', () => {
    const key = column('id', 'public.code', { base: 'public.citext', equals: 'OPERATOR(public.=)' });
    expect(deleteStatement({ ...TABLE, columns: [key] }, [['a']]).text).toContain(
      'WHERE t."id"::public.citext OPERATOR(public.=) v.k0::public.citext',
    );
  });

  test('tables without columns have rows, too', () => {
    expect(insertStatement({ ...TABLE, columns: [], key: [] }, [[], []])).toEqual({
      text: 'INSERT INTO "public"."t" SELECT FROM generate_series(1, $1::int)',
      values: [2],
    });
  });
});

describe('one row that is like another', () => {
  test('is updated in what changed', () => {
    expect(wholeRowStatement(TABLE, ['1', '{1}', null], ['1', '{2}', 'ok'])).toEqual({
      text: `UPDATE ONLY "public"."t" AS t SET "a ""b""" = $3::integer[], "m" = $4::mood WHERE (t.tableoid, t.ctid) = (SELECT o.tableoid, o.ctid FROM ONLY "public"."t" AS o WHERE o."id" = $1::integer AND format('%s', o."a ""b""") = $2::text AND o."m" IS NOT DISTINCT FROM NULL LIMIT 1)`,
      values: ['1', '{1}', '{2}', 'ok'],
    });
  });

  test('is deleted, and found where nothing changed', () => {
    expect(wholeRowStatement(TABLE, ['1', null, null], undefined).text).toMatch(
      /^DELETE FROM ONLY "public"."t" AS t WHERE/,
    );
    expect(wholeRowStatement(TABLE, ['1', null, null], ['1', undefined, null]).text).toMatch(/^SELECT FROM/);
    expect(wholeRowStatement({ ...TABLE, columns: [] }, [], undefined).text).toBe(
      'DELETE FROM ONLY "public"."t" AS t WHERE (t.tableoid, t.ctid) = (SELECT o.tableoid, o.ctid FROM ONLY "public"."t" AS o LIMIT 1)',
    );
  });
});
