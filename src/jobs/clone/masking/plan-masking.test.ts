import { expect, test } from 'vitest';
import type {
  CatalogueColumn,
  CatalogueTable,
  ForeignKey,
  MaskCatalogue,
} from '../../../databases/masking/catalogue.ts';
import { planMasking } from './plan-masking.ts';
import { parseMaskingRules } from './rules.ts';

function column(name: string, more: Partial<CatalogueColumn> = {}): CatalogueColumn {
  return {
    ...{ name, type: 'text', holds: 'text', lengthMax: undefined, notNull: false, generated: false },
    ...{ identity: false, unique: false, partitions: false, caseless: false, changesByItself: false },
    ...more,
  };
}

function table(name: string, columns: CatalogueColumn[], more: Partial<CatalogueTable> = {}): CatalogueTable {
  return {
    ...{
      schema: 'public',
      name,
      id: name,
      root: name,
      stored: [name],
      isPartition: false,
      isPartitioned: false,
    },
    ...{ columns, primaryKey: ['id'], notUpdated: undefined, notDeleted: undefined },
    ...more,
  };
}

const key = (child: string, childColumn: string, parent: string, parentColumn: string): ForeignKey => ({
  ...{
    name: `${child}_${childColumn}`,
    child,
    childColumns: [childColumn],
    parent,
    parentColumns: [parentColumn],
  },
  definition: undefined,
});

const int = { type: 'integer', holds: 'other' } as const;
const CATALOGUE: MaskCatalogue = {
  tables: [
    table('customers', [
      column('id', { ...int, notNull: true, unique: true }),
      column('code', { lengthMax: 20, notNull: true, unique: true }),
      column('email', { lengthMax: 30, unique: true }),
      column('short_email', { lengthMax: 24, unique: true }),
      column('tiny', { lengthMax: 5 }),
      column('tiny_unique', { lengthMax: 5, unique: true }),
      column('name', { lengthMax: 10 }),
      column('made', { generated: true }),
      column('number', { ...int, identity: true }),
      column('tags', { type: 'text[]', holds: 'other' }),
      column('must', { notNull: true }),
    ]),
    table('orders', [
      column('id', { ...int, notNull: true, unique: true }),
      column('customer', { lengthMax: 16, notNull: true }),
      column('referrer', {}),
      column('customer_id', int),
    ]),
    table('parted', [column('at', { ...int, partitions: true }), column('v')], {
      stored: ['parted_1'],
      isPartitioned: true,
    }),
    table('parted_1', [column('v')], { root: 'parted', isPartition: true }),
    table('base', [column('v')], { stored: ['base', 'derived'] }),
    table('derived', [column('v'), column('w')], { root: 'base' }),
    table('ruled', [column('v')], {
      notUpdated: 'it has an UPDATE trigger',
      notDeleted: 'it has a DELETE trigger',
    }),
    table('alone', [column('v')]),
  ],
  foreignKeys: [
    key('orders', 'customer', 'customers', 'code'),
    key('orders', 'referrer', 'customers', 'code'),
    key('orders', 'customer_id', 'customers', 'id'),
    key('ruled', 'v', 'orders', 'id'),
  ],
};

const plan = (text: string, catalogue = CATALOGUE) =>
  planMasking(parseMaskingRules(text, 'postgres', 'masking.yaml'), catalogue);

test('a key is masked on all its sides, as long as the shortest of them', () => {
  const work = plan('columns: { customers.code: hash, base.v: hash, derived.w: null }');
  const rules = work.masked.flatMap(({ table: { name }, columns }) =>
    columns.map(({ column, rule }) => [`${name}.${column.name}`, rule]),
  );
  expect(rules).toEqual([
    ['customers.code', { kind: 'hash', length: 16 }],
    ['base.v', { kind: 'hash', length: 32 }],
    ['derived.w', { kind: 'null' }],
    ['orders.referrer', { kind: 'hash', length: 16 }],
    ['orders.customer', { kind: 'hash', length: 16 }],
  ]);
  expect(work.changed.map(({ name }) => name)).toEqual(['customers', 'orders', 'base']);
  expect(work.foreignKeys.map(({ name }) => name)).toHaveLength(4);
});

test('lengths are those of the column', () => {
  const [{ columns } = { columns: [] }] = plan(
    'columns: { customers.email: email, customers.name: fake name, customers.tiny: hash }',
  ).masked;
  expect(columns.map(({ rule }) => rule)).toEqual([
    { kind: 'email', digits: 17 },
    { kind: 'name', part: 'full', lengthMax: 10 },
    { kind: 'hash', length: 5 },
  ]);
});

test.each([
  ['alnoe.v: null', 'there is no table public.alnoe (did you mean "public.alone"'],
  ['customers.emaill: email', 'public.customers has no column emaill (did you mean "email"?)'],
  ['customers.made: null', 'public.customers.made is generated'],
  ['customers.number: null', 'is an identity'],
  ['customers.must: null', 'public.customers.must may not be NULL'],
  ['customers.code: null', 'may not be NULL'],
  ['customers.code: { constant: x }', 'is part of a foreign key, which only hash keeps'],
  ['orders.customer: shuffle', 'is part of a foreign key, which only hash and null keeps'],
  ['customers.id: hash', 'is of type integer, and a hash is text or a uuid'],
  ['customers.tags: hash', 'is of type text[], and a hash is text or a uuid'],
  ['customers.tags: fake name', 'a fake name is text'],
  ['customers.email: { constant: x }', 'tells rows apart, which constant does not keep'],
  ['customers.email: shuffle', 'tells rows apart, which shuffle does not keep'],
  ['customers.email: fake name', 'tells rows apart, which a fake name does not keep'],
  ['customers.tiny_unique: hash', 'a hash of 5 characters is too short'],
  ['customers.short_email: email', 'holds 24 characters, and an address needs 25'],
  ['customers.tiny: { constant: longer }', 'holds 5 characters, and the constant is longer'],
  ['parted.at: null', 'says which partition a row is in'],
  ['parted_1.v: null', 'public.parted_1 is a partition: give the rule to public.parted'],
  ['base.v: hash, derived.v: null', 'public.derived.v is masked by the rule of public.base already'],
  ['ruled.v: null', 'cannot be masked: it has an UPDATE trigger'],
])('%s does not fit', (rule, message) => {
  expect(() => plan(`columns: { ${rule} }`)).toThrow(message);
});

test('rows without a key cannot be told apart on MySQL', () => {
  const alone = { schema: undefined, primaryKey: [] };
  const catalogue = { tables: [table('alone', [column('v')], alone)], foreignKeys: [] };
  const rules = parseMaskingRules('columns: { alone.v: shuffle }', 'mysql', 'masking.yaml');
  expect(() => planMasking(rules, catalogue)).toThrow(
    'alone.v cannot be shuffled: its table has no primary key',
  );
});

test('a reference may be cut off, and a key of another type is named', () => {
  expect(plan('columns: { orders.referrer: null }').masked).toHaveLength(1);
  const odd = { ...CATALOGUE, foreignKeys: [key('orders', 'customer_id', 'customers', 'code')] };
  expect(() => plan('columns: { customers.code: hash }', odd)).toThrow(
    'has the values of public.orders.customer_id, which is of another type',
  );
});

test('rows go along references, and not further', () => {
  expect(() => plan("subset: { customers: 'true' }")).toThrow(
    'rows of public.ruled would go: it has a DELETE trigger',
  );
  const some = { ...CATALOGUE, foreignKeys: CATALOGUE.foreignKeys.slice(0, 3) };
  const work = plan("subset: { customers: 'true', orders: { set null: [referrer] } }", some);
  expect(work.losing.map(({ name }) => name)).toEqual(['customers', 'orders']);
  expect(work.spreading.map(({ name }) => name)).toEqual(['orders_customer', 'orders_customer_id']);
  expect(work.cutting.map(({ name }) => name)).toEqual(['orders_referrer']);
  expect(() => plan("subset: { customers: 'true', orders: { set null: [customer, id] } }", some)).toThrow(
    /set null: public.orders.customer may not be NULL; .*public.orders.id is no column of a foreign key/,
  );
  expect(plan("subset: { alone: 'v > 1' }").changed.map(({ name }) => name)).toEqual(['alone']);
});
