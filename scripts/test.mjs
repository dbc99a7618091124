// What `npm test` runs: servers first, then every test, then what was skipped and how to enable it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareServers } from './test-servers.mjs';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const { env, skipped } = prepareServers();
const folder = mkdtempSync(join(tmpdir(), 'longshore-tests-'));
const report = join(folder, 'report.json');
try {
  const vitest = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...process.argv.slice(2),
    ],
    { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } },
  );
  const result = JSON.parse(readFileSync(report, 'utf8'));
  const passed = result.numPassedTests;
  const pending = result.numPendingTests + (result.numTodoTests ?? 0);
  if (skipped.length > 0) {
    process.stdout.write('\nskipped:\n');
    for (const { what, enable } of skipped) process.stdout.write(`  ${what}: ${enable}\n`);
  }
  const failedFiles = result.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((t) => t.status !== 'failed'),
  );
  const failed = result.numFailedTests + failedFiles.length;
  process.exitCode = vitest.status !== 0 || passed === 0 ? 1 : 0;
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${pending} skipped\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
