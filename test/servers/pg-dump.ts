/** PostgreSQL's own dump program, for tests that need it. */

import type { FoundProgram } from '../../src/databases/client-programs.ts';
import { postgresPrograms } from '../../src/databases/postgres/client-programs.ts';

/** Undefined where none is installed; prints what to install. For `describe.skipIf(pgDump === undefined)`. */
export async function installedPgDump(): Promise<FoundProgram | undefined> {
  const found = (await postgresPrograms(undefined)).find(({ name }) => name === 'pg_dump');
  if (found === undefined) console.warn('skipped: no pg_dump; apt-get install postgresql-client');
  return found;
}
