/**
 * Masks a PostgreSQL database. Everything that changes rows is one transaction; then the tables are written anew, because
 * old versions of rows stay in their files until somebody does that. Whoever calls it takes the database away where it throws.
 */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { type MaskCatalogue, tableName } from '../masking/catalogue.ts';
import { checkLeft, checkOrphans, hidesAll, maskedResult } from '../masking/outcome.ts';
import type { MaskedTableResult, MaskResult, MaskRun, MaskWork } from '../masking/work.ts';
import { type Client, PostgresConnections } from './connections.ts';
import { postgresError } from './errors.ts';
import { readMaskCatalogue } from './mask-catalogue.ts';
import { CLEAR_STATISTICS, refreshTexts, rewriteTexts, VIEWS } from './mask-rewrite.ts';
import {
  BEFORE_TABLE,
  countText,
  cutText,
  deleteText,
  GONE_TABLE,
  goneText,
  KEY_SETTING,
  leftText,
  orphansText,
  sampleText,
  spreadText,
  updateText,
} from './mask-sql.ts';
import { withoutTriggers } from './mask-triggers.ts';

/**
 * @param decide from what is there to what is done
 * @throws DATABASE_FAILED, RUN_INCOMPLETE where what was done does not hold, what `decide` throws
 */
export async function maskPostgres(
  url: DatabaseUrl,
  decide: (catalogue: MaskCatalogue) => MaskWork,
  run: MaskRun,
): Promise<MaskResult> {
  await using connections = new PostgresConnections(url.connection, 1);
  const doing = { action: `mask ${url.name}`, database: url.name, user: url.connection.user };
  return await connections.use(doing, run.signal, async (client) => {
    await client.query("SET lock_timeout = '30s'; SET statement_timeout = 0");
    const work = decide(await readMaskCatalogue(client));
    await client.query(`SELECT set_config('${KEY_SETTING}', $1, false)`, [run.key]);
    await client.query('BEGIN');
    // Rows stay where they are while they are told apart by their place.
    for (const { id } of work.changed) await client.query(`LOCK TABLE ${id} IN EXCLUSIVE MODE`);
    const result = await withoutTriggers(client, work, () => change(client, work, run));
    run.phase('prove');
    await prove(client, work, url.name);
    await client.query('COMMIT');
    run.phase('write tables anew');
    await writeAnew(client, work, url);
    return result;
  });
}

async function writeAnew(client: Client, work: MaskWork, url: DatabaseUrl): Promise<void> {
  const ids = work.changed.map(({ id }) => id);
  const { rows: views } = await client.query<{ id: string }>(VIEWS, [ids]);
  const all = [...ids, ...work.changed.flatMap(({ stored }) => stored), ...views.map(({ id }) => id)];
  const { rows: role } = await client.query<{ super: boolean }>(
    "SELECT current_setting('is_superuser') = 'on' AS super",
  );
  if (role[0]!.super) await client.query(CLEAR_STATISTICS, [all]);
  for (const text of [...rewriteTexts(work), ...views.flatMap(({ id }) => refreshTexts(id))])
    await statement(client, text, url);
}

async function statement(client: Client, text: string, url: DatabaseUrl): Promise<void> {
  try {
    await client.query(text);
  } catch (error) {
    const action = `write ${url.name} anew (${text})`;
    throw postgresError(error, { action, database: url.name, user: url.connection.user });
  }
}

async function change(client: Client, work: MaskWork, run: MaskRun): Promise<MaskResult> {
  const deleted = await takeSubset(client, work, run);
  await client.query(BEFORE_TABLE);
  const tables: MaskedTableResult[] = [];
  let number = 0;
  for (const masked of work.masked) {
    run.phase(`mask ${tableName(masked.table)}`);
    const first = number;
    for (const column of masked.columns) {
      if (hidesAll(column.rule)) await client.query(sampleText(masked, column, number));
      number += 1;
    }
    await client.query(updateText(masked));
    for (const [index, column] of masked.columns.entries()) {
      const text = leftText(masked, column, first + index);
      const left = text === undefined ? 0 : await count(client, text);
      checkLeft(masked, column, left);
    }
    const { rows } = await client.query<string[]>({ text: countText(masked), rowMode: 'array' });
    tables.push(maskedResult(masked, rows[0]!.map(Number), deleted.get(masked.table.id) ?? 0));
    deleted.delete(masked.table.id);
  }
  for (const table of work.losing) {
    if (!deleted.has(table.id)) continue;
    const rows = await count(client, `SELECT count(*)::text FROM ${table.id}`);
    tables.push({ table: tableName(table), rows, deleted: deleted.get(table.id)!, columns: [] });
  }
  return { tables, foreignKeysProven: work.foreignKeys.length };
}

/** @returns rows that went, by the id of their root */
async function takeSubset(client: Client, work: MaskWork, run: MaskRun): Promise<Map<string, number>> {
  const deleted = new Map<string, number>();
  if (work.subset.length === 0) return deleted;
  run.phase('find the rows that go');
  await client.query(GONE_TABLE);
  for (const rule of work.subset) await client.query(goneText(rule));
  const partitioned = partitionedIn(work);
  for (let more = true; more; ) {
    more = false;
    await client.query('ANALYZE pg_temp.longshore_gone');
    for (const key of work.spreading) {
      const { rowCount } = await client.query(spreadText(key, partitioned));
      if (rowCount !== 0) more = true;
    }
  }
  run.phase('delete the rows that go');
  for (const { id } of work.losing) {
    const { rowCount } = await client.query(deleteText(id));
    deleted.set(id, rowCount ?? 0);
  }
  for (const key of work.cutting) await client.query(cutText(key, partitioned));
  return deleted;
}

async function prove(client: Client, work: MaskWork, database: string): Promise<void> {
  const partitioned = partitionedIn(work);
  for (const key of work.foreignKeys) {
    checkOrphans(database, key, await count(client, orphansText(key, partitioned)));
  }
}

async function count(client: Client, text: string): Promise<number> {
  const { rows } = await client.query<string[]>({ text, rowMode: 'array' });
  return Number(rows[0]![0]);
}

/** Tables whose foreign keys hold for what is stored below them; all others stand for themselves alone. */
function partitionedIn(work: MaskWork): (id: string) => boolean {
  return (id) => work.partitioned.has(id);
}
