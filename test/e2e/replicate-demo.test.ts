/** `longshore demo replicate`: that it proves what it says, on its own sample and on pagila, and leaves nothing behind. */

import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ProgramResult, runProgram } from './world.ts';

/** Two scripts, beside a checkout of the project. */
const PAGILA = fileURLToPath(new URL('../../../shared/data/pagila', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-demo-'));
  // As root, PostgreSQL is run by another user, who must pass through.
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What it makes for itself lies in a folder of ours. */
const demo = (...args: string[]): Promise<ProgramResult> =>
  runProgram({ env: { TMPDIR: folder }, folder }, ['demo', ...args]);

/** The line that says that PostgreSQL and DuckDB count the same. */
function counts(stdout: string): { lake: string | undefined; database: string | undefined } {
  const [, lake, database] =
    /has ([\d,]+) rows; in PostgreSQL it has ([\d,]+), and the sums are the same/.exec(stdout) ?? [];
  return { lake, database };
}

function expectProven({ code, stdout, stderr }: ProgramResult): void {
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toContain('What happened:');
  expect(stdout).toContain('files and tables are the same, as of');
  expect(stdout).not.toContain('✗');
  const { lake, database } = counts(stdout);
  expect(lake).toBeDefined();
  expect(lake).toBe(database);
  expect(stderr).toMatch(/epoch \d+: [\d,]+ changes in \d+ files/);
}

test('the shop: loaded and followed while a program writes, compared, queried', async () => {
  const result = await demo('replicate', '--sample', 'shop', '--seconds', '2');
  expectProven(result);
  const { stdout, stderr } = result;
  for (const table of [
    'catalogue.coupons',
    'catalogue.products',
    'catalogue.stock',
    'crm.customers',
    'crm.visits',
    'sales.order_lines',
    'sales.orders',
  ])
    expect(stdout).toContain(`✓ ${table}: `);
  for (const what of [
    'counts the stock',
    'truncates catalogue.coupons',
    'adds the column crm.customers.loyalty_points',
  ])
    expect(stderr).toContain(`the program ${what}`);
  expect(stdout).toContain("read_parquet('sales/orders/*.parquet', union_by_name = true)");
  expect(stdout).toMatch(/delivered +\d+ +\d+\.\d\d/);
  expect(stdout).toMatch(/shop\/sales\/orders\/\d{8}-\d{9}-[0-9A-F]{16}-[0-9A-F]{16}\.parquet/);
  // Servers and files are gone.
  expect(readdirSync(folder)).toEqual([]);
});

test('--keep leaves a copy of the files', async () => {
  const lake = join(folder, 'lake');
  const result = await demo('replicate', '--sample', 'shop', '--seconds', '1', '--keep', lake);
  expectProven(result);
  expect(result.stdout).toContain(`DuckDB over the files, in ${lake}:`);
  expect(readdirSync(join(lake, 'sales', 'orders'))).toContainEqual(expect.stringMatching(/^LOAD.*parquet$/));
  expect(readdirSync(folder)).toEqual(['lake']);
});

test('pagila: loaded from its scripts', async ({ skip }) => {
  skip(!existsSync(PAGILA), `needs the scripts of pagila in ${PAGILA}`);
  const result = await demo('replicate', '--seconds', '2');
  expectProven(result);
  expect(result.stderr).toMatch(/without a primary key: payment_p2007_01, .*REPLICA IDENTITY FULL/);
  for (const table of ['film', 'payment_p2007_02', 'rental', 'staff'])
    expect(result.stdout).toContain(`✓ public.${table}: `);
});

test.each([
  [['nothing'], 'Allowed choices are move, replicate'],
  [['replicate', '--sample', 'nowhere'], 'there is no nowhere/pagila-schema.sql'],
  [['replicate', '--sample', 'shop', '--keep', tmpdir()], 'is not empty'],
  [['replicate', '--seconds', 'soon'], 'cannot read --seconds'],
])('%j is a usage error', async (args, message) => {
  const { code, stderr } = await demo(...args);
  expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
});
