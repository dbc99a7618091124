/**
 * Makes room in the target for tables that are loaded: those of the job that are there already are emptied where they have
 * the columns of the source, and go where they have not.
 */

import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Session } from '../../../databases/postgres/open-session.ts';
import { checkAbsent } from '../../../databases/postgres/schema-create.ts';
import { quoteName } from '../../../databases/postgres/sql.ts';
import { quotedTable, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import type { NamedColumn } from './column-changes.ts';
import { silenceTriggers } from './sides.ts';
import type { JobTable } from './target-state.ts';
import { truncateTables } from './truncate-tables.ts';

export interface RoomForTables {
  /** That are made. */
  readonly fresh: readonly SourceTable[];
  /** That are emptied, with the names that they have in the target. */
  readonly again: readonly { readonly table: SourceTable; readonly before: JobTable }[];
  /** Of the job, that go: they have other columns, or another table has their name now. */
  readonly gone: readonly JobTable[];
}

/**
 * What is to be done; nothing is yet.
 * @param tables that are loaded, with their columns in the source
 * @param known those of the job
 * @param database of the target, for errors
 * @throws CHECK_FAILED where something that is not of the job has the name that one of its tables has now
 */
export async function findRoom(
  target: pg.ClientBase,
  tables: readonly SourceTable[],
  columns: ReadonlyMap<number, readonly NamedColumn[]>,
  known: readonly JobTable[],
  database: string,
): Promise<RoomForTables> {
  const fresh: SourceTable[] = [];
  const again: { table: SourceTable; before: JobTable }[] = [];
  const gone: JobTable[] = [];
  for (const table of tables) {
    const before = known.find(({ oid }) => oid === table.oid);
    gone.push(...known.filter((one) => hasName(one, table) && tables.every(({ oid }) => oid !== one.oid)));
    if (before === undefined) fresh.push(table);
    else if (sameColumns(await columnsThere(target, before), columns.get(table.oid)!))
      again.push({ table, before });
    else {
      fresh.push(table);
      gone.push(before);
    }
  }
  const free = [...gone, ...again.map(({ before }) => before)];
  const taken = again.filter(({ table }) => !free.some((one) => hasName(one, table)));
  await checkAbsent(
    target,
    taken.map(({ table }) => quotedTable(table)),
    database,
  );
  return { fresh, again, gone };
}

/** @param target in a transaction */
export async function makeRoom(
  target: Session,
  { again, gone }: RoomForTables,
  known: readonly JobTable[],
): Promise<void> {
  const { client } = target;
  if (gone.length > 0) {
    const names = gone.map(quotedTable);
    const { rows } = await client.query<{ name: string; constraint: string }>(POINTING, [
      names,
      known.map(quotedTable),
    ]);
    // Those that the source has are made again.
    for (const { name, constraint } of rows)
      await client.query(`ALTER TABLE ${name} DROP CONSTRAINT ${quoteName(constraint)}`);
    await client.query(`DROP TABLE IF EXISTS ${names.join(', ')}`);
  }
  await rename(
    client,
    again.filter(({ table, before }) => !hasName(before, table)),
  );
  if (again.length === 0) return;
  await silenceTriggers(target);
  const emptied = again.map(({ table }) => ({
    text: table.partitioned ? quotedTable(table) : `ONLY ${quotedTable(table)}`,
  }));
  await truncateTables(client, emptied, { restartIdentity: false });
}

/** Foreign keys of other tables of the job to tables that go. */
const POINTING = `
SELECT k.conrelid::regclass::text AS name, k.conname AS constraint FROM pg_constraint k
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY (SELECT to_regclass(n) FROM unnest($1::text[]) n)
  AND k.conrelid <> ALL (SELECT to_regclass(n) FROM unnest($1::text[]) n WHERE to_regclass(n) IS NOT NULL)
  AND k.conrelid = ANY (SELECT to_regclass(n) FROM unnest($2::text[]) n)`;

/** By names that nothing has, as tables may have taken theirs from one another. */
async function rename(client: pg.ClientBase, renamed: RoomForTables['again']): Promise<void> {
  const moved = renamed.map((one) => ({ ...one, aside: `longshore_${randomUUID()}` }));
  for (const { before, aside } of moved)
    await client.query(`ALTER TABLE ${quotedTable(before)} RENAME TO ${quoteName(aside)}`);
  for (const { table, before, aside } of moved) {
    const { schema, name } = table;
    if (before.schema !== schema) {
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`);
      await client.query(
        `ALTER TABLE ${quotedTable({ schema: before.schema, name: aside })} SET SCHEMA ${quoteName(schema)}`,
      );
    }
    await client.query(`ALTER TABLE ${quotedTable({ schema, name: aside })} RENAME TO ${quoteName(name)}`);
  }
}

/** As the target has them, whatever the checkpoint says: bytes of another type would be taken for something else. */
async function columnsThere(client: pg.ClientBase, table: JobTable): Promise<NamedColumn[]> {
  const { rows: path } = await client.query<{ path: string }>(
    `SELECT current_setting('search_path') AS path`,
  );
  await client.query(`SELECT set_config('search_path', '', false)`);
  const { rows } = await client.query<NamedColumn>(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type FROM pg_attribute a
     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''`,
    [quotedTable(table)],
  );
  await client.query(`SELECT set_config('search_path', $1, false)`, [path[0]!.path]);
  return rows;
}

function sameColumns(one: readonly NamedColumn[], other: readonly NamedColumn[]): boolean {
  const types = new Map(one.map(({ name, type }) => [name, type]));
  return one.length === other.length && other.every(({ name, type }) => types.get(name) === type);
}

function hasName(
  one: { readonly schema: string; readonly name: string },
  other: { readonly schema: string; readonly name: string },
): boolean {
  return one.schema === other.schema && one.name === other.name;
}
