/** Says what a replication would do: its tables, what each type becomes, what stands in the way. Changes nothing. */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { parseReplicaUrl } from '../../config/replica-url.ts';
import { postgresError } from '../../databases/postgres/errors.ts';
import { mapField } from '../../databases/postgres/field-mapping.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import { type Problem, serverFacts, serverProblems } from '../../databases/postgres/replication-setup.ts';
import { readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { parquetTypeName } from '../../formats/columns/column-type.ts';
import { cutByPages } from './load-chunks.ts';
import { type ReplicateOptions, resolveReplicateOptions } from './settings.ts';
import { tableFilter } from './table-filter.ts';
import { caseProblem, tableProblem } from './table-problems.ts';
import { duckDbType, duckDbUnfit } from './to-duckdb/duckdb-type.ts';
import { warehouseProblems } from './to-duckdb/warehouse-problems.ts';
import { isDatabase } from './to-postgres/sides.ts';

export interface ReplicatePlan {
  readonly from: string;
  readonly to: string;
  readonly mode: string;
  readonly tables: readonly PlannedTable[];
  /** What keeps it from starting, each with its fix. */
  readonly problems: readonly Problem[];
  /** What is left out, where tables are made in another database. */
  readonly notices?: readonly string[];
}

export interface PlannedTable {
  readonly name: string;
  readonly rowsEstimate: number;
  readonly bytes: number;
  /** Of the full load. */
  readonly files: number;
  /** Of the full load, where it goes into another database. */
  readonly chunks?: number;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly parquet: string;
    /** Its type there, where files go into a DuckDB database. */
    readonly duckdb?: string;
    /** Values that go to the side column. */
    readonly unfit: string | undefined;
  }[];
}

/** @throws the errors of the database; what only keeps the job from starting is in `problems` */
export async function planReplication(
  options: ReplicateOptions,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<ReplicatePlan> {
  if (isDatabase(options.to)) {
    const { planToPostgres } = await import('./to-postgres/plan.ts');
    return await planToPostgres(options, env);
  }
  const settings = resolveReplicateOptions(options);
  const url = parseDatabaseUrl(settings.from, env);
  const doing = {
    action: `plan a replication of ${url.name}`,
    database: url.name,
    user: url.connection.user,
  };
  await using session = await openSession(url.connection, { doing });
  const follows = settings.mode !== 'full-load';
  const problems: Problem[] = [];
  let tables: SourceTable[];
  try {
    problems.push(...serverProblems(await serverFacts(session.client), follows));
    const chosen = tableFilter(settings.tables);
    tables = (await readTables(session.client, chosen)).filter(chosen);
  } catch (error) {
    throw postgresError(error, doing);
  }
  for (const table of tables) {
    const problem = tableProblem(table, settings.timestampColumn, follows);
    if (problem !== undefined) problems.push(problem);
  }
  const alike = caseProblem(tables);
  if (alike !== undefined) problems.push(alike);
  const { duckdb } = parseReplicaUrl(settings.to);
  if (duckdb !== undefined) problems.push(...(await warehouseProblems(duckdb, tables)));
  return {
    from: url.name,
    to: settings.to,
    mode: settings.mode,
    problems,
    tables: tables.map((table) => ({
      name: `${table.schema}.${table.name}`,
      rowsEstimate: Math.round(table.rowsEstimate),
      bytes: table.leaves.reduce((sum, leaf) => sum + leaf.bytes, 0),
      files: cutByPages(table, { bytesMax: settings.maxFileSize, workers: settings.workers }).length,
      columns: table.columns.map((column) => {
        const { column: mapped, unfit } = mapField(column);
        const { name, typeName: type } = column;
        const parquet = parquetTypeName(mapped.type);
        if (duckdb === undefined) return { name, type, parquet, unfit };
        const stored = { type, parquet };
        return { name, ...stored, duckdb: duckDbType(stored), unfit: duckDbUnfit(stored) };
      }),
    })),
  };
}
