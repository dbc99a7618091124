import { expect, test } from 'vitest';
import { parseMaskingRules } from './rules.ts';

const parse = (text: string, dialect: 'postgres' | 'mysql' = 'postgres') =>
  parseMaskingRules(text, dialect, 'masking.yaml');

test('every rule, and every way to write one', () => {
  const { columns, subset } = parse(`
columns:
  public.customers.email: email
  customers.name: fake name
  customers.first: fake first name
  customers.last: fake last name
  customers.phone: { hash: hex }
  customers.code: hash
  customers.notes: null
  customers.more: 'null'
  customers.country: { constant: DE }
  customers.level: { constant: 3 }
  '"Odd.one"."The ""Table""".Comment': shuffle
subset:
  customers: created_at > now() - interval '30 days'
  shop.orders: { keep: 'total > 0', set null: [referrer_id] }
  shop.notes: { set null: author }
`);
  expect(columns.map(({ schema, table, column, rule }) => [`${schema}|${table}|${column}`, rule])).toEqual([
    ['public|customers|email', { kind: 'email' }],
    ['public|customers|name', { kind: 'name', part: 'full' }],
    ['public|customers|first', { kind: 'name', part: 'first' }],
    ['public|customers|last', { kind: 'name', part: 'last' }],
    ['public|customers|phone', { kind: 'hash' }],
    ['public|customers|code', { kind: 'hash' }],
    ['public|customers|notes', { kind: 'null' }],
    ['public|customers|more', { kind: 'null' }],
    ['public|customers|country', { kind: 'constant', value: 'DE' }],
    ['public|customers|level', { kind: 'constant', value: '3' }],
    ['Odd.one|The "Table"|comment', { kind: 'shuffle' }],
  ]);
  expect(subset).toEqual([
    { schema: 'public', table: 'customers', keep: "created_at > now() - interval '30 days'", setNull: [] },
    { schema: 'shop', table: 'orders', keep: 'total > 0', setNull: ['referrer_id'] },
    { schema: 'shop', table: 'notes', keep: undefined, setNull: ['author'] },
  ]);
  expect(parse('columns: { Customers.Name: null }', 'mysql').columns).toMatchObject([
    { schema: undefined, table: 'Customers', column: 'Name' },
  ]);
});

test.each([
  ['no rules', '', 'it has no rules'],
  ['no mapping', '- a', 'the file is no mapping'],
  ['broken YAML', 'columns: {', 'cannot read masking.yaml'],
  ['a part that nobody knows', 'rows: {}\ncolumns: { a.b: null }', 'rows is neither columns nor subset'],
  ['a rule that nobody knows', 'columns: { a.b: scramble }', 'the rule of a.b is none of null, hash'],
  ['a rule with too much', 'columns: { a.b: { hash: hex, constant: 1 } }', 'the rule of a.b is none of'],
  ['a hash that nobody knows', 'columns: { a.b: { hash: md5 } }', 'the rule of a.b is none of'],
  ['a constant that is a list', 'columns: { a.b: { constant: [1] } }', 'the rule of a.b is none of'],
  ['no table', 'columns: { b: null }', '"b" does not name a table and a column'],
  ['too many names', 'columns: { a.b.c.d: null }', 'does not name a table and a column'],
  ['a column twice', 'columns: { a.b: null, public.a.b: hash }', 'public.a.b has more than one rule'],
  ['no condition', "subset: { a: ' ' }", 'keep of a is no condition'],
  ['a subset that says nothing', 'subset: { a: {} }', 'subset of a says nothing'],
  [
    'options that nobody knows',
    'subset: { a: { keep: x, cut: y } }',
    'has cut, which is neither keep nor set null',
  ],
  ['no columns', 'subset: { a: { set null: [1] } }', 'set null of a is no list of columns'],
])('%s is told', (_, text, message) => {
  expect(() => parse(text)).toThrow(message);
});

test('everything that is wrong is told at once', () => {
  const wrong = () => parse('x: 1\ncolumns: { a.b: what }\nsubset: { c: {} }');
  for (const message of ['x is neither', 'the rule of a.b', 'subset of c']) expect(wrong).toThrow(message);
});
