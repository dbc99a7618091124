/** Clones on a real MariaDB: through its dump program, noted in the comment of the database. */

import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MariadbServer, mariadbAvailable, mariadbServer } from '../../../../test/servers/mariadb.ts';
import { loadSakila, sakilaAvailable } from '../../../../test/worlds/sakila.ts';
import { parseDatabaseUrl } from '../../../config/database-url.ts';
import { compareFacts } from '../../../databases/compare-facts.ts';
import { withDatabase } from '../../../databases/make-database.ts';
import { openRestoreTarget } from '../../../databases/open-dump.ts';
import { cloneOrTake } from '../clone-database.ts';
import { cloneEnvironment } from '../settings.ts';
import { convergeDatabase } from './converge-database.ts';
import type { DatabaseRequest } from './request.ts';
import { dropServerClone, listServerClones, sweepServerClones } from './server-clones.ts';

const OWNER = 'o\'brien "\\"\n@ü';
const { signal } = new AbortController();

describe.skipIf(!mariadbAvailable())('on MariaDB', () => {
  let server: MariadbServer;
  const on = () => parseDatabaseUrl(server.url);
  beforeAll(async () => {
    server = await mariadbServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const request = (source: string, name: string): DatabaseRequest => ({
    mode: 'clone',
    source: parseDatabaseUrl(source),
    on: on(),
    name: `${name}_${process.pid}`,
    ttlMs: 3_600_000,
    owner: OWNER,
    changelog: undefined,
    masking: undefined,
    way: undefined,
    jobs: 2,
    clientFolder: undefined,
    noOwner: false,
    compare: true,
    backups: undefined,
  });

  test.skipIf(!sakilaAvailable())(
    'sakila: the same in every table and object, while a program writes',
    async () => {
      const source = await server.createDatabase();
      await loadSakila(source.url);
      await source.sql('CREATE TABLE written (id int PRIMARY KEY AUTO_INCREMENT) ENGINE=InnoDB');
      let stop = false;
      const writing = (async () => {
        while (!stop) await source.sql('INSERT INTO written VALUES ()');
      })();
      const asked = request(source.url, 'sakila');
      const made = await convergeDatabase(asked).finally(() => {
        stop = true;
      });
      await writing;
      expect(made).toMatchObject({ how: 'dump', existed: false, database: asked.name });
      const like = { tables: [], sequences: {}, objects: [], largeObjects: 0 };
      await source.sql('DROP TABLE written');
      await using was = await openRestoreTarget(parseDatabaseUrl(source.url), {});
      await using is = await openRestoreTarget(withDatabase(on(), asked.name), {});
      const found = await is.facts(like, signal);
      expect(
        compareFacts(await was.facts(like, signal), found).filter((text) => !text.includes('written')),
      ).toEqual([]);
      expect((await listServerClones(on()))[0]).toMatchObject({ name: asked.name, owner: OWNER });
      expect(await convergeDatabase(asked)).toMatchObject({ existed: true });
      await dropServerClone(on(), asked.name);
      expect(await listServerClones(on())).toEqual([]);
    },
  );

  test('the collation is that of the source; events are there, and do not run twice', async () => {
    const source = await server.createDatabase();
    await source.sql('CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB');
    await source.sql(`ALTER DATABASE ${source.name} CHARACTER SET latin1 COLLATE latin1_german1_ci`);
    await source.sql('CREATE EVENT `e v` ON SCHEDULE EVERY 1 DAY DO DELETE FROM t');
    await source.sql('CREATE TABLE plain (id int) ENGINE=MyISAM');
    const asked = request(source.url, 'events');
    const notices: string[] = [];
    await convergeDatabase(asked, {
      emit: (event) => void (event.type === 'notice' && notices.push(event.text)),
    });
    expect(notices).toContainEqual(expect.stringContaining('without transactions'));
    const events = `SELECT event_name AS name, status FROM information_schema.events WHERE event_schema = '${asked.name}'`;
    expect(await source.sql(events)).toEqual([{ name: 'e v', status: 'DISABLED' }]);
    const collation = `SELECT default_collation_name AS name FROM information_schema.schemata WHERE schema_name = '${asked.name}'`;
    expect(await source.sql(collation)).toEqual([{ name: 'latin1_german1_ci' }]);
    await using inside = await createConnection(
      withDatabase(on(), asked.name).name.replace('@', `:${on().connection.password!.reveal()}@`),
    );
    inside.on('error', () => undefined);
    await inside.query('BEGIN');
    await inside.query('SELECT * FROM t');
    await dropServerClone(on(), asked.name);
  });

  test('what fails is dropped, what is not ours stays, what expired goes', async () => {
    const source = await server.createDatabase();
    await source.sql('CREATE TABLE t (id int PRIMARY KEY) ENGINE=InnoDB; INSERT INTO t VALUES (1), (2)');
    await expect(convergeDatabase({ ...request(source.url, 'x'), name: source.name })).rejects.toThrow(
      'Longshore did not make it',
    );
    const failing = request(source.url, 'failing');
    await expect(
      convergeDatabase(failing, {
        failpoint: () => {
          throw new Error('killed');
        },
      }),
    ).rejects.toThrow('killed');
    expect(await listServerClones(on())).toEqual([]);
    const both = await Promise.all([convergeDatabase(failing), convergeDatabase(failing)]);
    expect(both.map(({ existed }) => existed).sort()).toEqual([false, true]);
    const later = { now: () => Date.now() + 2 * 3_600_000, wait: async () => undefined };
    expect(await sweepServerClones(on(), {}, { clock: later })).toEqual([
      { name: failing.name, why: 'expired' },
    ]);
    await expect(cloneOrTake(failing, 1, cloneEnvironment())).rejects.toThrow('has no pool of clones');
    expect(await listServerClones(on())).toEqual([]);
    expect(await source.sql('SELECT count(*) AS n FROM t')).toEqual([{ n: 2 }]);
  });
});
