/** Verifies a replica in PostgreSQL: at one place of the source's log every row of every table is held against its copy. */

import { formatLsn, parseLsn } from '../../../databases/postgres/lsn.ts';
import type { Session } from '../../../databases/postgres/open-session.ts';
import { beginUnderSnapshot, createSlot } from '../../../databases/postgres/replication-setup.ts';
import { readTables, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import type { ReplicateOptions } from '../settings.ts';
import { type ReplicateEnvironment, surroundingsOf, temporarySlotOf } from '../surroundings.ts';
import { tableFilter } from '../table-filter.ts';
import type { VerifiedReplica, VerifiedTable } from '../verify.ts';
import { type ComparedTable, compareTables } from './compare-tables.ts';
import { LandingUpTo } from './landing-up-to.ts';
import { PostgresReplication } from './postgres-replication.ts';
import { settingsHere } from './run.ts';
import { Sides } from './sides.ts';
import { readJobColumns } from './source-columns.ts';
import { fail } from './target-checks.ts';
import { type JobColumn, type JobTable, readState } from './target-state.ts';

/** @see verifyReplica */
export async function verifyPostgres(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<VerifiedReplica> {
  const settings = settingsHere(options);
  const surroundings = surroundingsOf(environment);
  const { env, signal } = surroundings;
  const sides = new Sides(settings, env, signal);
  await using stack = new AsyncDisposableStack();
  const target = stack.use(await sides.openTarget('verify its rows'));
  const state = () =>
    sides.within('target', 'read its checkpoint', () => readState(target.client, settings.name));
  if ((await state())?.lsn === undefined)
    fail(`${settings.name} has landed nothing in ${sides.target.name}`, 'run it first');
  const replication = stack.use(await sides.openReplication('take a snapshot'));
  const source = stack.use(await sides.openSource('verify its rows'));
  const lsn = await sides.within('source', 'take a snapshot', async () => {
    const slot = await createSlot(replication.client, temporarySlotOf(settings, 'verify'), true);
    await beginUnderSnapshot(source.client, slot.snapshot);
    return slot.consistentLsn;
  });
  if (settings.mode !== 'full-load') {
    const totals = { rows: 0, bytes: 0, changes: 0, resynced: true };
    const job = await PostgresReplication.open(settings, surroundings, totals, stack);
    await job.followTo(new LandingUpTo(lsn), lsn);
  }
  await sides.within('target', 'take a snapshot', () => beginReading(target));
  const chosen = tableFilter(settings.tables);
  const members = (await state())!.tables.filter(
    (table) => table.untilLsn === undefined && parseLsn(table.fromLsn) <= lsn && chosen(table),
  );
  const { tables, columns } = await sides.within('source', 'read its catalogue', async () => ({
    tables: await readTables(source.client),
    columns: await readJobColumns(
      source.client,
      members.map(({ oid }) => oid),
    ),
  }));
  const verified: VerifiedTable[] = [];
  for (const member of members) {
    signal.throwIfAborted();
    const table = tables.find(({ oid }) => oid === member.oid);
    if (table === undefined) continue;
    const compared = comparedTable(member, table, columns.get(member.oid)!);
    verified.push(
      await sides.within('target', `compare ${member.schema}.${member.name}`, () =>
        compareTables({ source: source.client, target: target.client }, compared),
      ),
    );
  }
  const differences = verified.reduce((sum, { differencesCount }) => sum + differencesCount, 0);
  return { lsn: formatLsn(lsn), into: 'database', tables: verified, differences };
}

async function beginReading({ client }: Session): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await client.query(`SET LOCAL search_path = ''`);
}

/** Columns by their numbers, which stay through renames; what one side has alone is not compared. */
function comparedTable(
  { schema, name, columns: inTarget }: JobTable,
  { partitioned, primaryKey }: SourceTable,
  inSource: readonly JobColumn[],
): ComparedTable {
  const columns = inTarget.flatMap(({ number, name: target }) => {
    const found = inSource.find((column) => column.number === number);
    return found === undefined ? [] : [{ source: found.name, target }];
  });
  const key = primaryKey.map((part) => columns.findIndex(({ source }) => source === part));
  return { schema, name, partitioned, columns, key: key.includes(-1) ? [] : key };
}
