/** Says what a replication into PostgreSQL would do, and what stands in its way. Changes nothing. */

import { type Problem, serverFacts, serverProblems } from '../../../databases/postgres/replication-setup.ts';
import { readSchemaCopy } from '../../../databases/postgres/schema-copy.ts';
import { checkAbsent } from '../../../databases/postgres/schema-create.ts';
import { quotedTable, readTables } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../../errors.ts';
import { cutByPages } from '../load-chunks.ts';
import type { ReplicatePlan } from '../plan.ts';
import type { ReplicateOptions } from '../settings.ts';
import { type TableName, tableFilter } from '../table-filter.ts';
import { textTables } from './copy-form.ts';
import { settingsHere } from './run.ts';
import { Sides } from './sides.ts';
import { OWN_SCHEMA, tableProblemHere } from './target-checks.ts';
import { readState } from './target-state.ts';

/** @see planReplication */
export async function planToPostgres(
  options: ReplicateOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ReplicatePlan> {
  const settings = settingsHere(options);
  const sides = new Sides(settings, env);
  const follows = settings.mode !== 'full-load';
  const problems: Problem[] = [];
  await using source = await sides.openSource('plan a replication');
  await using target = await sides.openTarget('plan a replication');
  const { tables, asText, notices } = await sides.within('source', 'plan a replication', async () => {
    problems.push(...serverProblems(await serverFacts(source.client), follows));
    const isChosen = (table: TableName): boolean =>
      table.schema !== OWN_SCHEMA && tableFilter(settings.tables)(table);
    const chosen = (await readTables(source.client, isChosen)).filter(isChosen);
    const oids = chosen.map(({ oid }) => oid);
    return {
      tables: chosen,
      asText: await textTables(source.client, oids),
      notices: (await readSchemaCopy(source.client, oids)).notices,
    };
  });
  for (const table of tables) {
    const problem = tableProblemHere(table, follows);
    if (problem !== undefined) problems.push(problem);
  }
  await sides.within('target', 'plan a replication', async () => {
    if (settings.mode === 'cdc' || (await readState(target.client, settings.name)) !== undefined) return;
    try {
      await checkAbsent(target.client, tables.map(quotedTable), sides.target.name);
    } catch (error) {
      if (!(error instanceof LongshoreError)) throw error;
      problems.push({ what: error.message, fix: error.hint ?? '' });
    }
  });
  return {
    from: sides.source.name,
    to: sides.target.name,
    mode: settings.mode,
    problems,
    notices,
    tables: tables.map((table) => ({
      name: `${table.schema}.${table.name}`,
      rowsEstimate: Math.round(table.rowsEstimate),
      bytes: table.leaves.reduce((sum, leaf) => sum + leaf.bytes, 0),
      chunks: cutByPages(table, { bytesMax: settings.maxFileSize, workers: settings.workers }).length,
      files: 0,
      columns: table.columns.map(({ name, typeName }) => ({
        name,
        type: typeName,
        parquet: asText.has(table.oid) ? 'as text' : 'binary',
        unfit: undefined,
      })),
    })),
  };
}
