/** Clones of the sample databases while programs write: all that they do not write compares equal, by our own look and by others'. */

import { execFileSync } from 'node:child_process';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { mariadbAvailable, mariadbServer } from '../servers/mariadb.ts';
import { installedPgDump } from '../servers/pg-dump.ts';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import {
  ask,
  type CloneWorld,
  createCloneWorld,
  done,
  parsed,
  passwordOf,
  withDatabaseName,
  withoutPassword,
} from '../worlds/clone-world.ts';
import { loadPagila, pagilaAvailable } from '../worlds/pagila.ts';
import { loadSakila, sakilaAvailable } from '../worlds/sakila.ts';
import { schemaFacts } from '../worlds/schema-facts.ts';

const hasDump = (await installedPgDump()) !== undefined;

let server: PostgresServer;
let world: CloneWorld;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  world = createCloneWorld();
});
afterEach(() => world[Symbol.dispose]());

/** What pg_dump says of everything, without what is new in each dump. */
const schemaText = (url: string): string =>
  execFileSync('pg_dump', ['--schema-only', '-d', url], { encoding: 'utf8' }).replace(
    /^\\(un)?restrict .*$/gm,
    '',
  );

async function postgresRows(url: string, written: readonly string[]): Promise<Record<string, unknown>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found: Record<string, unknown> = {};
    const { rows: tables } = await client.query<{ name: string; text: string }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS name, CASE c.relkind WHEN 'S' THEN 'last_value::text' ELSE 't::text' END AS text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname !~ '^pg_|^information_schema$' AND (c.relkind IN ('r', 'S', 'v', 'm')) ORDER BY 1`,
    );
    for (const { name, text } of tables) {
      if (written.some((one) => name.startsWith(one))) continue;
      const { rows } = await client.query<Record<string, unknown>>(
        `SELECT count(*)::int AS rows, md5(string_agg(${text}, e'\\n' ORDER BY ${text} COLLATE "C")) AS digest FROM ${name} t`,
      );
      found[name] = rows[0];
    }
    return found;
  } finally {
    await client.end();
  }
}

/** Writes while `work` runs. @returns what work does, and how often it wrote meanwhile */
async function whileWriting<T>(write: () => Promise<unknown>, work: () => Promise<T>): Promise<[T, number]> {
  let [stop, count] = [false, 0];
  const writing = (async () => {
    while (!stop) {
      await write();
      count++;
    }
  })();
  const ended = work().finally(() => {
    stop = true;
  });
  const [result] = await Promise.all([ended, writing]);
  return [result, count];
}

test.skipIf(!hasDump || !pagilaAvailable())(
  'pagila, while a program writes: all that it did not write is the same',
  async () => {
    const source = await server.createDatabase();
    await loadPagila(source.url);
    const rentals = async (url: string): Promise<number> =>
      Number((await ask(url, 'SELECT count(*)::int AS n FROM rental'))[0]!['n']);
    const before = await rentals(source.url);
    const given = ['--from', withoutPassword(source.url), '--name', 'pagila_copy', '--compare', '--json'];
    const [made, writes] = await whileWriting(
      () =>
        source.sql(`BEGIN;
          INSERT INTO rental (rental_date, inventory_id, customer_id, staff_id) VALUES (clock_timestamp(), 1, 1, 1);
          INSERT INTO payment_p2007_01 (customer_id, staff_id, rental_id, amount, payment_date)
            SELECT 1, 1, max(rental_id), 4.99, '2007-01-24' FROM rental;
          COMMIT`),
      () => parsed(world.clone(given, { PGPASSWORD: passwordOf(source.url) })),
    );
    expect(made).toMatchObject({ clone: { how: 'copy', existed: false } });
    expect(writes).toBeGreaterThan(0);
    const copy = withDatabaseName(server.url, 'pagila_copy');
    expect(schemaText(copy)).toBe(schemaText(source.url));
    expect(await schemaFacts(copy)).toEqual(await schemaFacts(source.url));
    // Views are made of what was written, too, or list what is in no order.
    const written = [
      ...['public.rental', 'public.payment', 'public.rental_rental_id_seq', 'public.payment_payment_id_seq'],
      ...['public.sales_by', 'public.rental_by', 'public.film_list', 'public.nicer_but_slower_film_list'],
    ];
    const rows = await postgresRows(copy, written);
    expect(Object.keys(rows).length).toBeGreaterThan(20);
    expect(rows).toEqual(await postgresRows(source.url, written));
    // Of one moment: a rental with its payment, or neither.
    const after = await rentals(copy);
    expect(after).toBeGreaterThanOrEqual(before);
    expect(after).toBeLessThanOrEqual(before + writes);
    const payments = `SELECT count(*)::int AS n FROM payment p WHERE payment_date = '2007-01-24' AND NOT EXISTS
      (SELECT FROM rental r WHERE r.rental_id = p.rental_id)`;
    expect(await ask(copy, payments)).toEqual([{ n: 0 }]);
    expect(
      await ask(
        copy,
        "SELECT count(*)::int AS n FROM payment WHERE payment_date = '2007-01-24' AND amount = 4.99",
      ),
    ).toEqual([{ n: after - before }]);
    await done(
      world.clone(['drop', 'pagila_copy', '--on', withoutPassword(server.url)], {
        PGPASSWORD: passwordOf(source.url),
      }),
    );
  },
);

describe.skipIf(!mariadbAvailable() || !sakilaAvailable())('on MariaDB', () => {
  test('sakila, while a program writes: all that it did not write is the same', async () => {
    await using mariadb = await mariadbServer();
    const source = await mariadb.createDatabase();
    await loadSakila(source.url);
    const MYSQL_PWD = passwordOf(mariadb.url);
    const before = (await source.sql('SELECT COUNT(*) AS n FROM rental'))[0]!['n'] as number;
    const given = ['--from', withoutPassword(source.url), '--name', 'sakila_copy', '--compare', '--json'];
    const [made, writes] = await whileWriting(
      () =>
        source.sql(
          `INSERT INTO rental (rental_date, inventory_id, customer_id, staff_id)
           SELECT NOW(), 1 + MOD(MAX(rental_id), 4581), 1, 1 FROM rental`,
        ),
      () => parsed(world.clone(given, { MYSQL_PWD })),
    );
    expect(made).toMatchObject({ clone: { how: 'dump', existed: false } });
    expect(writes).toBeGreaterThan(0);
    const dumped = (database: string): string => {
      const { hostname, port, username } = new URL(mariadb.url);
      const flags = ['--protocol=tcp', `--host=${hostname}`, `--port=${port}`, `--user=${username}`];
      return execFileSync(
        'mysqldump',
        [
          '--no-defaults',
          ...flags,
          '--no-data',
          '--routines',
          '--events',
          '--triggers',
          '--skip-dump-date',
          database,
        ],
        { encoding: 'utf8', env: { ...process.env, MYSQL_PWD } },
      )
        .replace(/ AUTO_INCREMENT=\d+/g, '')
        .replaceAll(database, 'it');
    };
    expect(dumped('sakila_copy')).toBe(dumped(source.name));
    const sums = async (database: string): Promise<unknown> => {
      const tables = await source.sql(
        `SELECT table_name AS name FROM information_schema.tables
         WHERE table_schema = '${database}' AND table_type = 'BASE TABLE' AND table_name <> 'rental' ORDER BY 1`,
      );
      const found: Record<string, unknown> = {};
      for (const { name } of tables)
        found[String(name)] = (await source.sql(`CHECKSUM TABLE ${database}.${String(name)}`))[0]![
          'Checksum'
        ];
      return found;
    };
    expect(await sums('sakila_copy')).toEqual(await sums(source.name));
    const after = (await source.sql('SELECT COUNT(*) AS n FROM sakila_copy.rental'))[0]!['n'] as number;
    expect(after).toBeGreaterThanOrEqual(before);
    expect(after).toBeLessThanOrEqual(before + writes);
    await done(world.clone(['drop', 'sakila_copy', '--on', withoutPassword(mariadb.url)], { MYSQL_PWD }));
  });
});
