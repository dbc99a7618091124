/** What is in the way of a copy is seen before it begins. */

import { expect, test } from 'vitest';
import { debianBinFolder, postgresServer } from '../../../test/servers/postgres.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { startPostgres } from '../../embedded/postgres.ts';
import { copyProblems } from './copy-problems.ts';

test.skipIf(debianBinFolder() === undefined)(
  'an older server, a client that is too old, an extension',
  async () => {
    await using installed = await postgresServer();
    await using later = await startPostgres({});
    const at = (url: string) => parseDatabaseUrl(url).connection;
    expect(await copyProblems(at(installed.url), at(later.url), undefined)).toEqual([]);
    const back = await copyProblems(at(later.url), at(installed.url), undefined);
    expect(back.map(({ text }) => text).join()).toMatch(/pg_dump.*the clone would be on PostgreSQL 15/s);
    const database = await installed.createDatabase();
    await database.sql(
      `INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
     SELECT 99999, 'nobody has it', oid, 'public'::regnamespace, true, '1' FROM pg_roles WHERE rolname = current_user`,
    );
    expect(await copyProblems(at(database.url), at(later.url), undefined)).toEqual([
      { text: 'the server of the clone does not have the extension nobody has it', hint: expect.any(String) },
    ]);
  },
);
