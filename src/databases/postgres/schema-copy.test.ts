/** The SQL of copied definitions, and the order in which it runs. */

import { describe, expect, test } from 'vitest';
import { laterStages } from './schema-later.ts';
import { type Edge, type Node, orderNeeds } from './schema-needs.ts';
import { quoteText } from './schema-object.ts';
import {
  type ColumnRow,
  lateDefaultObjects,
  ownerObject,
  sequenceObject,
  type TableRow,
  tableObjects,
} from './schema-tables.ts';
import { type TypeRow, typeObject } from './schema-types.ts';

describe('the order of what tables need', () => {
  const node = (name: string, oid: number, kind = ''): Node => ({ class: name, oid, kind });
  const table = (oid: number) => node('pg_class', oid, 'r');
  const edge = (from: Node, to: Node, how = 'n'): Edge => ({ from, to, how });
  const names = (nodes: readonly Node[]) => nodes.map(({ class: name, oid }) => `${name} ${oid}`);

  test('each comes behind what it needs, however far', () => {
    const [mood, price, check, composite, relation] = [
      node('pg_type', 20, 'e'),
      node('pg_type', 21, 'd'),
      node('pg_proc', 22),
      node('pg_type', 23, 'c'),
      node('pg_class', 24, 'c'),
    ];
    const rule = node('pg_constraint', 25);
    const needs = orderNeeds(
      [10, 11],
      [
        edge(table(10), composite),
        edge(composite, relation, 'part'),
        edge(relation, composite, 'i'),
        edge(relation, price),
        edge(price, rule, 'part'),
        edge(rule, price, 'a'),
        edge(rule, check),
        edge(check, mood),
        edge(table(11), table(10)),
        edge(table(11), node('pg_namespace', 30)),
      ],
    );
    expect(names(needs.ordered)).toEqual([
      'pg_type 20',
      'pg_proc 22',
      'pg_type 21',
      'pg_type 23',
      'pg_class 10',
      'pg_class 11',
    ]);
    expect([needs.extensions, needs.foreign]).toEqual([[], []]);
  });

  test('what an extension brings comes with it', () => {
    const [hstore, extension] = [node('pg_type', 20, 'b'), node('pg_extension', 40)];
    const operators = node('pg_opclass', 21);
    const index = node('pg_class', 50, 'i');
    const needs = orderNeeds(
      [10],
      [
        edge(table(10), hstore),
        edge(hstore, extension, 'e'),
        edge(table(10), index, 'later'),
        edge(index, operators),
        edge(operators, node('pg_extension', 41), 'e'),
      ],
    );
    expect([names(needs.ordered), needs.extensions]).toEqual([['pg_class 10'], [40, 41]]);
  });

  test('a default that needs its own table is set later', () => {
    const [value, next, row] = [node('pg_attrdef', 20), node('pg_proc', 21), node('pg_type', 22, 'rowtype')];
    const plain = node('pg_attrdef', 23);
    const needs = orderNeeds(
      [10],
      [
        edge(table(10), value, 'default'),
        edge(value, table(10), 'a'),
        edge(value, next),
        edge(next, row),
        edge(row, table(10), 'i'),
        edge(table(10), plain, 'default'),
        edge(plain, table(10), 'a'),
        edge(plain, node('pg_class', 30, 'S')),
        edge(node('pg_class', 30, 'S'), table(10), 'a'),
      ],
    );
    expect(names(needs.ordered)).toEqual(['pg_class 30', 'pg_class 10', 'pg_proc 21']);
    expect([...needs.lateDefaults]).toEqual([20]);
  });

  test('what cannot be made is named; parents that are not made are none of it', () => {
    const configuration = node('pg_ts_config', 20);
    const needs = orderNeeds([10], [edge(table(10), configuration), edge(table(10), table(99))]);
    expect([names(needs.ordered), names(needs.foreign)]).toEqual([['pg_class 10'], ['pg_ts_config 20']]);
  });
});

const COLUMN: ColumnRow = {
  number: 1,
  name: 'id',
  type: 'integer',
  collation: null,
  not_null: false,
  not_null_name: null,
  identity: '',
  generated: '',
  default_oid: null,
  default_value: null,
  local: true,
  storage: null,
  compression: null,
};
const TABLE: TableRow = {
  oid: 10,
  schema: 's',
  name: 'T',
  partition_key: null,
  partition_bound: null,
  parents: [],
  options: null,
  access_method: null,
  columns: [COLUMN],
};
const SEQUENCE = {
  oid: 30,
  schema: 's',
  name: 'T_id_seq',
  type: 'integer',
  start: '1',
  increment: '1',
  min: '1',
  max: '9',
  cache: '1',
  cycle: false,
  owner_oid: 10,
  owner_column: 1,
  identity: true,
};

function texts(
  table: Partial<TableRow>,
  others: readonly TableRow[] = [],
  late: readonly number[] = [],
): string[] {
  const row = { ...TABLE, ...table };
  const context = {
    chosen: new Map([row, ...others].map((one) => [one.oid, one])),
    identitySequences: new Map([['10 1', SEQUENCE]]),
    lateDefaults: new Set(late),
  };
  return [...tableObjects(row, context), ...lateDefaultObjects(row, context)].map(({ create }) => create);
}

describe('tables', () => {
  test.each<[string, Partial<ColumnRow>, string]>([
    ['of a type', {}, '"id" integer'],
    [
      'with everything',
      { collation: 'c."x"', compression: 'lz4', default_value: 'f(1)', not_null: true, not_null_name: 'n n' },
      '"id" integer COMPRESSION lz4 COLLATE c."x" DEFAULT f(1) CONSTRAINT "n n" NOT NULL',
    ],
    [
      'that is generated',
      { generated: 's', default_value: 'a + 1' },
      '"id" integer GENERATED ALWAYS AS (a + 1) STORED',
    ],
    [
      'that is generated when it is read',
      { generated: 'v', default_value: 'a + 1' },
      '"id" integer GENERATED ALWAYS AS (a + 1) VIRTUAL',
    ],
    [
      'that is numbered',
      { identity: 'd', not_null: true },
      '"id" integer GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME "s"."T_id_seq" START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE 9 CACHE 1 NO CYCLE) NOT NULL',
    ],
  ])('a column %s', (_, column, text) => {
    expect(texts({ columns: [{ ...COLUMN, ...column }] })).toEqual([`CREATE TABLE "s"."T" (${text})`]);
  });

  test('a default that needs the table', () => {
    expect(texts({ columns: [{ ...COLUMN, default_oid: 7, default_value: 'f()' }] }, [], [7])).toEqual([
      'CREATE TABLE "s"."T" ("id" integer)',
      'ALTER TABLE ONLY "s"."T" ALTER COLUMN "id" SET DEFAULT f()',
    ]);
  });

  test('partitions, which are numbered by their table', () => {
    const parents = [{ oid: 11, schema: 's', name: 'all' }];
    expect(
      texts({
        partition_bound: 'DEFAULT',
        partition_key: 'LIST (id)',
        parents,
        columns: [{ ...COLUMN, identity: 'a', local: false }],
        options: ["fillfactor=7'0"],
      }),
    ).toEqual([
      `CREATE TABLE "s"."T" ("id" integer) PARTITION BY LIST (id) WITH (fillfactor = '7''0')`,
      'ALTER TABLE ONLY "s"."all" ATTACH PARTITION "s"."T" DEFAULT',
    ]);
  });

  test('children, with what they have of their own', () => {
    const parent = {
      ...TABLE,
      oid: 11,
      name: 'parent',
      columns: [
        { ...COLUMN, not_null: true },
        { ...COLUMN, name: 'v', default_value: '1' },
        { ...COLUMN, name: 'w', default_value: '1' },
      ],
    };
    const child = {
      parents: [{ oid: 11, schema: 's', name: 'parent' }],
      columns: [
        { ...COLUMN, not_null: true },
        { ...COLUMN, name: 'v', local: false, not_null: true, default_value: '2' },
        { ...COLUMN, name: 'w', local: false, default_value: '1' },
      ],
    };
    expect(texts(child, [parent])).toEqual([
      'CREATE TABLE "s"."T" ("id" integer) INHERITS ("s"."parent")',
      'ALTER TABLE ONLY "s"."T" ALTER COLUMN "v" SET DEFAULT 2',
      'ALTER TABLE ONLY "s"."T" ALTER COLUMN "v" SET NOT NULL',
    ]);
    // Of a parent that is not made, the columns are its own.
    expect(texts(child)[0]).toBe(
      'CREATE TABLE "s"."T" ("id" integer NOT NULL, "v" integer DEFAULT 2 NOT NULL, "w" integer DEFAULT 1)',
    );
  });

  test('sequences', () => {
    const sequence = { ...SEQUENCE, identity: false, cycle: true };
    expect(sequenceObject(sequence).create).toBe(
      'CREATE SEQUENCE "s"."T_id_seq" AS integer START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE 9 CACHE 1 CYCLE',
    );
    expect(ownerObject(sequence, [TABLE])?.create).toBe(
      'ALTER SEQUENCE "s"."T_id_seq" OWNED BY "s"."T"."id"',
    );
    expect([ownerObject(sequence, []), ownerObject(SEQUENCE, [TABLE])]).toEqual([undefined, undefined]);
  });
});

describe('types', () => {
  const TYPE: TypeRow = {
    oid: 20,
    schema: 's',
    name: 't',
    kind: 'e',
    labels: null,
    base: null,
    collation: null,
    not_null: false,
    default_value: null,
    checks: null,
    attributes: null,
    range: null,
  };
  const range = {
    subtype: 'float8',
    opclass: 'float8_ops',
    collation: null,
    canonical: null,
    difference: 'float8mi',
    multirange: 's.m',
  };

  test.each<[string, Partial<TypeRow>, string | undefined]>([
    ['an enum', { labels: ['a', "b's \\"] }, `CREATE TYPE "s"."t" AS ENUM ('a', E'b''s \\\\')`],
    ['an enum without labels', {}, 'CREATE TYPE "s"."t" AS ENUM ()'],
    [
      'a composite',
      { kind: 'c', attributes: [{ name: 'a b', type: 'text', collation: 'c.d' }] },
      'CREATE TYPE "s"."t" AS ("a b" text COLLATE c.d)',
    ],
    [
      'a domain',
      {
        kind: 'd',
        base: 'numeric(3,1)',
        default_value: '1',
        not_null: true,
        checks: [{ name: 'c', definition: 'CHECK (VALUE > 0)' }],
      },
      'CREATE DOMAIN "s"."t" AS numeric(3,1) DEFAULT 1 NOT NULL CONSTRAINT "c" CHECK (VALUE > 0)',
    ],
    [
      'a range',
      { kind: 'r', range },
      'CREATE TYPE "s"."t" AS RANGE (SUBTYPE = float8, SUBTYPE_OPCLASS = float8_ops, SUBTYPE_DIFF = float8mi, MULTIRANGE_TYPE_NAME = s.m)',
    ],
    ['a range with a function that needs it', { kind: 'r', range: { ...range, canonical: 'f' } }, undefined],
    ['a type with functions in C', { kind: 'b' }, undefined],
  ])('%s', (_, row, text) => {
    expect(typeObject({ ...TYPE, ...row })?.create).toBe(text);
  });

  test('literals', () => {
    expect([quoteText("it's"), quoteText('a\\b')]).toEqual(["'it''s'", "E'a\\\\b'"]);
  });
});

test('what is made later: parts before the whole, children before parents, keys to others last', () => {
  const index = {
    table_oid: 1,
    schema: 's',
    table: 'p1',
    name: 'i1',
    definition: 'CREATE INDEX i1',
    constraint: null,
    partitioned: false,
    parent: { schema: 's', name: 'i' },
    depth: 1,
    replica_identity: false,
    clustered: true,
  };
  const rule = {
    table_oid: 1,
    schema: 's',
    table: 'child',
    name: 'c',
    kind: 'c',
    definition: 'CHECK (a)',
    no_inherit: false,
    depth: 1,
    target_oid: null,
  };
  const stages = laterStages({
    indexes: [
      {
        ...index,
        table_oid: 2,
        table: 'p',
        name: 'i',
        definition: 'CREATE INDEX i ON ONLY',
        partitioned: true,
        parent: null,
        depth: 0,
      },
      index,
      {
        ...index,
        table_oid: 3,
        table: 't',
        name: 'k',
        parent: null,
        depth: 0,
        constraint: { name: 'k', definition: 'PRIMARY KEY (id)' },
        clustered: false,
        replica_identity: true,
      },
    ],
    constraints: [
      { ...rule, table: 'parent', depth: 0 },
      rule,
      { ...rule, table: 'only', depth: 0, no_inherit: true, definition: 'CHECK (a) NOT VALID' },
    ],
    foreignKeys: [{ ...rule, kind: 'f', definition: 'FOREIGN KEY (a) REFERENCES t(id)' }],
    texts: [],
  });
  expect(stages.map(({ groups }) => groups.map((group) => group.map(({ text }) => text)))).toEqual([
    [['CREATE INDEX i1'], ['ALTER TABLE ONLY "s"."t" ADD CONSTRAINT "k" PRIMARY KEY (id)']],
    [['CREATE INDEX i ON ONLY']],
    [['ALTER INDEX "s"."i" ATTACH PARTITION "s"."i1"']],
    [
      ['ALTER TABLE ONLY "s"."p1" CLUSTER ON "i1"'],
      ['ALTER TABLE ONLY "s"."t" REPLICA IDENTITY USING INDEX "k"'],
    ],
    [
      [
        'ALTER TABLE "s"."child" ADD CONSTRAINT "c" CHECK (a)',
        'ALTER TABLE "s"."parent" ADD CONSTRAINT "c" CHECK (a)',
        'ALTER TABLE ONLY "s"."only" ADD CONSTRAINT "c" CHECK (a) NOT VALID',
      ],
    ],
    [['ALTER TABLE "s"."child" ADD CONSTRAINT "c" FOREIGN KEY (a) REFERENCES t(id)']],
  ]);
  expect(stages[4]!.groups[0]!.map(({ orElse }) => orElse)).toEqual([
    'ALTER TABLE "s"."child" ADD CONSTRAINT "c" CHECK (a) NOT VALID',
    'ALTER TABLE "s"."parent" ADD CONSTRAINT "c" CHECK (a) NOT VALID',
    undefined,
  ]);
});
