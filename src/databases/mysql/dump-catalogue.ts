/** Reads from the information schema what a dump of a database has to hold, and what is to be known of it before. */

import { LongshoreError } from '../../errors.ts';
import type { Client } from './connections.ts';
import { quoteName, quoteText } from './sql.ts';
import { mayHideTables, unseenObjects } from './unseen-objects.ts';

export interface DumpCatalogue {
  /** Tables with rows of their own. */
  readonly tables: readonly string[];
  readonly views: readonly string[];
  /** As {@link DumpFacts.objects}; in order. */
  readonly objects: readonly string[];
  /** Definers, as `user@host`; in order. */
  readonly accounts: readonly string[];
  readonly notices: readonly string[];
  readonly bytesEstimate: number;
}

/** @throws DATABASE_DENIED where the user has the right to read some tables alone */
export async function checkSeesTables(client: Client, database: string): Promise<void> {
  const grants = await client.rows('SHOW GRANTS');
  if (!mayHideTables(grants.flat(), database)) return;
  throw new LongshoreError(
    'DATABASE_DENIED',
    `Cannot back up ${database}: the user may not read all of it, and tables that it does not see would be left out`,
    { hint: `GRANT SELECT ON ${quoteName(database)}.* to the user, not on single tables` },
  );
}

/** What the user has no right on is not there for it. */
export async function readCatalogue(client: Client, database: string): Promise<DumpCatalogue> {
  const schema = quoteText(database);
  const tables = await client.rows(
    `SELECT TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, ''), CAST(COALESCE(DATA_LENGTH, 0) AS CHAR)
     FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${schema} ORDER BY TABLE_NAME`,
  );
  const withRows = tables.filter(([, type]) => type === 'BASE TABLE' || type === 'SYSTEM VERSIONED');
  const named = (types: RegExp) => tables.filter(([, type]) => types.test(type!)).map(([name]) => name!);
  const views = named(/VIEW$/);
  const definers = await client.rows(
    `SELECT DEFINER, 'view', TABLE_NAME, '' FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ${schema}
     UNION SELECT DEFINER, 'trigger', TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS
       WHERE TRIGGER_SCHEMA = ${schema}
     UNION SELECT DEFINER, LOWER(ROUTINE_TYPE), ROUTINE_NAME, '' FROM information_schema.ROUTINES
       WHERE ROUTINE_SCHEMA = ${schema}
     UNION SELECT DEFINER, 'event', EVENT_NAME, '' FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ${schema}`,
  );
  const ofTables = await client.rows(
    `SELECT DISTINCT 'index', INDEX_NAME, TABLE_NAME FROM information_schema.STATISTICS
       WHERE TABLE_SCHEMA = ${schema}
     UNION SELECT LOWER(CONSTRAINT_TYPE), CONSTRAINT_NAME, TABLE_NAME FROM information_schema.TABLE_CONSTRAINTS
       WHERE TABLE_SCHEMA = ${schema} AND CONSTRAINT_TYPE IN ('FOREIGN KEY', 'CHECK')`,
  );
  const objects = [
    ...named(/^SEQUENCE$/).map((name) => objectName('sequence', name)),
    ...definers.map(([, kind, name, table]) => objectName(kind!, name!, table)),
    ...ofTables.map(([kind, name, table]) => objectName(kind!, name!, table)),
  ];
  return {
    tables: withRows.map(([name]) => name!),
    views,
    objects: objects.sort(),
    accounts: [...new Set(definers.map(([definer]) => definer!))].sort(),
    notices: await readNotices(client, database, withRows),
    bytesEstimate: withRows.reduce((sum, [, , , bytes]) => sum + Number(bytes), 0),
  };
}

/** `view totals`, `trigger film.ins_film`; without the database's name, which is another where it is restored. */
function objectName(kind: string, name: string, table?: string): string {
  const plain = (text: string) =>
    /^[\p{L}\p{N}_$]+$/u.test(text) ? text : `\`${text.replaceAll('`', '``')}\``;
  return `${kind} ${table ? `${plain(table)}.` : ''}${plain(name)}`;
}

async function readNotices(
  client: Client,
  database: string,
  tables: readonly (readonly string[])[],
): Promise<string[]> {
  const engines = await client.rows(
    "SELECT LOWER(ENGINE) FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'",
  );
  const transactional = new Set(engines.map(([engine]) => engine));
  const outside = tables.filter(([, , engine]) => !transactional.has(engine!.toLowerCase()));
  const versioned = tables.filter(([, type]) => type === 'SYSTEM VERSIONED').map(([name]) => name!);
  const floats = await client.rows(
    `SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS JOIN information_schema.TABLES
       USING (TABLE_SCHEMA, TABLE_NAME)
     WHERE TABLE_SCHEMA = ${quoteText(database)} AND DATA_TYPE = 'float' AND TABLE_TYPE NOT LIKE '%VIEW' ORDER BY 1, 2`,
  );
  const grants = await client.rows('SHOW GRANTS');
  const unseen = unseenObjects(
    grants.map(([grant]) => grant!),
    database,
  );
  return [
    ...(unseen.length === 0
      ? []
      : [
          `not all are dumped that may be there, since the user has no right to see them: ${unseen.join(', ')}`,
        ]),
    ...(outside.length === 0
      ? []
      : [
          `without transactions, so what changes in them while they are dumped may be there in part: ${listed(outside.map(([name, , engine]) => `${name} (${engine || 'no engine'})`))}`,
        ]),
    ...(versioned.length === 0
      ? []
      : [`dumped as they are now, without their history: ${listed(versioned)}`]),
    ...(floats.length === 0
      ? []
      : [
          `of type FLOAT, of which the server shows six digits and the dump holds no more: ${listed(floats.map(([table, column]) => `${table}.${column}`))}`,
        ]),
    'tables that are altered, dropped or made while the dump runs are not protected',
  ];
}

const LISTED_MAX = 20;

function listed(names: readonly string[]): string {
  const more = names.length - LISTED_MAX;
  return `${names.slice(0, LISTED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
