import { expect, test } from 'vitest';
import type { ReplicateDemoResult } from './replicate-demo.ts';
import { replicateDemoHolds, replicateDemoText } from './replicate-demo-text.ts';

const AGGREGATE = {
  columns: ['status', 'orders'],
  rows: [
    ['new', '1'],
    ['paid', '2'],
  ],
};

function result(changes: Partial<ReplicateDemoResult> = {}): ReplicateDemoResult {
  return {
    to: 's3://lake/shop/',
    transactions: 1000,
    status: { job: 'longshore', epoch: 2, lsn: '0/1', lastCommitMs: undefined, tables: [] },
    verified: { lsn: '0/1', tables: [], differences: 0 } as unknown as ReplicateDemoResult['verified'],
    files: [],
    shown: {
      schema: 'sales',
      table: 'orders',
      primaryKey: ['id'],
      columns: ['id'],
      orderBy: 'id',
      aggregate: 'SELECT 1',
    },
    lake: {
      view: 'CREATE VIEW sales.orders AS …',
      rowsQuery: 'SELECT …',
      rows: { columns: ['id'], rows: [['1']] },
      count: 3,
      aggregateQuery: 'SELECT 1',
      aggregate: { ...AGGREGATE, rows: AGGREGATE.rows.toReversed() },
    },
    database: { count: 3, aggregate: AGGREGATE },
    ...changes,
  };
}

test('it holds when files and tables are the same, and DuckDB counts what PostgreSQL does, in any order', () => {
  const { database, verified } = result();
  expect(replicateDemoHolds(result())).toBe(true);
  expect(replicateDemoHolds(result({ lake: undefined }))).toBe(true);
  expect(replicateDemoHolds(result({ verified: { ...verified, differences: 1 } }))).toBe(false);
  expect(replicateDemoHolds(result({ database: { ...database, count: 4 } }))).toBe(false);
  const aggregate = { ...AGGREGATE, rows: [['new', '1']] };
  expect(replicateDemoHolds(result({ database: { ...database, aggregate } }))).toBe(false);
});

test('what is wrong is said first, and without DuckDB how to get it', () => {
  expect(replicateDemoText(result(), '/lake')).toContain('What happened:');
  expect(replicateDemoText(result(), '/lake')).toContain('DuckDB over the files, in /lake:');
  expect(replicateDemoText(result({ lake: undefined }), undefined)).toContain('npm install @duckdb/node-api');
  const wrong = result({ database: { count: 4, aggregate: AGGREGATE } });
  expect(replicateDemoText(wrong, undefined)).toContain('Something went wrong:');
});
