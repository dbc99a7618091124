/** The sample database pagila, a shop that rents films: loaded from the two scripts in which it is published. */

import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Session } from '../databases/postgres/open-session.ts';
import { runSqlScript } from '../databases/postgres/run-script.ts';
import type { ScriptPart } from '../databases/postgres/sql-script.ts';
import { LongshoreError } from '../errors.ts';
import type { Sample } from './sample.ts';

const SCRIPTS = ['pagila-schema.sql', 'pagila-data.sql'];

/**
 * @param folder with the two scripts
 * @throws CONFIG_INVALID where they are not there
 */
export function pagilaSample(folder: string): Sample {
  const paths = SCRIPTS.map((name) => join(folder, name));
  const absent = paths.find((path) => !existsSync(path));
  if (absent !== undefined) {
    throw new LongshoreError('CONFIG_INVALID', `cannot load a sample: there is no ${absent}`, {
      hint: `name the folder of pagila, with ${SCRIPTS.join(' and ')}; without --sample there is a shop`,
    });
  }
  return {
    title: 'pagila',
    async load(session, signal) {
      for (const path of paths) await loadScript(session, path, signal);
      await session.client.query('ANALYZE');
    },
    transactions: TRANSACTIONS,
    once: ONCE,
    shown: {
      schema: 'public',
      table: 'rental',
      primaryKey: ['rental_id'],
      columns: ['rental_id', 'rental_date', 'customer_id', 'staff_id', 'return_date'],
      orderBy: 'rental_id DESC',
      aggregate:
        'SELECT staff_id, count(*) AS rentals, count(*) - count(return_date) AS not_returned FROM public.rental GROUP BY staff_id ORDER BY staff_id',
    },
  };
}

async function loadScript(session: Session, path: string, signal: AbortSignal): Promise<void> {
  const doing = { action: `load ${path}`, database: 'postgres', user: undefined };
  const chunks: AsyncIterable<string> = createReadStream(path, { encoding: 'utf8', signal });
  await runSqlScript(session, chunks, { doing, skip: isThereAlready, signal });
}

/** Every database has it since PostgreSQL 9. */
function isThereAlready({ text }: ScriptPart): boolean {
  return /^CREATE PROCEDURAL LANGUAGE plpgsql$/.test(text);
}

const RENTALS = 16049;
const SOME_RENTAL = `(SELECT ceil(random() * ${RENTALS})::int AS id) chosen`;
const SOME_FILM = '(SELECT ceil(random() * 1000)::int AS id) chosen';
const SOME_CUSTOMER = '(SELECT ceil(random() * 599)::int AS id) chosen';

const RENT = `
INSERT INTO public.rental (rental_date, inventory_id, customer_id, staff_id)
SELECT clock_timestamp(), ceil(random() * 4581), id, 1 + id % 2 FROM ${SOME_CUSTOMER};
INSERT INTO public.payment (customer_id, staff_id, rental_id, amount, payment_date)
SELECT customer_id, staff_id, rental_id, 4.99, now() FROM public.rental r, ${SOME_RENTAL} WHERE r.rental_id = chosen.id;
UPDATE public.customer c SET active = 1 FROM ${SOME_CUSTOMER} WHERE c.customer_id = chosen.id`;

const TRANSACTIONS: readonly string[] = [
  RENT,
  RENT,
  // Films come back, several at once.
  `UPDATE public.rental r SET return_date = now() FROM ${SOME_RENTAL} WHERE r.rental_id BETWEEN chosen.id AND chosen.id + 3`,
  // A rental that was a mistake.
  `DELETE FROM public.rental WHERE rental_id = (SELECT min(rental_id) FROM public.rental WHERE rental_id > ${RENTALS})`,
  // Tables without a key.
  `UPDATE public.payment_p2007_02 SET amount = amount + 1 WHERE ctid = ANY (ARRAY(SELECT ctid FROM public.payment_p2007_02 LIMIT 3))`,
  `DELETE FROM public.payment_p2007_03 WHERE ctid = ANY (ARRAY(SELECT ctid FROM public.payment_p2007_03 LIMIT 2))`,
  // An actor plays in another film: the key changes.
  `UPDATE public.film_actor f SET film_id = free.film_id
   FROM (SELECT a.actor_id, a.film_id AS old, chosen.id AS film_id FROM ${SOME_FILM}, public.film_actor a
         WHERE NOT EXISTS (SELECT FROM public.film_actor o WHERE o.actor_id = a.actor_id AND o.film_id = chosen.id) LIMIT 1) free
   WHERE f.actor_id = free.actor_id AND f.film_id = free.old`,
  // A trigger writes the text of the search beside it.
  `UPDATE public.film f SET description = f.description || ' again', special_features = ARRAY['Trailers', 'Commentaries']
   FROM ${SOME_FILM} WHERE f.film_id = chosen.id AND length(f.description) < 500`,
  `SAVEPOINT discount;
   UPDATE public.film f SET rental_rate = 0.99 FROM ${SOME_FILM} WHERE f.film_id = chosen.id;
   ROLLBACK TO SAVEPOINT discount;
   UPDATE public.film f SET rental_rate = 2.99 FROM ${SOME_FILM} WHERE f.film_id = chosen.id`,
  `INSERT INTO public.actor (first_name, last_name) VALUES ('ADA', 'BYRON'), ('GRACE', 'HOPPER');
   DELETE FROM public.actor WHERE actor_id = (SELECT min(actor_id) FROM public.actor WHERE actor_id > 200)`,
];

const ONCE: Sample['once'] = [
  {
    what: 'changes every address: 603 rows in one transaction',
    statements: 'UPDATE public.address SET district = upper(district)',
  },
  {
    what: 'truncates film_category and fills it again',
    statements: `
      CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT film_id, category_id FROM public.film_category;
      TRUNCATE public.film_category;
      INSERT INTO public.film_category (film_id, category_id) SELECT film_id, category_id FROM kept WHERE film_id <= 900`,
  },
  {
    what: 'adds the column customer.loyalty_points',
    statements: `
      ALTER TABLE public.customer ADD COLUMN loyalty_points integer;
      UPDATE public.customer SET loyalty_points = length(last_name) WHERE store_id = 1`,
  },
];
