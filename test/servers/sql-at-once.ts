/** Runs a statement while the test's own process stands still: between two steps of what runs in it. */

import { spawnSync } from 'node:child_process';

/** In a process of its own. @throws what the server says */
export function sqlAtOnce(url: string, statement: string): void {
  const program = `import pg from 'pg';
    const client = new pg.Client({ connectionString: process.env.URL });
    await client.connect();
    await client.query(process.env.STATEMENT);
    await client.end();`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: import.meta.dirname,
    env: { URL: url, STATEMENT: statement },
  });
  if (status !== 0) throw new Error(String(stderr));
}
