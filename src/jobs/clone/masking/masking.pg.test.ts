import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../../test/servers/postgres.ts';
import { loadPagila, pagilaAvailable } from '../../../../test/worlds/pagila.ts';
import { parseDatabaseUrl } from '../../../config/database-url.ts';
import { Secret } from '../../../config/secret.ts';
import { applyMasking, checkMasking } from './apply-masking.ts';
import { parseMaskingRules } from './rules.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

function mask(url: string, text: string, key?: string) {
  return applyMasking(parseDatabaseUrl(url), parseMaskingRules(text, 'postgres', 'masking.yaml'), {
    key: key === undefined ? undefined : new Secret(key),
    emit: () => undefined,
    signal: new AbortController().signal,
  });
}

const one = async (database: PostgresTestDatabase, text: string) =>
  Object.values((await database.sql(text))[0]!)[0];

const SHOP = `
  CREATE SCHEMA "Odd.é"; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN mail AS varchar(40) CHECK (VALUE LIKE '%@%');
  CREATE TABLE customers (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code varchar(20) NOT NULL UNIQUE, email mail UNIQUE, name varchar(12),
    first text, notes text, country char(2) NOT NULL, mood mood, tags text[], data jsonb, token uuid,
    upper_name text GENERATED ALWAYS AS (upper(name)) STORED, boss int REFERENCES customers, changed int DEFAULT 0);
  CREATE UNIQUE INDEX ON customers (lower(email));
  CREATE TABLE "Odd.é"."Orders ""x""" ("the id" int, part text, customer varchar(24) NOT NULL REFERENCES customers (code) ON UPDATE CASCADE,
    comment text, PRIMARY KEY ("the id", part));
  CREATE TABLE lines (n int PRIMARY KEY, o int, p text, FOREIGN KEY (o, p) REFERENCES "Odd.é"."Orders ""x""");
  CREATE TABLE parted (at date, who text, phone text) PARTITION BY RANGE (at);
  CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
  CREATE TABLE base (v text); CREATE TABLE derived (w text) INHERITS (base);
  CREATE VIEW seen AS SELECT name FROM customers;
  CREATE MATERIALIZED VIEW kept AS SELECT email, name FROM customers; CREATE MATERIALIZED VIEW kept_again AS SELECT email FROM kept;
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed := OLD.changed + 1; RETURN NEW; END $$;
  CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();
  CREATE TRIGGER always BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();
  ALTER TABLE customers ENABLE ALWAYS TRIGGER always;
  INSERT INTO customers (code, email, name, first, notes, country, mood, tags, data, token, boss)
    SELECT 'code ' || n, CASE WHEN n % 10 > 0 THEN 'secret' || n || '@corp.test' END, 'Secret ' || n, 'F' || n, 'secret', 'AT', 'sad',
      '{secret}', '{"a": "secret"}', gen_random_uuid(), nullif(n / 2, 0) FROM generate_series(1, 200) n;
  INSERT INTO "Odd.é"."Orders ""x""" SELECT n, 'p', 'code ' || (n % 200 + 1), CASE WHEN n % 3 > 0 THEN 'comment ' || n END FROM generate_series(1, 400) n;
  INSERT INTO lines SELECT n, n, 'p' FROM generate_series(1, 400) n;
  INSERT INTO parted SELECT '2026-01-20'::date + n, 'who ' || n, 'secret ' || n FROM generate_series(1, 30) n;
  INSERT INTO base VALUES ('secret'); INSERT INTO derived VALUES ('secret', 'w');
  REFRESH MATERIALIZED VIEW kept; REFRESH MATERIALIZED VIEW kept_again; ANALYZE;`;

const SHOP_RULES = `
columns:
  customers.code: { hash: hex }
  customers.email: email
  customers.name: fake name
  customers.first: fake first name
  customers.notes: null
  customers.country: { constant: DE }
  customers.mood: { constant: ok }
  customers.tags: { constant: '{}' }
  customers.data: null
  customers.token: hash
  '"Odd.é"."Orders ""x""".comment': shuffle
  '"Odd.é"."Orders ""x""".part': hash
  parted.who: shuffle
  parted.phone: hash
  base.v: hash
`;

describe('masking on PostgreSQL', () => {
  test('every rule on every kind of table, by a superuser and by an owner', async () => {
    const database = await server.createDatabase();
    await database.sql(SHOP);
    const rules = parseMaskingRules(SHOP_RULES, 'postgres', 'masking.yaml');
    await checkMasking(parseDatabaseUrl(database.url), rules, new AbortController().signal);
    expect(await one(database, "SELECT count(*)::int FROM customers WHERE notes = 'secret'")).toBe(200);
    const result = await mask(database.url, SHOP_RULES, 'a key');
    expect(result.tables.find(({ table }) => table === 'public.customers')).toMatchObject({
      rows: 200,
      deleted: 0,
      columns: expect.arrayContaining([
        { name: 'email', rule: 'email', values: 180 },
        { name: 'notes', rule: 'null', values: 0 },
        { name: 'name', rule: 'fake name', values: 200 },
      ]),
    });
    const facts =
      await database.sql(`SELECT count(DISTINCT email)::int AS emails, count(DISTINCT code)::int AS codes, max(length(code)) AS longest,
      count(*) FILTER (WHERE name ~ 'Secret' OR length(name) > 12)::int AS names, max(notes) AS notes, max(country) AS country, max(mood) AS mood,
      max(tags) AS tags, count(data)::int AS data, sum(changed)::int AS changed, count(*) FILTER (WHERE upper_name = upper(name))::int AS generated FROM customers`);
    expect(facts).toEqual([
      {
        emails: 180,
        codes: 200,
        longest: 20,
        names: 0,
        notes: null,
        country: 'DE',
        mood: 'ok',
        tags: [],
        data: 0,
        changed: 0,
        generated: 200,
      },
    ]);
    expect(
      await one(
        database,
        `SELECT count(*)::int FROM customers c JOIN "Odd.é"."Orders ""x""" o ON o.customer = c.code JOIN lines l ON (l.o, l.p) = (o."the id", o.part)`,
      ),
    ).toBe(400);
    expect(
      await one(
        database,
        `SELECT count(*) FILTER (WHERE comment IS NULL) || ' ' || count(DISTINCT comment) FROM "Odd.é"."Orders ""x"""`,
      ),
    ).toBe('133 267');
    expect(
      await one(
        database,
        `SELECT count(*)::int FROM "Odd.é"."Orders ""x""" WHERE comment = 'comment ' || "the id"`,
      ),
    ).toBeLessThan(50);
    expect(
      await one(
        database,
        "SELECT count(DISTINCT who)::text || count(DISTINCT phone) || count(*) FILTER (WHERE phone ~ 'secret') FROM parted",
      ),
    ).toBe('30300');
    expect(await database.sql('SELECT DISTINCT length(v) AS length FROM base')).toEqual([{ length: 32 }]);
    expect(
      await one(
        database,
        "SELECT string_agg(concat(tgname, tgenabled), ' ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal",
      ),
    ).toBe('alwaysA touchO');
    // Nowhere else, either.
    expect(
      await one(database, "SELECT count(*)::int FROM kept WHERE email ~ 'secret' OR name ~ 'Secret'"),
    ).toBe(0);
    expect(await one(database, "SELECT count(*)::int FROM kept_again WHERE email ~ 'secret'")).toBe(0);
    expect(
      await one(
        database,
        "SELECT count(*)::int FROM pg_stats WHERE schemaname IN ('public', 'Odd.é') AND (most_common_vals::text ~* 'secret' OR histogram_bounds::text ~* 'secret')",
      ),
    ).toBe(0);
    await database.sql('CHECKPOINT');
    const files =
      await database.sql(`SELECT i.id, position('secret'::bytea IN pg_read_binary_file(pg_relation_filepath(i.id))) AS at
      FROM (SELECT c.oid::regclass AS id FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('public', 'Odd.é') AND relkind IN ('r', 'i', 'm')) i`);
    expect(files.filter(({ at }) => at !== 0)).toEqual([]);

    // The same key gives the same values, to an owner who may not be a replica, too.
    const owned = await server.createDatabase();
    await database.sql("DROP ROLE IF EXISTS owner_of_shop; CREATE ROLE owner_of_shop LOGIN PASSWORD 'x'");
    await owned.sql(
      `ALTER DATABASE ${owned.name} OWNER TO owner_of_shop; ALTER SCHEMA public OWNER TO owner_of_shop; SET ROLE owner_of_shop; ${SHOP}; RESET ROLE`,
    );
    const url = new URL(owned.url);
    [url.username, url.password] = ['owner_of_shop', 'x'];
    await mask(url.href, SHOP_RULES, 'a key');
    const digest = "SELECT md5(string_agg(code || email || name || first, ',' ORDER BY id)) FROM customers";
    expect(await one(owned, digest)).toBe(await one(database, digest));
    expect(await one(owned, 'SELECT sum(changed)::int FROM customers')).toBe(0);
    const keys =
      "SELECT string_agg(conname || pg_get_constraintdef(oid), ' ' ORDER BY conname) FROM pg_constraint WHERE contype = 'f'";
    expect(await one(owned, keys)).toBe(await one(database, keys));
    await expect(
      mask(url.href, 'columns: { customers.country: { constant: 1 }, customers.email: { constant: x } }'),
    ).rejects.toThrow('email tells rows apart');
  });

  test('rows that stay: over references, around cycles, and in partitions', async () => {
    const database = await server.createDatabase();
    await database.sql(`
      CREATE TABLE people (id int PRIMARY KEY, boss int REFERENCES people, at date DEFAULT now());
      CREATE TABLE a (id int PRIMARY KEY, b int, person int REFERENCES people); CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a);
      ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
      CREATE TABLE cases (at date, id int, person int REFERENCES people ON DELETE RESTRICT, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
      CREATE TABLE cases_1 PARTITION OF cases FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
      CREATE TABLE notes (id int PRIMARY KEY, at date, c int, reader int REFERENCES people, FOREIGN KEY (at, c) REFERENCES cases);
      CREATE TABLE untouched (id int PRIMARY KEY);
      INSERT INTO people SELECT n, nullif(n / 2, 0) FROM generate_series(1, 15) n;
      INSERT INTO a (id, person) SELECT n, n FROM generate_series(1, 15) n; INSERT INTO b SELECT n, n FROM generate_series(1, 15) n;
      UPDATE a SET b = id % 15 + 1;
      INSERT INTO cases SELECT '2026-05-05', n, n FROM generate_series(1, 15) n;
      INSERT INTO notes SELECT n, '2026-05-05', CASE WHEN n % 2 = 0 THEN n END, n FROM generate_series(1, 15) n; INSERT INTO untouched VALUES (1)`);
    const fileNode = "SELECT pg_relation_filenode('untouched')";
    const before = await one(database, fileNode);
    // 3 goes, with 6, 7 and 12 to 15 below it; a cycle of a and b is broken, so that all of them go.
    const result = await mask(
      database.url,
      `subset: { people: 'id <> 3', public.notes: { set null: [reader] } }`,
    );
    expect(await database.sql('SELECT array_agg(id ORDER BY id) AS ids FROM people')).toEqual([
      { ids: [1, 2, 4, 5, 8, 9, 10, 11] },
    ]);
    expect(
      await database.sql(
        'SELECT (SELECT count(*)::int FROM a) AS a, (SELECT count(*)::int FROM b) AS b, (SELECT count(*)::int FROM cases) AS cases',
      ),
    ).toEqual([{ a: 0, b: 0, cases: 8 }]);
    expect(await one(database, 'SELECT array_agg(id ORDER BY id) FROM notes')).toEqual([
      1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 15,
    ]);
    expect(await one(database, 'SELECT array_agg(id ORDER BY id) FROM notes WHERE reader IS NULL')).toEqual([
      3, 7, 13, 15,
    ]);
    expect(result.tables.find(({ table }) => table === 'public.people')).toMatchObject({
      rows: 8,
      deleted: 7,
    });
    expect(result.foreignKeysProven).toBe(7);
    expect(await one(database, fileNode)).toBe(before);
    // What breaks a foreign key is seen, whoever broke it, and nothing is kept.
    await database.sql(
      'SET session_replication_role = replica; INSERT INTO notes VALUES (99, NULL, NULL, 98); RESET session_replication_role',
    );
    await expect(mask(database.url, `subset: { people: 'id <> 4' }`)).rejects.toMatchObject({
      code: 'RUN_INCOMPLETE',
      message: expect.stringMatching(
        /1 rows of public.notes have no row in public.people that they refer to by notes_reader_fkey/,
      ),
    });
    expect(await one(database, 'SELECT count(*)::int FROM people')).toBe(8);
    await expect(mask(database.url, `subset: { people: 'no_such_column > 1' }`)).rejects.toMatchObject({
      code: 'COLUMN_NOT_FOUND',
    });
  });

  test.skipIf(!pagilaAvailable())('pagila, masked, and a part of it', async () => {
    const database = await server.createDatabase();
    await loadPagila(database.url);
    const rules = `
columns:
  customer.email: email
  customer.first_name: fake first name
  customer.last_name: fake last name
  staff.email: email
  staff.password: { constant: none }
  address.phone: { hash: hex }
  address.address: shuffle
subset:
  customer: customer_id % 10 = 0
  staff: { set null: [store_id] }
`;
    await expect(mask(database.url, rules)).rejects.toThrow(
      'set null: public.staff.store_id may not be NULL',
    );
    const result = await mask(database.url, rules.replace(/ {2}staff: .*\n/, ''));
    expect(await one(database, 'SELECT count(*)::int FROM customer')).toBe(59);
    expect(
      await one(database, "SELECT count(*)::int FROM customer WHERE email LIKE '%sakilacustomer%'"),
    ).toBe(0);
    expect(await one(database, 'SELECT count(*)::int FROM rental')).toBeLessThan(2000);
    expect(await one(database, 'SELECT count(*)::int FROM film')).toBe(1000);
    expect(result.foreignKeysProven).toBeGreaterThan(8);
  });
});
