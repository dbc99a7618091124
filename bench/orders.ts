/** A database for benchmarks: a large table of orders with two indexes, and a smaller one of notes. */

import type pg from 'pg';

/** @param rows of orders; 9,000,000 are about 2 GB with their indexes */
export async function fillOrders(client: pg.Client, rows: number): Promise<void> {
  await client.query(`CREATE TABLE orders (id bigint PRIMARY KEY, customer int, name text, amount numeric(12,2), created timestamptz,
    paid boolean, doc jsonb); CREATE TABLE notes (id bigint PRIMARY KEY, orders_id bigint, body text)`);
  await client.query(
    `INSERT INTO orders SELECT g, g % 100000, 'name ' || g || ' ' || md5(g::text), (random() * 100000)::numeric(12,2),
       now() + g * interval '1 second', g % 3 = 0, jsonb_build_object('a', g, 'b', 'text ' || g % 100) FROM generate_series(1, $1::int) g`,
    [rows],
  );
  await client.query(
    `INSERT INTO notes SELECT g, g * 10, 'a note of ' || g || ' that says ' || repeat(md5((g % 5000)::text), 3) FROM generate_series(1, $1::int / 10) g`,
    [rows],
  );
  for (const text of ['CREATE INDEX ON orders (customer)', 'VACUUM ANALYZE', 'CHECKPOINT'])
    await client.query(text);
}
