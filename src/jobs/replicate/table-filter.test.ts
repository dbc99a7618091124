import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type TableName, tableFilter, unmatched } from './table-filter.ts';

const TABLES: readonly TableName[] = [
  { schema: 'public', name: 'orders' },
  { schema: 'public', name: 'orders_2026' },
  { schema: 'public', name: 'audit_log' },
  { schema: 'sales', name: 'orders' },
  { schema: 'sales_old', name: 'orders' },
];

/** The tables that patterns choose, as `schema.name`. */
const chosen = (patterns: readonly string[], tables = TABLES) =>
  tables.filter(tableFilter(patterns)).map(({ schema, name }) => `${schema}.${name}`);

test('without a pattern that chooses, every table is meant', () => {
  expect(chosen([])).toHaveLength(TABLES.length);
  expect(chosen(['!sales.*'])).toEqual([
    'public.orders',
    'public.orders_2026',
    'public.audit_log',
    'sales_old.orders',
  ]);
});

test('a pattern is the whole name of a table', () => {
  expect(chosen(['sales.orders'])).toEqual(['sales.orders']);
  expect(chosen(['public.order'])).toEqual([]);
  expect(chosen(['ublic.orders'])).toEqual([]);
  expect(chosen(['PUBLIC.orders'])).toEqual([]);
});

test('a pattern without a dot is a table of public', () => {
  expect(chosen(['orders'])).toEqual(['public.orders']);
  expect(chosen(['*'])).toEqual(['public.orders', 'public.orders_2026', 'public.audit_log']);
  expect(chosen(['*.*', '!orders*'])).toEqual(['public.audit_log', 'sales.orders', 'sales_old.orders']);
});

test('a star stands for any characters, and none', () => {
  expect(chosen(['public.orders*'])).toEqual(['public.orders', 'public.orders_2026']);
  expect(chosen(['*.orders'])).toEqual(['public.orders', 'sales.orders', 'sales_old.orders']);
  expect(chosen(['s*s.o*s'])).toEqual(['sales.orders']);
  expect(chosen(['public.*_*'])).toEqual(['public.orders_2026', 'public.audit_log']);
  expect(chosen(['*.*'], [{ schema: 'a', name: 'new\nline' }])).toHaveLength(1);
});

test('what is left out is left out wherever it stands', () => {
  expect(chosen(['!public.audit_*', 'public.*'])).toEqual(['public.orders', 'public.orders_2026']);
  expect(chosen(['public.*', '!public.audit_*', 'public.audit_log'])).toEqual([
    'public.orders',
    'public.orders_2026',
  ]);
});

test('a star of the schema does not reach into the table', () => {
  const tables = [
    { schema: 'a', name: 'b.c' },
    { schema: 'a.b', name: 'c' },
  ];
  expect(chosen(['a.b.c'], tables)).toEqual(['a.b.c']);
  expect(tables.map(tableFilter(['a.b.c']))).toEqual([true, false]);
  expect(tables.map(tableFilter(['a*.c']))).toEqual([false, true]);
  expect(tables.map(tableFilter(['*b.c']))).toEqual([false, true]);
});

test('every other character stands for itself', () => {
  const part = fc.string({
    minLength: 1,
    maxLength: 5,
    unit: fc.constantFrom(
      'a',
      'b',
      '^',
      '$',
      '|',
      '?',
      '+',
      '(',
      ')',
      '[',
      ']',
      '{',
      '}',
      '\\',
      '-',
      '/',
      ' ',
      '😀',
    ),
  });
  fc.assert(
    fc.property(part, part, part, part, (schema, name, otherSchema, otherName) => {
      const chooses = tableFilter([`${schema}.${name}`]);
      expect(chooses({ schema, name })).toBe(true);
      expect(chooses({ schema: otherSchema, name: otherName })).toBe(
        schema === otherSchema && name === otherName,
      );
      expect(tableFilter(['*.*', `!${schema}.${name}`])({ schema, name })).toBe(false);
    }),
  );
  expect(tableFilter(['a.b.c'])({ schema: 'a', name: 'bxc' })).toBe(false);
});

test('patterns that are none', () => {
  for (const pattern of ['', '!', '.orders', 'sales.', '.', '!sales.']) {
    const text = pattern.startsWith('!') ? pattern.slice(1) : pattern;
    expect(() => tableFilter([pattern])).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(`cannot read "${text}"`),
      }),
    );
  }
});

test('tables that are named and are not there', () => {
  expect(unmatched(['orders', 'sales.orders', 'public.*'], TABLES)).toEqual([]);
  expect(unmatched(['order', 'sales.audit_log', 'orders'], TABLES)).toEqual(['order', 'sales.audit_log']);
  expect(unmatched(['nothing.*', '!public.nothing', '*'], [])).toEqual([]);
});
