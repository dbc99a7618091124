/** Plans a load and makes the tables for it, in one transaction of the target: both are there or neither is. */

import { randomUUID } from 'node:crypto';
import { formatLsn } from '../../../databases/postgres/lsn.ts';
import type { Session } from '../../../databases/postgres/open-session.ts';
import { readSchemaCopy } from '../../../databases/postgres/schema-copy.ts';
import { createBeforeData } from '../../../databases/postgres/schema-create.ts';
import { quoteName } from '../../../databases/postgres/sql.ts';
import { quotedTable, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { cutByPages } from '../load-chunks.ts';
import type { ReplicateSettings } from '../settings.ts';
import type { HeldSnapshot } from '../snapshot.ts';
import { textTables } from './copy-form.ts';
import { inTransaction, type Sides, silenceTriggers } from './sides.ts';
import { readJobColumns } from './source-columns.ts';
import { type JobTable, type LoadPlan, type TargetState, writePlan } from './target-state.ts';
import { truncateTables } from './truncate-tables.ts';

export interface PlannedLoad {
  readonly plan: LoadPlan;
  /** What is not copied, each as a sentence for the user. */
  readonly notices: readonly string[];
}

/**
 * Tables of the job that are in the target already get their new names and are emptied; one that was dropped in the source
 * and made again is made again; the others are made.
 *
 * @param held sees the tables that are loaded
 * @param snapshot the name under which a process holds it that outlives this one, where there is one
 * @throws CHECK_FAILED where something of the same name is in the target
 */
export async function planLoad(
  held: HeldSnapshot,
  snapshot: string,
  about: {
    readonly settings: ReplicateSettings;
    readonly state: TargetState;
    readonly sides: Sides;
    readonly target: Session;
  },
): Promise<PlannedLoad> {
  const { settings, state, sides, target } = about;
  const { client } = held.session;
  await client.query(`SET LOCAL search_path = ''`);
  const known = new Map(state.tables.map((table) => [table.oid, table]));
  const fresh = held.tables.filter(({ oid }) => !known.has(oid));
  const again = held.tables.filter(({ oid }) => known.has(oid));
  const replaced = state.tables.filter(
    (one) => !fresh.some(({ oid }) => oid === one.oid) && fresh.some((table) => hasName(table, one)),
  );
  const oids = held.tables.map(({ oid }) => oid);
  const copy = await readSchemaCopy(
    client,
    fresh.map(({ oid }) => oid),
    state.tables.map(({ oid }) => oid),
  );
  const asText = await textTables(client, oids);
  const columns = await readJobColumns(client, oids);
  const tables = held.tables.map((table) => ({
    table: jobTable(table, formatLsn(held.lsn), columns),
    format: asText.has(table.oid) ? ('text' as const) : ('binary' as const),
    chunks: cutByPages(table, { bytesMax: settings.maxFileSize, workers: settings.workers }),
  }));
  const plan = await sides.within('target', 'make the tables', () =>
    inTransaction(target, async () => {
      for (const table of replaced) await target.client.query(`DROP TABLE IF EXISTS ${quotedTable(table)}`);
      for (const table of again) await rename(target, known.get(table.oid)!, table);
      if (again.length > 0) await empty(target, again);
      const { drops } = await createBeforeData(target.client, copy.before, sides.target.name);
      const made: LoadPlan = {
        id: randomUUID(),
        snapshot: { name: snapshot, lsn: formatLsn(held.lsn) },
        tables,
        later: copy.after.map(({ groups }) => groups.map((group) => group.map((one) => ({ ...one })))),
        drops: [...drops],
        emptied: again.map(quotedTable),
      };
      await writePlan(target.client, settings.name, made);
      return made;
    }),
  );
  return { plan, notices: copy.notices };
}

/** A table of the job whose changes from `fromLsn` on are wanted. */
export function jobTable(
  { schema, name, oid }: SourceTable,
  fromLsn: string,
  columns: ReadonlyMap<number, JobTable['columns']>,
): JobTable {
  return { schema, name, oid, fromLsn, columns: columns.get(oid)! };
}

function hasName(
  table: { readonly schema: string; readonly name: string },
  { schema, name }: { readonly schema: string; readonly name: string },
): boolean {
  return table.schema === schema && table.name === name;
}

/** @param target in a transaction */
async function rename(target: Session, before: JobTable, now: SourceTable): Promise<void> {
  const { schema, name } = now;
  if (before.schema !== schema) {
    await target.client.query(`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`);
    await target.client.query(`ALTER TABLE ${quotedTable(before)} SET SCHEMA ${quoteName(schema)}`);
  }
  if (before.name !== name)
    await target.client.query(
      `ALTER TABLE ${quotedTable({ schema, name: before.name })} RENAME TO ${quoteName(name)}`,
    );
}

/** @param target in a transaction */
async function empty(target: Session, tables: readonly SourceTable[]): Promise<void> {
  await silenceTriggers(target);
  const named = tables.map((table) => {
    const plainText = quotedTable(table);
    return { text: table.partitioned ? plainText : `ONLY ${plainText}` };
  });
  await truncateTables(target.client, named, { restartIdentity: false });
}
