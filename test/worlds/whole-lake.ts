/** Holds the files of a replication against the tables that they are of. */

import { expect } from 'vitest';
import type { PostgresTestDatabase } from '../servers/postgres.ts';
import type { Lake } from './lake.ts';

/** What a reader lists is what the manifests name, each file once; epochs follow one another; tables come out as they are. */
export async function expectWholeLake(
  lake: Lake,
  database: PostgresTestDatabase,
  tables: readonly string[],
): Promise<void> {
  const epochs = lake.manifests();
  const named = epochs.flatMap(({ files }) => files.map(({ key }) => key));
  expect(lake.listed()).toEqual(named.toSorted());
  for (const [i, { epoch, fromLsn }] of epochs.entries()) {
    expect(epoch).toBe(i);
    if (i > 0) expect(fromLsn).toBe(epochs[i - 1]!.toLsn);
  }
  for (const table of tables) {
    const places = lake.changesOf(table).map((row) => `${row['_commit_lsn']} ${row['_ordinal']}`);
    expect(new Set(places).size).toBe(places.length);
    await expectRows(lake, database, table);
  }
}

/** Of a table of the columns `id`, a number, and `v`. */
export async function expectRows(lake: Lake, database: PostgresTestDatabase, table: string): Promise<void> {
  const rows = await database.sql(`SELECT id::float8 AS id, v FROM ${table} ORDER BY id`);
  const replica = [...lake.current(table).values()].map(({ id, v }) => ({ id, v }));
  expect(replica.sort((a, b) => Number(a.id) - Number(b.id))).toEqual(rows);
}
