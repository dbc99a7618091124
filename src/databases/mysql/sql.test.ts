import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ColumnFacts } from '../database.ts';
import {
  boundaryText,
  keyBoundsText,
  quoteName,
  quoteText,
  rewriteText,
  rowsByKeyText,
  rowsWithValueText,
  scanText,
} from './sql.ts';

const column: ColumnFacts = {
  ref: { schema: 'app', table: 'avatars', column: 'path', within: 'auto' },
  name: 'app.avatars.path',
  kind: 'table',
  dataType: 'varchar',
  within: 'value',
  primaryKey: [{ name: 'id', type: 'bigint' }],
  indexed: true,
  rowsEstimate: 1000,
  generated: false,
  updateTriggers: [],
  canSelect: true,
  canUpdate: true,
};
const keyed = (...types: string[]): ColumnFacts => ({
  ...column,
  primaryKey: types.map((type, index) => ({ name: `k${index + 1}`, type })),
});

describe('names and texts', () => {
  it('quotes names', () => {
    expect(quoteName('a`b.C')).toBe('`a``b.C`');
  });

  it('quotes texts the same for every sql_mode', () => {
    expect(quoteText("it's")).toBe("'it''s'");
    expect(quoteText('😀')).toBe("'😀'");
    expect(quoteText('a\\b')).toBe("_utf8mb4 x'615c62'");
    expect(quoteText('a\nb')).toBe("_utf8mb4 x'610a62'");
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(quoteText(text)).toMatch(/^(_utf8mb4 x'[0-9a-f]*'|'([^'\\]|'')*')$/);
      }),
    );
  });
});

describe('keys', () => {
  it('are compared in their own kind', () => {
    expect(rowsByKeyText(column, [['9007199254740993']])).toContain('WHERE t.`id` IN (9007199254740993) AND');
    expect(rowsByKeyText(keyed('binary'), [['0AFF']])).toMatch(/^SELECT HEX\(t\.`k1`\), .*IN \(x'0AFF'\)/);
    expect(rowsByKeyText(keyed('enum'), [['2']])).toMatch(/^SELECT CAST\(t\.`k1` \+ 0 AS CHAR\), .*IN \(2\)/);
    expect(rowsByKeyText(keyed('int', 'varchar'), [['1', "x'"]])).toContain(
      "(t.`k1`, t.`k2`) IN ((1, 'x'''))",
    );
  });

  it('that are not what their type says are not sent', () => {
    expect(() => rowsByKeyText(column, [['1 OR 1=1']])).toThrow(TypeError);
    expect(() => rowsByKeyText(keyed('binary'), [["0A' OR '"]])).toThrow(TypeError);
  });

  it('of several columns bound a range column by column', () => {
    expect(scanText(keyed('int', 'int'), { after: ['1', '2'], upTo: ['3', '4'] }, undefined, 10)).toContain(
      'WHERE (t.`k1` > 1 OR (t.`k1` = 1 AND t.`k2` > 2)) AND (t.`k1` < 3 OR (t.`k1` = 3 AND t.`k2` <= 4)) AND',
    );
    expect(boundaryText(column, undefined, 10)).toBe(
      'SELECT CAST(t.`id` AS CHAR) FROM `app`.`avatars` AS t ORDER BY t.`id` LIMIT 9, 1',
    );
  });
});

describe('values', () => {
  const bytes = 'CAST(CAST(t.`path` AS CHAR CHARACTER SET utf8mb4) AS BINARY)';

  it('are compared byte for byte after the index', () => {
    expect(rowsWithValueText(column, ['a'])).toContain(
      `WHERE t.\`path\` IN ('a') AND ${bytes} IN (CAST('a' AS BINARY))`,
    );
    expect(rowsWithValueText({ ...column, indexed: false }, ['a'])).toContain(`WHERE ${bytes} IN`);
    expect(scanText(column, {}, ['%'], 10)).toContain(`(LOCATE(CAST('%' AS BINARY), ${bytes}) > 0)`);
  });

  it('are rewritten by an integer key, else by the old value', () => {
    const rows = [{ key: ['7'], oldValue: 'a', newValue: 'b' }];
    expect(rewriteText(column, rows)).toBe(
      `UPDATE \`app\`.\`avatars\` AS t SET t.\`path\` = ELT(FIELD(t.\`id\`, 7), 'b') WHERE t.\`id\` IN (7) AND ${bytes} IN (CAST('a' AS BINARY))`,
    );
    expect(rewriteText(keyed('varchar'), rows)).toContain(
      `ELT(FIELD(${bytes}, CAST('a' AS BINARY)), 'b') WHERE t.\`k1\` IN ('7')`,
    );
    expect(rewriteText(keyed(), [{ ...rows[0]!, key: [] }])).toContain("WHERE t.`path` IN ('a') AND");
  });

  it('are sampled over a numeric key', () => {
    expect(keyBoundsText(column)).toContain('MIN(t.`id`)');
    expect(keyBoundsText(keyed('varchar'))).toBeUndefined();
  });
});
