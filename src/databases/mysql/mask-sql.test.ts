import { expect, test } from 'vitest';
import type { CatalogueColumn, CatalogueTable } from '../masking/catalogue.ts';
import type { ColumnRule } from '../masking/work.ts';
import { cutText, orphansText, spreadText, updateText } from './mask-sql.ts';

const column = (name: string, more: Partial<CatalogueColumn> = {}) =>
  ({ name, holds: 'text', caseless: false, changesByItself: false, ...more }) as CatalogueColumn;
const table = (name: string, primaryKey: string[], columns: CatalogueColumn[] = []) =>
  ({ name, id: `\`${name}\``, primaryKey, columns }) as unknown as CatalogueTable;
const masked = (name: string, rule: ColumnRule, more: Partial<CatalogueColumn> = {}) => ({
  column: column(name, more),
  rule,
});

test('all columns of a table are one statement, and none changes by itself', () => {
  const text = updateText({
    table: table('t', ['id'], [column('at', { changesByItself: true }), column('a')]),
    columns: [masked('a', { kind: 'hash', length: 12 }, { caseless: true }), masked('b', { kind: 'null' })],
  });
  expect(text).toBe(
    'UPDATE `t` t SET t.`a` = LEFT(SHA2(CONCAT(@longshore_mask_key, SHA2(CONCAT(@longshore_mask_key, ' +
      'HEX(WEIGHT_STRING(RTRIM(t.`a`)))), 256)), 256), 12), t.`b` = NULL, t.`at` = t.`at`',
  );
});

test('shuffled columns are shuffled apart', () => {
  const columns = [masked('a', { kind: 'shuffle' }), masked('b', { kind: 'shuffle' })];
  const text = updateText({ table: table('t', ['i', 'j']), columns });
  expect(text.match(/ORDER BY RAND\(\)/g)).toHaveLength(2);
  expect(text).toContain('ON t.`i` = a.`i` AND t.`j` = a.`j`');
  expect(text).toMatch(/SET t.`a` = s0.v, t.`b` = s1.v$/);
});

test('a statement names each temporary table once, also where a table refers to itself', () => {
  const self = table('people', ['id']);
  const key = {
    ...{ name: 'k', child: self.id, childColumns: ['boss'], parent: self.id, parentColumns: ['id'] },
    definition: undefined,
  };
  const names = spreadText(key, self, self).match(/longshore_\w+/g);
  expect(new Set(names).size).toBe(3);
  expect(names).toHaveLength(3);
  expect(orphansText(key)).toContain('WHERE c.`boss` IS NOT NULL AND p.`id` IS NULL');
  expect(cutText(key)).toContain('SET c.`boss` = NULL');
});
