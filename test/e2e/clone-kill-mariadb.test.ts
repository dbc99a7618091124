/** Masked clones on MariaDB, where databases are not renamed: whoever has a grant for the name finds masked rows there, or none. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { describe, expect, test } from 'vitest';
import { mariadbAvailable, mariadbServer } from '../servers/mariadb.ts';
import { createCloneWorld, passwordOf, withoutPassword } from '../worlds/clone-world.ts';

const NAME = 'shop_clone';
const HIDDEN = /^longshore_masking_/;

describe.skipIf(!mariadbAvailable())('on MariaDB', () => {
  test('fails while it is masked, is killed then, and is made at last', async () => {
    await using server = await mariadbServer();
    using world = createCloneWorld();
    const source = await server.createDatabase();
    await source.sql(
      `CREATE TABLE customers (id int PRIMARY KEY, email varchar(100) NOT NULL);
       INSERT INTO customers WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         SELECT i, CONCAT('person', i, '@shop.test') FROM n;
       CREATE USER visitor@'127.0.0.1' IDENTIFIED BY 'v';
       GRANT ALL ON \`shop\\_%\`.* TO visitor@'127.0.0.1'`,
    );
    writeFileSync(join(world.folder, 'masking.yaml'), 'columns: { customers.email: email }\n');
    const env = { MYSQL_PWD: passwordOf(server.url) };
    const on = ['--on', withoutPassword(server.url)];
    const args = [
      '--from',
      withoutPassword(source.url),
      '--name',
      NAME,
      '--masking',
      'masking.yaml',
      '--json',
    ];
    const { hostname: host, port } = new URL(server.url);
    const visitor = await createConnection({ host, port: Number(port), user: 'visitor', password: 'v' });
    const databases = async (): Promise<string[]> =>
      (await source.sql('SELECT schema_name AS name FROM information_schema.schemata ORDER BY 1'))
        .map(({ name }) => String(name))
        .filter((name) => name === NAME || HIDDEN.test(name));
    /** @returns databases that were seen, and what the visitor read, while `work` runs */
    const watched = async <T>(
      work: Promise<T>,
    ): Promise<{ result: T; seen: Set<string>; read: string[] }> => {
      const [seen, read] = [new Set<string>(), [] as string[]];
      let ended = false;
      const ending = work.finally(() => {
        ended = true;
      });
      const looking = (async () => {
        while (!ended) {
          for (const name of await databases()) seen.add(name);
          try {
            const [rows] = await visitor.query(`SELECT email FROM ${NAME}.customers LIMIT 5`);
            read.push(...(rows as { email: string }[]).map(({ email }) => email));
          } catch (error) {
            if (!/doesn't exist|Unknown database/.test(String(error))) throw error;
          }
        }
      })();
      const [result] = await Promise.all([ending, looking]);
      return { result, seen, read };
    };
    try {
      await source.sql(
        "ALTER TABLE customers ADD CONSTRAINT ours CHECK (id < 800 OR email LIKE '%@shop.test')",
      );
      const failed = await watched(world.clone(args, env));
      expect(failed.result.code, failed.result.stderr).toBe(1);
      expect([...failed.seen]).toEqual([expect.stringMatching(HIDDEN)]);
      expect(failed.read).toEqual([]);
      expect(await databases()).toEqual([]);
      await source.sql('ALTER TABLE customers DROP CONSTRAINT ours');

      for (const point of ['copied:1', 'created:2', 'copied:2', 'filled:1']) {
        const killed = await watched(world.clone(args, { ...env, LONGSHORE_KILL_AT: point }));
        expect(killed.result.signal, killed.result.stderr).toBe('SIGKILL');
        for (const email of killed.read) expect(email, point).toMatch(/@example\.com$/);
        const swept = await world.clone(['sweep', ...on, '--json'], env);
        expect(JSON.parse(swept.stdout), point).toEqual([{ name: NAME, why: 'left behind' }]);
        expect(await databases(), point).toEqual([]);
      }
      await world.clone(args, { ...env, LONGSHORE_KILL_AT: 'copied:1' });
      const made = await watched(world.clone([...args, '--compare'], env));
      expect(made.result.code, made.result.stderr).toBe(0);
      for (const email of made.read) expect(email).toMatch(/@example\.com$/);
      expect(await databases()).toEqual([NAME]);
      const [rows] = await visitor.query(
        `SELECT COUNT(*) AS n, SUM(email LIKE '%@example.com') AS masked FROM ${NAME}.customers`,
      );
      expect(rows).toEqual([{ n: 900, masked: '900' }]);
      const dropped = await world.clone(['drop', NAME, ...on], env);
      expect(dropped.code, dropped.stderr).toBe(0);
    } finally {
      await visitor.end();
    }
  });
});
