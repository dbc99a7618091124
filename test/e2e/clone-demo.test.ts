/** `longshore demo clone`: that the clone is as its source besides what is masked, and that nothing is left behind. */

import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { liquibaseAvailable } from '../servers/liquibase.ts';
import { runProgram } from './world.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-demo-'));
  // As root, PostgreSQL is run by another user, who must pass through.
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('builds, converges, compares, takes one out of a pool, drops and sweeps', async () => {
  const world = { env: { TMPDIR: folder }, folder };
  const { code, stdout, stderr } = await runProgram(world, ['demo', 'clone']);
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toContain('What happened:');
  expect(stdout).toMatch(/shop_db_clone: .*masked before anyone could connect/);
  expect(stdout).toMatch(/≠ table crm\.customers has 2000 rows, and they are not the same\n(?! *≠)/);
  expect(stdout).toMatch(/shop_test was handed out in \d+ ms/);
  expect(stdout).toContain('dropped shop_test: expired');
  if (liquibaseAvailable()) expect(stdout).toMatch(/Liquibase made .*orders/);
  else expect(stdout).toContain('No fresh database was made');
  expect(readdirSync(folder)).toEqual([]);
});
