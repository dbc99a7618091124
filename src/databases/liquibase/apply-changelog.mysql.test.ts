import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { liquibaseAvailable } from '../../../test/servers/liquibase.ts';
import { type MariadbServer, mariadbAvailable, mariadbServer } from '../../../test/servers/mariadb.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { systemClock } from '../../flow/clock.ts';
import { applyChangelog, type ChangelogEvent } from './apply-changelog.ts';

const { signal: never } = new AbortController();

describe.skipIf(!mariadbAvailable() || !liquibaseAvailable())('applyChangelog on MariaDB', () => {
  let server: MariadbServer;
  beforeAll(async () => {
    server = await mariadbServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('a run that is ended leaves a lock; the next one goes on, and another finds nothing to do', async () => {
    const database = await server.createDatabase();
    await database.sql(
      `CREATE OR REPLACE USER maker@'%' IDENTIFIED BY 'ge heim$\\\\#ä'; GRANT ALL ON ${database.name}.* TO maker@'%'`,
    );
    const url = new URL(database.url);
    url.username = 'maker';
    url.password = encodeURIComponent('ge heim$\\#ä');
    const target = parseDatabaseUrl(url.href);
    const files = (second: string) => ({
      entry: 'a.sql',
      files: [
        {
          path: 'a.sql',
          bytes: Buffer.from(
            `--liquibase formatted sql\n--changeset me:1\ncreate table first (id int);\n--changeset me:2\n${second}\ncreate table second (id int);\n`,
          ),
        },
      ],
    });
    const ending = new AbortController();
    const slow = applyChangelog(target, files('select sleep(2);'), {}, () => undefined, ending.signal);
    const asleep = async () =>
      (await database.sql("SELECT 1 FROM information_schema.processlist WHERE STATE = 'User sleep'")).length >
      0;
    while (!(await asleep())) await systemClock.wait(20);
    ending.abort(new Error('ended'));
    await expect(slow).rejects.toThrow('ended');
    const texts: string[] = [];
    const emit = (event: ChangelogEvent) => {
      texts.push(event.type === 'notice' ? event.text : `${event.state} ${event.what}`);
    };
    const apply = () => applyChangelog(target, files('select 1;'), {}, emit, never);
    expect(await Promise.all([apply(), apply()])).toEqual(
      expect.arrayContaining([
        { applied: 1, already: 1 },
        { applied: 0, already: 2 },
      ]),
    );
    expect(texts).toContainEqual(expect.stringMatching(/^released the lock/));
    expect(await database.sql('SELECT LOCKED FROM DATABASECHANGELOGLOCK')).toEqual([
      { LOCKED: expect.anything() },
    ]);
    expect((await database.sql('SHOW TABLES')).length).toBe(4);
  });
});
