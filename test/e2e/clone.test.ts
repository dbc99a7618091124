/** Clones as a user makes them: from an artifact that was published and pulled. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { dockerRegistryAvailable, startDockerRegistry } from '../servers/docker-registry.ts';
import { liquibaseAvailable } from '../servers/liquibase.ts';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { until } from '../worlds/backup-world.ts';
import {
  ask,
  type CloneWorld,
  createCloneWorld,
  done,
  parsed,
  passwordOf,
  withDatabaseName,
  withoutPassword,
} from '../worlds/clone-world.ts';
import { runProgram } from './world.ts';

const isLinux = process.platform === 'linux';
const hasRegistry = isLinux && dockerRegistryAvailable();
const hasLiquibase = liquibaseAvailable();

let server: PostgresServer;
let world: CloneWorld;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  world = createCloneWorld();
});
afterEach(() => world[Symbol.dispose]());

const CHANGELOG = `databaseChangeLog:
  - changeSet:
      id: 1
      author: shop
      changes:
        - createTable:
            tableName: items
            columns:
              - column: { name: id, type: int, constraints: { primaryKey: true } }
              - column: { name: name, type: text }
`;

test.skipIf(!hasRegistry)(
  'an artifact is published, pulled in another folder, and converged in both modes',
  async () => {
    await using registry = await startDockerRegistry();
    const source = await server.createDatabase();
    await ask(
      source.url,
      'CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items VALUES (1, $$a$$), (2, $$b$$)',
    );
    writeFileSync(join(world.folder, 'changelog.yaml'), CHANGELOG);
    writeFileSync(
      join(world.folder, 'artifact-config.ini'),
      `[source_db]
source_db_url = ${withoutPassword(source.url)}
liquibase_changelog_path = changelog.yaml

[target_db]
database_name = shop_fresh
`,
    );
    await done(world.clone(['build', 'artifact-config.ini', '--tag', 'shop-db:1']));
    const reference = `${registry.host}/team/shop-db:1.4`;
    await done(world.clone(['publish', 'shop-db:1', reference]));

    const elsewhere = join(world.folder, 'elsewhere');
    mkdirSync(elsewhere);
    const DB_PASSWORD = passwordOf(source.url);
    const env = { DB_PASSWORD, PGPASSWORD: DB_PASSWORD };
    const pulled = { folder: elsewhere, env: world.env };
    const there = (...args: string[]) => runProgram(pulled, ['clone', ...args], env);
    const on = ['--on', withoutPassword(server.url)];
    const clone = ['converge', reference, '--name', 'shop_copy'];

    const plan = await done(there(...clone, '--plan'));
    expect(plan.stdout).toMatch(/^shop_copy: template, since /);
    expect(await parsed(there(...clone, '--plan', '--json'))).toMatchObject({
      name: 'shop_copy',
      how: 'template',
    });
    expect(await parsed(there('list', ...on, '--json'))).toEqual([]);

    const killed = await runProgram(pulled, ['clone', ...clone], { ...env, LONGSHORE_KILL_AT: 'filled:1' });
    expect(killed.signal, killed.stderr).toBe('SIGKILL');
    expect(await parsed(there(...clone, '--json'))).toMatchObject({
      mode: 'clone',
      database: 'shop_copy',
      existed: false,
    });
    expect(await ask(withDatabaseName(server.url, 'shop_copy'), 'SELECT id FROM items ORDER BY id')).toEqual([
      { id: 1 },
      { id: 2 },
    ]);
    const again = await done(there(...clone));
    expect(again.stdout).toContain('shop_copy is there already');
    const create = ['converge', reference, '--mode', 'create'];
    if (hasLiquibase) {
      await done(there(...create));
      await ask(withDatabaseName(server.url, 'shop_fresh'), "INSERT INTO items VALUES (7, 'mine')");
      expect(await parsed(there(...create, '--json'))).toMatchObject({
        existed: true,
        database: 'shop_fresh',
      });
      expect(await ask(withDatabaseName(server.url, 'shop_fresh'), 'SELECT id FROM items')).toEqual([
        { id: 7 },
      ]);
    } else {
      const refused = await there(...create);
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/Java|Liquibase/)]);
    }

    await done(there('converge', reference, '--name', 'shop_brief', '--ttl', '1s'));
    const listed = (await parsed(there('list', ...on, '--json'))) as { name: string }[];
    expect(listed.map(({ name }) => name)).toEqual([
      'shop_brief',
      'shop_copy',
      ...(hasLiquibase ? ['shop_fresh'] : []),
    ]);
    expect((await done(there('list', ...on))).stdout).toContain(withoutPassword(source.url).split('@')[1]);
    await until('it has expired', async () =>
      (await done(there('sweep', ...on, '--plan'))).stdout.includes('would drop shop_brief: expired'),
    );
    expect(await parsed(there('sweep', ...on, '--json'))).toEqual([{ name: 'shop_brief', why: 'expired' }]);
    await done(there('drop', 'shop_copy', ...on));
    if (hasLiquibase) await done(there('drop', 'shop_fresh', ...on));
    const notOurs = await there('drop', source.name, ...on);
    expect(notOurs.code).toBe(3);
    expect(notOurs.stderr).toContain('is no clone of Longshore');
    expect(await parsed(there('list', ...on, '--json'))).toEqual([]);
    expect(world.temporary()).toEqual([]);
  },
);
