/**
 * Masks a MySQL or MariaDB database. Everything that changes rows is one transaction; then the tables are written anew.
 * Whoever calls it takes the database away where it throws.
 */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import { type CatalogueTable, type MaskCatalogue, tableName } from '../masking/catalogue.ts';
import { checkLeft, checkOrphans, hidesAll, maskedResult } from '../masking/outcome.ts';
import type { MaskedTableResult, MaskResult, MaskRun, MaskWork } from '../masking/work.ts';
import { type Client, MysqlConnections } from './connections.ts';
import { readMaskCatalogue } from './mask-catalogue.ts';
import {
  BEFORE_TABLE,
  countText,
  cutText,
  deleteText,
  goneTableText,
  goneText,
  keyText,
  leftText,
  orphansText,
  sampleText,
  spreadText,
  turnTexts,
  updateText,
} from './mask-sql.ts';

/**
 * @param decide from what is there to what is done
 * @throws DATABASE_FAILED, RUN_INCOMPLETE where what was done does not hold, what `decide` throws
 */
export async function maskMysql(
  url: DatabaseUrl,
  decide: (catalogue: MaskCatalogue) => MaskWork,
  run: MaskRun,
): Promise<MaskResult> {
  await using connections = new MysqlConnections(url.connection, 1);
  const doing = { action: `mask ${url.name}`, database: url.name, user: url.connection.user };
  return await connections.use(doing, run.signal, async (client) => {
    const work = decide(await readMaskCatalogue(client));
    await client.change(keyText(run.key));
    // Both sides of a key are masked, and what refers to a row goes with it.
    await client.change('SET SESSION foreign_key_checks = 0, lock_wait_timeout = 30');
    // Making them inside a transaction is refused where transactions have global identifiers.
    await client.change(BEFORE_TABLE);
    for (const table of work.losing) {
      for (const which of ['gone', 'last', 'now'] as const) await client.change(goneTableText(table, which));
    }
    await client.change('START TRANSACTION');
    const deleted = await takeSubset(client, work, run);
    const tables = await mask(client, work, deleted, run);
    run.phase('prove');
    await prove(client, work, url.name);
    await client.change('COMMIT');
    run.phase('write tables anew');
    for (const table of work.changed) await writeAnew(client, table);
    return { tables, foreignKeysProven: work.foreignKeys.length };
  });
}

async function mask(
  client: Client,
  work: MaskWork,
  deleted: ReadonlyMap<string, number>,
  run: MaskRun,
): Promise<MaskedTableResult[]> {
  const tables: MaskedTableResult[] = [];
  let number = 0;
  for (const masked of work.masked) {
    const { table, columns } = masked;
    run.phase(`mask ${tableName(table)}`);
    const first = number;
    for (const column of columns) {
      if (hidesAll(column.rule)) await client.change(sampleText(masked, column, number));
      number += 1;
    }
    await client.change(updateText(masked));
    for (const [index, column] of columns.entries()) {
      const text = leftText(masked, column, first + index);
      const left = text === undefined ? 0 : Number((await client.rows(text))[0]![0]);
      checkLeft(masked, column, left);
    }
    const counts = (await client.rows(countText(masked)))[0]!.map(Number);
    tables.push(maskedResult(masked, counts, deleted.get(table.id) ?? 0));
  }
  for (const table of work.losing) {
    if (work.masked.some((masked) => masked.table.id === table.id)) continue;
    const rows = Number((await client.rows(countText({ table, columns: [] })))[0]![0]);
    tables.push({ table: tableName(table), rows, deleted: deleted.get(table.id)!, columns: [] });
  }
  return tables;
}

/** @returns rows that went, by the id of their table */
async function takeSubset(client: Client, work: MaskWork, run: MaskRun): Promise<Map<string, number>> {
  const deleted = new Map<string, number>();
  if (work.subset.length === 0) return deleted;
  const tableOf = new Map(work.losing.map((table) => [table.id, table]));
  run.phase('find the rows that go');
  let found = 0;
  for (const rule of work.subset) found += await client.change(goneText(rule));
  while (found > 0) {
    found = 0;
    for (const table of work.losing) for (const text of turnTexts(table)) await client.change(text);
    for (const key of work.spreading)
      found += await client.change(spreadText(key, tableOf.get(key.child)!, tableOf.get(key.parent)!));
  }
  run.phase('delete the rows that go');
  for (const table of work.losing) deleted.set(table.id, await client.change(deleteText(table)));
  for (const key of work.cutting) await client.change(cutText(key));
  return deleted;
}

async function prove(client: Client, work: MaskWork, database: string): Promise<void> {
  for (const key of work.foreignKeys) {
    const orphans = Number((await client.rows(orphansText(key)))[0]![0]);
    checkOrphans(database, key, orphans);
  }
}

/** Pages of the old file keep old rows until then. */
async function writeAnew(client: Client, table: CatalogueTable): Promise<void> {
  const rows = await client.rows(`OPTIMIZE TABLE ${table.id}`);
  const failure = rows.find(([, , kind]) => kind?.toLowerCase() === 'error');
  if (failure !== undefined)
    throw new LongshoreError('DATABASE_FAILED', `Cannot write ${table.name} anew: ${failure[3]}`);
}
