import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HastyClock } from '../../../test/fakes/manual-clock.ts';
import { liquibaseAvailable } from '../../../test/servers/liquibase.ts';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { systemClock } from '../../flow/clock.ts';
import { applyChangelog, type ChangelogEvent, checkChangelog } from './apply-changelog.ts';

const { signal: never } = new AbortController();

function changelog(files: Readonly<Record<string, string>>) {
  const entry = Object.keys(files)[0]!;
  return {
    entry,
    files: Object.entries(files).map(([path, text]) => ({ path, bytes: Buffer.from(text) })),
  };
}

/** All four forms of it. */
const SHOP = {
  'root.yaml': `databaseChangeLog:
  - include: {file: sub/a.sql, relativeToChangelogFile: true}
  - include: {file: b.json}
  - include: {file: c.xml}
  - changeSet:
      id: 4
      author: me
      context: test
      changes: [{sql: {sql: insert into a values (1)}}]
`,
  'sub/a.sql': '--liquibase formatted sql\n\n--changeset me:1\ncreate table a (id int primary key);\n',
  'b.json': JSON.stringify({
    databaseChangeLog: [
      {
        changeSet: {
          id: '2',
          author: 'me',
          changes: [{ createTable: { tableName: 'b', columns: [{ column: { name: 'id', type: 'int' } }] } }],
        },
      },
    ],
  }),
  'c.xml': `<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://www.liquibase.org/xml/ns/dbchangelog http://www.liquibase.org/xml/ns/dbchangelog/dbchangelog-4.1.xsd">
  <changeSet id="3" author="me"><addColumn tableName="b"><column name="more" type="varchar(10)"/></addColumn></changeSet>
</databaseChangeLog>`,
};

describe.skipIf(!liquibaseAvailable())('applyChangelog on PostgreSQL', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await postgresServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('two runs at once apply every form of changelog once, and show no password', async () => {
    const database = await server.createDatabase();
    await database.sql(`DROP ROLE IF EXISTS maker; CREATE ROLE maker LOGIN PASSWORD 'geheim$\\#'; GRANT ALL ON SCHEMA public TO maker;
      GRANT pg_read_all_stats TO maker`);
    const url = new URL(database.url);
    url.username = 'maker';
    url.password = encodeURIComponent('geheim$\\#');
    const target = parseDatabaseUrl(url.href);
    const events: ChangelogEvent[] = [];
    let listed = '';
    const emit = (event: ChangelogEvent) => {
      events.push(event);
      if (event.type === 'step' && listed === '')
        listed = execFileSync('ps', ['-A', '-ww', '-o', 'args=']).toString();
    };
    const apply = () => applyChangelog(target, changelog(SHOP), { contexts: 'production' }, emit, never);
    const results = await Promise.all([apply(), apply()]);
    expect(results.toSorted((left, right) => left.applied - right.applied)).toEqual([
      { applied: 0, already: 3 },
      { applied: 3, already: 0 },
    ]);
    expect(events.filter((event) => event.type === 'step' && event.state === 'ran')).toEqual([
      { type: 'step', what: 'sub/a.sql::1::me', state: 'ran' },
      { type: 'step', what: 'b.json::2::me', state: 'ran' },
      { type: 'step', what: 'c.xml::3::me', state: 'ran' },
    ]);
    expect(events).toContainEqual({
      type: 'notice',
      text: 'waiting: another run of longshore applies a changelog to it',
    });
    expect(listed).toContain('liquibase.properties');
    expect(listed).not.toContain('heim$');
    expect(await database.sql('SELECT id, more FROM b')).toEqual([]);
    expect(
      readdirSync(tmpdir()).filter((name) => name.includes(`liquibase`) && name.includes(`-${process.pid}-`)),
    ).toEqual([]);
  });

  test('a run that is ended in a change set leaves a lock, and the next one goes on', async () => {
    const database = await server.createDatabase();
    const target = parseDatabaseUrl(database.url);
    const files = (second: string) =>
      changelog({
        'a.sql': `--liquibase formatted sql\n--changeset me:1\ncreate table first (id int);\n--changeset me:2\ncreate table second (id int);\n${second}\n`,
      });
    const ending = new AbortController();
    const slow = applyChangelog(target, files('select pg_sleep(3);'), {}, () => undefined, ending.signal);
    const asleep = async () =>
      (await database.sql("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).length > 0;
    while (!(await asleep())) await systemClock.wait(20);
    ending.abort(new Error('ended'));
    await expect(slow).rejects.toThrow('ended');
    expect(await database.sql('SELECT locked FROM databasechangeloglock')).toEqual([{ locked: true }]);
    const texts: string[] = [];
    const emit = (event: ChangelogEvent) => {
      texts.push(event.type === 'notice' ? event.text : `${event.state} ${event.what}`);
    };
    expect(await applyChangelog(target, files('select 1;'), {}, emit, never)).toEqual({
      applied: 1,
      already: 1,
    });
    expect(texts).toContainEqual(expect.stringMatching(/^released the lock .* no longer connected$/));
    expect(texts.slice(-2)).toEqual(['ran a.sql::2::me', 'already there a.sql::1::me']);

    // A lock of somebody else, on another machine.
    await database.sql(
      "UPDATE databasechangeloglock SET locked = true, lockedby = 'other (10.0.0.9)', lockgranted = '2026-03-01 12:00'",
    );
    const options = { clock: new HastyClock(), lockWaitMs: 2000 };
    await expect(applyChangelog(target, files(''), options, emit, never)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringContaining('its lock is held by other (10.0.0.9) since 2026-03-01 12:00:00'),
      hint: expect.stringContaining('release-locks'),
    });
    // The same one in a copy that was made later; then a change set that fails.
    const copy = { ...options, madeAtMs: Date.parse('2026-03-03') };
    const broken = files("select 1;\n--changeset me:3\ninsert into nowhere values ('geheim');");
    const failing = applyChangelog(target, broken, copy, emit, never);
    await expect(failing).rejects.toThrow(
      /the change set a.sql::3::me failed: ERROR: relation "nowhere" does not exist$/,
    );
    expect(texts).toContain('failed a.sql::3::me');
    expect(texts.join()).not.toContain('geheim');
    expect(await database.sql('SELECT locked FROM databasechangeloglock')).toEqual([{ locked: false }]);
  });

  test('a driver that knows no such password: what to do is said', async () => {
    const database = await server.createDatabase();
    await database.sql("DROP ROLE IF EXISTS other; CREATE ROLE other SUPERUSER LOGIN PASSWORD 'gehäim'");
    const url = new URL(database.url);
    url.username = 'other';
    url.password = encodeURIComponent('gehäim');
    const nothing = changelog({ 'a.sql': '--liquibase formatted sql\n' });
    // A later one than that of the npm package knows it.
    const failed: unknown = await applyChangelog(
      parseDatabaseUrl(url.href),
      nothing,
      {},
      () => undefined,
      never,
    ).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failed !== undefined) expect(failed).toMatchObject({ hint: expect.stringContaining('beyond ASCII') });
  });

  test('a changelog is checked without a database', async () => {
    expect(await checkChangelog('postgres', changelog(SHOP), { contexts: 'test' }, never)).toBe(4);
    const broken = changelog({ 'root.yaml': 'databaseChangeLog:\n  - include: {file: missing.sql}\n' });
    await expect(checkChangelog('mysql', broken, {}, never)).rejects.toThrow(
      /^Cannot use the changelog root.yaml.*missing.sql/,
    );
  });
});
