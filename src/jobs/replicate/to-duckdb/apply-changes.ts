/** Applies staged changes to a table that has their columns. */

import {
  comingRowsSql,
  deleteChangedSql,
  deleteRowsSql,
  goingRowsSql,
  insertSql,
  lastChangesSql,
  netRowsSql,
  type StagedChanges,
  stayingRowsSql,
} from './change-sql.ts';
import type { DuckDbFile } from './duckdb-file.ts';

/** @param identity names of the columns that say which row a change is of */
export async function applyKeyed(
  db: DuckDbFile,
  changes: StagedChanges,
  identity: readonly string[],
): Promise<void> {
  const lists = await db.rows(`SELECT DISTINCT reread FROM ${changes.staged} WHERE reread IS NOT NULL`);
  const unsent = changes.columns.flatMap(({ sentAs }, i) =>
    sentAs !== undefined && lists.some(([list]) => `,${list},`.includes(`,${sentAs},`)) ? [i] : [],
  );
  const keyed = { ...changes, identity, unsent };
  await db.run(`CREATE OR REPLACE TEMP TABLE ${CHANGED} AS ${lastChangesSql(keyed)}`);
  await db.run(deleteChangedSql(keyed, CHANGED));
  await db.run(insertSql(changes, `SELECT * FROM ${CHANGED} WHERE op <> 'D'`));
  await db.run(`DROP TABLE ${CHANGED}`);
}

/** @returns whether the table had every row that was deleted */
export async function applyKeyless(db: DuckDbFile, changes: StagedChanges): Promise<boolean> {
  await db.run(`CREATE OR REPLACE TEMP TABLE ${CHANGED} AS ${netRowsSql(changes)}`);
  await db.run(insertSql(changes, comingRowsSql(CHANGED)));
  await db.run(`CREATE OR REPLACE TEMP TABLE ${GOING} AS ${goingRowsSql(changes, CHANGED)}`);
  const [short] = await db.rows(`SELECT 1 FROM ${GOING} WHERE there < goes LIMIT 1`);
  await db.run(deleteRowsSql(changes, GOING));
  await db.run(insertSql(changes, stayingRowsSql(GOING)));
  await db.run(`DROP TABLE ${GOING}`);
  await db.run(`DROP TABLE ${CHANGED}`);
  return short === undefined;
}

const CHANGED = 'temp.main.longshore_changed';
const GOING = 'temp.main.longshore_going';
