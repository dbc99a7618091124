/** The end of the demo of `replicate` as a person reads it. */

import { formatBytes } from '../config/bytes.ts';
import { replicaVerifiedText } from '../report/replicate-text.ts';
import type { Grid } from './query-lake.ts';
import type { ReplicateDemoResult } from './replicate-demo.ts';

/** Of each kind. */
const FILES_SHOWN = 2;

/** Whether files and tables are the same, and DuckDB, where it was asked, answers what PostgreSQL does. */
export function replicateDemoHolds({ verified, lake, database }: ReplicateDemoResult): boolean {
  if (verified.differences > 0) return false;
  if (lake === undefined) return true;
  return lake.count === database.count && sameRows(lake.aggregate, database.aggregate);
}

/** Enums are ordered otherwise than their names are. */
function sameRows(one: Grid, other: Grid): boolean {
  const sorted = ({ rows }: Grid): string => JSON.stringify(rows.map((row) => JSON.stringify(row)).sort());
  return sorted(one) === sorted(other);
}

/** @param folder where the files stay; undefined where they do not */
export function replicateDemoText(result: ReplicateDemoResult, folder: string | undefined): string {
  const { status, transactions, to, verified } = result;
  const total = (count: (table: (typeof status.tables)[number]) => number): string =>
    n(status.tables.reduce((sum, table) => sum + count(table), 0));
  return [
    '',
    replicateDemoHolds(result) ? 'What happened:' : 'Something went wrong:',
    `  ${total((t) => t.fullLoadRows)} rows of ${verified.tables.length} tables were loaded into ${to}, while a program committed ${n(transactions)} transactions;`,
    `  what came after the load followed in ${n(status.epoch)} epochs: ${total((t) => t.inserts)} inserts, ${total((t) => t.updates)} updates, ${total((t) => t.deletes)} deletions.`,
    `Then every value of every table was held against the files, at one place of the server's log:`,
    ...replicaVerifiedText(verified)
      .split('\n')
      .map((line) => `  ${line}`),
    ...filesText(result),
    ...lakeText(result, folder),
    'What to try next:',
    '  npx longshore replicate --from postgres://…/db --to s3://… --plan',
    '  docs/replicate.md tells what lies in the bucket, and what your database needs',
  ].join('\n');
}

function filesText({ files, shown }: ReplicateDemoResult): string[] {
  const folder = `/${shown.schema}/${shown.table}/`;
  const [loaded = [], changed = []] = [true, false].map((isLoad) =>
    files.filter(({ key }) => key.includes(folder) && key.includes('/LOAD') === isLoad),
  );
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return [
    `${n(files.length)} objects of ${formatBytes(bytes)} are in the bucket; among them, of the full load and of changes:`,
    ...[...loaded.slice(0, FILES_SHOWN), ...changed.slice(0, FILES_SHOWN)].map(
      ({ key, sizeBytes }) => `  ${key}  ${formatBytes(sizeBytes)}`,
    ),
  ];
}

function lakeText({ lake, shown, database }: ReplicateDemoResult, folder: string | undefined): string[] {
  if (lake === undefined)
    return ['DuckDB is not installed: `npm install @duckdb/node-api`, and the demo asks it about the files'];
  const name = `${shown.schema}.${shown.table}`;
  const where =
    folder === undefined
      ? 'a copy of the files (--keep <folder> leaves it there)'
      : `the files, in ${folder}`;
  const same = sameRows(lake.aggregate, database.aggregate);
  return [
    `DuckDB over ${where}:`,
    ...sqlText(`CREATE SCHEMA IF NOT EXISTS ${shown.schema}`),
    ...sqlText(lake.view),
    ...sqlText(lake.rowsQuery),
    ...gridText(lake.rows),
    ...sqlText(lake.aggregateQuery),
    ...gridText(lake.aggregate),
    `  ${name} has ${n(lake.count)} rows; in PostgreSQL it has ${n(database.count)}, and the sums are ${same ? 'the same' : 'others'}.`,
  ];
}

function sqlText(sql: string): string[] {
  return `${sql};`.split('\n').map((line) => `  ${line}`);
}

function gridText({ columns, rows }: Grid): string[] {
  const widths = columns.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)));
  return [columns, ...rows].map((row) =>
    `    ${row.map((text, i) => text.padEnd(widths[i]!)).join('  ')}`.trimEnd(),
  );
}

function n(value: number): string {
  return value.toLocaleString('en-US');
}
