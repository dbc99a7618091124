/**
 * A shop of about 19,000 rows in three schemas, with what replication has to get right: partitions, keys of several
 * columns, a table without a key, enums, documents, arrays, exact numbers, large values that are stored apart.
 */

import type { Sample } from './sample.ts';

export const shopSample: Sample = {
  title: 'a shop',
  async load({ client }) {
    for (const statements of [TABLES, MONTHS, ROWS]) await client.query(`BEGIN;\n${statements};\nCOMMIT`);
    await client.query('ANALYZE');
  },
  get transactions() {
    return TRANSACTIONS;
  },
  get once() {
    return ONCE;
  },
  shown: {
    schema: 'sales',
    table: 'orders',
    primaryKey: ['id', 'ordered_at'],
    columns: ['id', 'ordered_at', 'status', 'total'],
    orderBy: 'ordered_at DESC, id DESC',
    aggregate:
      'SELECT status, count(*) AS orders, sum(total) AS revenue FROM sales.orders GROUP BY status ORDER BY status',
  },
};

const CUSTOMERS = 2000;
const PRODUCTS = 300;
const ORDERS = 4500;

const TABLES = `
CREATE SCHEMA catalogue;
CREATE SCHEMA crm;
CREATE SCHEMA sales;
CREATE TABLE catalogue.products (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sku text NOT NULL UNIQUE,
  name text NOT NULL,
  price numeric(12,2) NOT NULL CHECK (price > 0),
  tags text[] NOT NULL,
  attributes jsonb NOT NULL,
  manual text,
  added_on date NOT NULL);
-- Large manuals are stored apart, and an update of the price does not send them.
ALTER TABLE catalogue.products ALTER COLUMN manual SET STORAGE EXTERNAL;
CREATE TABLE catalogue.stock (
  product_id integer NOT NULL REFERENCES catalogue.products,
  warehouse text NOT NULL,
  quantity integer NOT NULL,
  counted_at timestamptz,
  PRIMARY KEY (product_id, warehouse));
CREATE TABLE catalogue.coupons (code text PRIMARY KEY, percent smallint NOT NULL, valid daterange NOT NULL);
CREATE TABLE crm.customers (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL UNIQUE,
  email_domain text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED,
  country char(2) NOT NULL,
  birthday date,
  preferences jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL);
-- A log has no key: its rows are known by all of their values.
CREATE TABLE crm.visits (customer_id uuid, path text NOT NULL, stayed interval, visited_at timestamptz NOT NULL);
ALTER TABLE crm.visits REPLICA IDENTITY FULL;
CREATE TYPE sales.order_status AS ENUM ('new', 'paid', 'packed', 'shipped', 'delivered', 'returned');
CREATE SEQUENCE sales.order_numbers;
CREATE TABLE sales.orders (
  id bigint NOT NULL DEFAULT nextval('sales.order_numbers'),
  ordered_at timestamptz NOT NULL,
  customer_id uuid NOT NULL REFERENCES crm.customers,
  status sales.order_status NOT NULL DEFAULT 'new',
  total numeric(12,2) NOT NULL DEFAULT 0,
  note text,
  PRIMARY KEY (id, ordered_at)) PARTITION BY RANGE (ordered_at);
CREATE TABLE sales.order_lines (
  order_id bigint NOT NULL,
  ordered_at timestamptz NOT NULL,
  line smallint NOT NULL,
  product_id integer NOT NULL REFERENCES catalogue.products,
  quantity integer NOT NULL CHECK (quantity > 0),
  unit_price numeric(12,2) NOT NULL,
  amount numeric(12,2) GENERATED ALWAYS AS (quantity * unit_price) STORED,
  PRIMARY KEY (order_id, line),
  FOREIGN KEY (order_id, ordered_at) REFERENCES sales.orders (id, ordered_at) ON UPDATE CASCADE ON DELETE CASCADE)`;

/** Half a year of partitions, and the month that comes. */
const MONTHS = `
DO $$
DECLARE month timestamptz;
BEGIN
  FOR month IN SELECT date_trunc('month', now()) + n * interval '1 month' FROM generate_series(-6, 1) n LOOP
    EXECUTE format('CREATE TABLE sales.%I PARTITION OF sales.orders FOR VALUES FROM (%L) TO (%L)',
      'orders_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month');
  END LOOP;
END $$`;

const ROWS = `
SELECT setseed(0.42);
INSERT INTO catalogue.products (sku, name, price, tags, attributes, manual, added_on)
SELECT 'P-' || lpad(i::text, 5, '0'),
       (ARRAY['Oak', 'Brass', 'Linen', 'Slate', 'Copper', 'Birch'])[1 + i % 6] || ' ' ||
       (ARRAY['lamp', 'kettle', 'table', 'chair', 'blanket', 'shelf', 'clock'])[1 + i % 7] || ' no. ' || i,
       (5 + random() * 495)::numeric(12,2),
       (ARRAY['home', 'kitchen', 'garden', 'gift', 'sale'])[1 + i % 3 : 2 + i % 4],
       jsonb_build_object('weight_kg', round((random() * 20)::numeric, 3), 'colours', jsonb_build_array('red', 'blue'), 'eco', i % 4 = 0),
       CASE WHEN i % 5 = 0 THEN (SELECT string_agg(md5(i || '-' || n), ' ') FROM generate_series(1, 150) n) END,
       current_date - i
FROM generate_series(1, ${PRODUCTS}) i;
INSERT INTO catalogue.stock (product_id, warehouse, quantity)
SELECT p.id, w, floor(random() * 500) FROM catalogue.products p, unnest(ARRAY['Lyon', 'Gdansk']) w;
INSERT INTO catalogue.coupons
SELECT 'SPRING' || i, i * 5, daterange(current_date - 30 * i, CASE WHEN i % 2 = 0 THEN current_date + 30 END)
FROM generate_series(1, 12) i;
INSERT INTO crm.customers (id, name, email, country, birthday, preferences, created_at)
SELECT md5('customer ' || i)::uuid, first || ' ' || last, lower(first || '.' || last) || i || '@example.' || (ARRAY['com', 'org', 'net'])[1 + i % 3],
       (ARRAY['FR', 'DE', 'PL', 'NL', 'ES', 'SE'])[1 + i % 6],
       CASE WHEN i % 10 > 0 THEN date '1950-01-01' + floor(random() * 20000)::int END,
       jsonb_build_object('newsletter', i % 2 = 0, 'language', (ARRAY['fr', 'de', 'pl'])[1 + i % 3]),
       now() - random() * interval '3 years'
FROM generate_series(1, ${CUSTOMERS}) i
CROSS JOIN LATERAL (SELECT
  (ARRAY['Ada', 'Chloé', 'Edgar', 'Grace', 'Jan', 'Linus', 'Margaret', 'Tim', 'Zoë'])[1 + i % 9] AS first,
  (ARRAY['Byron', 'Codd', 'Hopper', 'Kernighan', 'Liskov', 'Nowak', 'Perlman', 'Stone'])[1 + i % 8] AS last) names;
INSERT INTO crm.visits
SELECT ${oneOf('customer', CUSTOMERS)}, '/products/' || ceil(random() * ${PRODUCTS}), random() * interval '9 minutes', now() - random() * interval '30 days'
FROM generate_series(1, 2500);
INSERT INTO sales.orders (ordered_at, customer_id, status, note)
SELECT now() - random() * interval '170 days', ${oneOf('customer', CUSTOMERS)}, (ARRAY['paid', 'packed', 'shipped', 'delivered', 'returned'])[1 + i % 5]::sales.order_status,
       CASE WHEN i % 20 = 0 THEN 'leave it with the neighbour' END
FROM generate_series(1, ${ORDERS}) i;
INSERT INTO sales.order_lines (order_id, ordered_at, line, product_id, quantity, unit_price)
SELECT o.id, o.ordered_at, line, p.id, 1 + o.id % 3, p.price
FROM sales.orders o CROSS JOIN LATERAL generate_series(1, 1 + o.id % 3) line
JOIN catalogue.products p ON p.id = 1 + (o.id * 7 + line * 31) % ${PRODUCTS};
UPDATE sales.orders o SET total = l.total
FROM (SELECT order_id, sum(amount) AS total FROM sales.order_lines GROUP BY order_id) l WHERE l.order_id = o.id`;

/** The key of a customer of the first day. */
function oneOf(kind: 'customer', count: number): string {
  return `md5('${kind} ' || ceil(random() * ${count}))::uuid`;
}

/** The order that the transaction has placed. */
const THIS_ORDER = "(SELECT currval('sales.order_numbers'))";
const SOME_ORDER = '(SELECT ceil(random() * last_value)::bigint AS id FROM sales.order_numbers) chosen';
const SOME_PRODUCT = `(SELECT ceil(random() * ${PRODUCTS})::int AS id) chosen`;
const SOME_CUSTOMER = `(SELECT ${oneOf('customer', CUSTOMERS)} AS id) chosen`;

const PLACE_AN_ORDER = `
INSERT INTO sales.orders (ordered_at, customer_id) SELECT now(), id FROM ${SOME_CUSTOMER};
INSERT INTO sales.order_lines (order_id, ordered_at, line, product_id, quantity, unit_price)
SELECT ${THIS_ORDER}, now(), line, p.id, ceil(random() * 3), p.price
FROM (SELECT line, ceil(random() * ${PRODUCTS})::int AS product_id FROM generate_series(1, 3) line) chosen
JOIN catalogue.products p ON p.id = chosen.product_id;
UPDATE sales.orders SET total = (SELECT sum(amount) FROM sales.order_lines WHERE order_id = ${THIS_ORDER}) WHERE id = ${THIS_ORDER};
UPDATE catalogue.stock s SET quantity = s.quantity - l.quantity
FROM sales.order_lines l WHERE l.order_id = ${THIS_ORDER} AND s.product_id = l.product_id AND s.warehouse = 'Lyon';
INSERT INTO crm.visits SELECT customer_id, '/thanks', interval '42 seconds', now() FROM sales.orders WHERE id = ${THIS_ORDER}`;

const TRANSACTIONS: readonly string[] = [
  PLACE_AN_ORDER,
  PLACE_AN_ORDER,
  // Several orders go on.
  `UPDATE sales.orders o SET status = CASE status WHEN 'new' THEN 'paid' WHEN 'paid' THEN 'packed' WHEN 'packed' THEN 'shipped' ELSE 'delivered' END::sales.order_status
   FROM ${SOME_ORDER} WHERE o.id BETWEEN chosen.id AND chosen.id + 4`,
  // An order is cancelled, with its lines.
  `DELETE FROM sales.orders o USING ${SOME_ORDER} WHERE o.id = chosen.id`,
  // An order is placed again: its key changes, and so do its partition and its lines.
  `UPDATE sales.orders o SET ordered_at = now(), status = 'new' FROM ${SOME_ORDER} WHERE o.id = chosen.id`,
  // What is in one warehouse goes to another, which is part of the key.
  `UPDATE catalogue.stock s SET warehouse = CASE warehouse WHEN 'Gdansk' THEN 'Oslo' ELSE 'Gdansk' END
   FROM ${SOME_PRODUCT} WHERE s.product_id = chosen.id AND s.warehouse <> 'Lyon'`,
  // A count of the stock is given up halfway.
  `SAVEPOINT count;
   UPDATE catalogue.stock s SET quantity = 0, counted_at = now() FROM ${SOME_PRODUCT} WHERE s.product_id = chosen.id;
   INSERT INTO crm.visits VALUES (NULL, '/stock/count', NULL, now());
   ROLLBACK TO SAVEPOINT count;
   INSERT INTO crm.visits VALUES (NULL, '/stock', NULL, now())`,
  // A price changes beside a large manual that does not.
  `UPDATE catalogue.products p SET price = round(p.price * 1.01, 2), attributes = p.attributes || '{"sale": true}'
   FROM ${SOME_PRODUCT} WHERE p.id = chosen.id`,
  `UPDATE catalogue.products p SET manual = (SELECT string_agg(md5(random()::text), ' ') FROM generate_series(1, 200))
   FROM ${SOME_PRODUCT} WHERE p.id = chosen.id`,
  `UPDATE crm.customers c SET preferences = c.preferences || jsonb_build_object('seen', now())
   FROM ${SOME_CUSTOMER} WHERE c.id = chosen.id`,
  `INSERT INTO crm.customers (id, name, email, country, created_at)
   SELECT id, 'Guest', id || '@guest.example', 'FR', now() FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 3)) guests`,
  `DELETE FROM crm.customers WHERE id = (SELECT id FROM crm.customers WHERE email_domain = 'guest.example' LIMIT 1)`,
  // The same visit twice, and others forgotten: rows without a key.
  `INSERT INTO crm.visits SELECT id, '/', interval '1 second', now() FROM ${SOME_CUSTOMER}, generate_series(1, 2);
   DELETE FROM crm.visits WHERE ctid = ANY (ARRAY(SELECT ctid FROM crm.visits LIMIT 2));
   UPDATE crm.visits SET stayed = '1 minute' WHERE ctid = ANY (ARRAY(SELECT ctid FROM crm.visits LIMIT 1))`,
];

const ONCE: Sample['once'] = [
  {
    what: 'counts the stock: 600 rows in one transaction',
    statements: 'UPDATE catalogue.stock SET counted_at = now()',
  },
  {
    what: 'truncates catalogue.coupons and fills it again',
    statements: `
      TRUNCATE catalogue.coupons;
      INSERT INTO catalogue.coupons SELECT 'SUMMER' || i, i * 10, daterange(current_date, current_date + 90) FROM generate_series(1, 5) i`,
  },
  {
    what: 'adds the column crm.customers.loyalty_points',
    statements: `
      ALTER TABLE crm.customers ADD COLUMN loyalty_points integer;
      UPDATE crm.customers SET loyalty_points = length(name) WHERE country = 'FR'`,
  },
];
