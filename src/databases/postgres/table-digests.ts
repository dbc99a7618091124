/** Reads the rows of tables as a dump spells them, and adds them up: what a restored database is held against. */

import type pg from 'pg';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import type { TableFacts } from '../dump.ts';
import { RowDigest } from '../row-digest.ts';
import { CopyStream } from './copy-stream.ts';
import type { CatalogueTable } from './dump-catalogue.ts';
import { quoteName } from './sql.ts';
import { quotedTable } from './table-catalogue.ts';

/**
 * @param clients each reads a table at a time; their `search_path` is empty
 * @returns in the order of the tables
 */
export async function readTableFacts(
  clients: readonly pg.ClientBase[],
  tables: readonly CatalogueTable[],
  signal: AbortSignal,
): Promise<TableFacts[]> {
  const facts = new Map<CatalogueTable, TableFacts>();
  const free = [...clients];
  const largestFirst = tables.toSorted((one, other) => other.bytes - one.bytes);
  await forEachConcurrent(largestFirst, clients.length, async (table) => {
    signal.throwIfAborted();
    const client = free.pop()!;
    const digest = new RowDigest();
    // Each row comes as a message, with the end of its line.
    await CopyStream.start(client, copyOut(table), (bytes, at, end) => digest.add(bytes, at, end - 1)).done;
    free.push(client);
    facts.set(table, {
      schema: table.schema,
      name: table.name,
      rows: digest.rows,
      digest: String(digest),
    });
  });
  return tables.map((table) => facts.get(table)!);
}

/** The rows of a table, without those of tables that inherit from it. */
export function copyOut(table: CatalogueTable): string {
  return `COPY ${quotedTable(table)} ${columnList(table)} TO STDOUT`;
}

/** `("id", "name")`; none for a table without columns. */
export function columnList({ columns }: Pick<CatalogueTable, 'columns'>): string {
  return columns.length === 0 ? '' : `(${columns.map(quoteName).join(', ')})`;
}
