/** Plans a load and makes the tables for it, in one transaction of the target: both are there or neither is. */

import { randomUUID } from 'node:crypto';
import { inTransaction } from '../../../databases/postgres/in-transaction.ts';
import { formatLsn } from '../../../databases/postgres/lsn.ts';
import type { Session } from '../../../databases/postgres/open-session.ts';
import { readSchemaCopy } from '../../../databases/postgres/schema-copy.ts';
import { createBeforeData } from '../../../databases/postgres/schema-create.ts';
import { quotedTable, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { cutByPages } from '../load-chunks.ts';
import type { ReplicateSettings } from '../settings.ts';
import type { HeldSnapshot } from '../snapshot.ts';
import { textTables } from './copy-form.ts';
import { findRoom, makeRoom, type RoomForTables } from './ready-tables.ts';
import type { Sides } from './sides.ts';
import { readJobColumns } from './source-columns.ts';
import {
  claimState,
  type JobTable,
  type LoadPlan,
  NOT_LOADED,
  type TargetState,
  writePlan,
} from './target-state.ts';

export interface PlannedLoad {
  readonly plan: LoadPlan;
  /** What is not copied, each as a sentence for the user. */
  readonly notices: readonly string[];
}

/**
 * Tables of the job that are in the target already are emptied or made again; the others are made. From then on the
 * checkpoint says of all of them that they are to be loaded.
 *
 * @param held sees the tables that are loaded
 * @throws CHECK_FAILED where something of the same name is in the target
 */
export async function planLoad(
  held: HeldSnapshot,
  about: {
    readonly settings: ReplicateSettings;
    readonly state: TargetState;
    readonly sides: Sides;
    readonly target: Session;
  },
): Promise<PlannedLoad> {
  const { settings, state, sides, target } = about;
  const { client } = held.session;
  const oids = held.tables.map(({ oid }) => oid);
  await client.query(`SET LOCAL search_path = ''`);
  const columns = await readJobColumns(client, oids);
  const room = await sides.within('target', 'look at its tables', () =>
    findRoom(target.client, held.tables, columns, state.tables, sides.target.name),
  );
  const fresh = room.fresh.map(({ oid }) => oid);
  const kept = state.tables.filter((table) => !room.gone.includes(table));
  const copy = await readSchemaCopy(
    client,
    fresh,
    kept.map(({ oid }) => oid),
  );
  const asText = await textTables(client, oids);
  const tables = held.tables.map((table) => ({
    table: jobTable(table, formatLsn(held.lsn), columns),
    format: asText.has(table.oid) ? ('text' as const) : ('binary' as const),
    chunks: cutByPages(table, { bytesMax: settings.maxFileSize, workers: settings.workers }),
  }));
  const plan = await sides.within('target', 'make the tables', () =>
    inTransaction(target.client, async () => {
      await claimState(target.client, settings.name);
      await makeRoom(target, room, kept);
      const { drops } = await createBeforeData(target.client, copy.before, sides.target.name);
      const made: LoadPlan = {
        id: randomUUID(),
        snapshot: { name: held.name, lsn: formatLsn(held.lsn) },
        tables,
        later: copy.after.map(({ groups }) => groups.map((group) => group.map((one) => ({ ...one })))),
        drops: [...drops, ...dropsOfRenamed(room, state.drops)],
      };
      await writePlan(target.client, settings.name, made, kept.map(toBeLoaded(oids)));
      return made;
    }),
  );
  return { plan, notices: copy.notices };
}

/** What the job made goes under the name that it has now, too. */
function dropsOfRenamed({ again }: RoomForTables, drops: readonly string[]): string[] {
  return again
    .filter(({ table, before }) => quotedTable(table) !== quotedTable(before))
    .filter(({ before }) => drops.some((text) => text.includes(quotedTable(before))))
    .map(({ table }) => `DROP TABLE IF EXISTS ${quotedTable(table)}`);
}

/** No change of a table that is to be loaded is wanted before it is. */
function toBeLoaded(oids: readonly number[]): (table: JobTable) => JobTable {
  return (table) => (oids.includes(table.oid) ? { ...table, fromLsn: NOT_LOADED } : table);
}

/** A table of the job whose changes from `fromLsn` on are wanted. */
export function jobTable(
  { schema, name, oid }: SourceTable,
  fromLsn: string,
  columns: ReadonlyMap<number, JobTable['columns']>,
): JobTable {
  return { schema, name, oid, fromLsn, columns: columns.get(oid)! };
}
