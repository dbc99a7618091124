import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LongshoreError } from '../errors.ts';
import { parseDatabaseUrl } from './database-url.ts';
import { withFileCredentials } from './password-file.ts';

const parse = (text: string, environment = {}) => parseDatabaseUrl(text, environment);

function failure(text: string): LongshoreError {
  try {
    parse(text);
  } catch (error) {
    return error as LongshoreError;
  }
  throw new Error('was read');
}

describe('parseDatabaseUrl', () => {
  it('reads every part', () => {
    const url = parse(
      'postgres://user:p%40ss@db.example:6543/app?sslmode=require&application_name=x#public.avatars.path',
    );
    expect(url).toMatchObject({
      dialect: 'postgres',
      name: 'postgres://user@db.example:6543/app',
      columns: [{ schema: 'public', table: 'avatars', column: 'path', within: 'auto' }],
      connection: {
        host: 'db.example',
        port: 6543,
        user: 'user',
        database: 'app',
        tls: 'require',
        applicationName: 'x',
      },
    });
    expect(url.connection.password?.reveal()).toBe('p@ss');
    for (const part of [url, url.connection, url.columns, url.columns[0]])
      expect(Object.isFrozen(part)).toBe(true);
  });

  it.each([
    ['postgresql://h/db', 'postgres', 5432],
    ['mysql://u@h/db', 'mysql', 3306],
    ['MariaDB://u@h:3307/db', 'mysql', 3307],
  ])('knows the scheme of %s', (text, dialect, port) => {
    expect(parse(text)).toMatchObject({ dialect, connection: { port, database: 'db' } });
  });

  it('reads hosts of every kind', () => {
    expect(parse('postgres://[::1]:1/db').connection).toMatchObject({ host: '::1', port: 1, tls: 'disable' });
    expect(parse('postgres://u@/db?host=/var/run/postgresql')).toMatchObject({
      connection: { host: '/var/run/postgresql', tls: 'disable' },
      name: 'postgres://u@/db?host=/var/run/postgresql',
    });
    expect(parse('postgres://%2Ftmp%2Fpg/db').connection.host).toBe('/tmp/pg');
    expect(parse('mysql://u@localhost/db?socket=/run/mysqld.sock').connection.host).toBe('/run/mysqld.sock');
    expect(parse('postgres://db.example/app').connection.tls).toBe('prefer');
  });

  it.each([
    ['#t.c', [{ table: 't', column: 'c', within: 'auto' }]],
    ['#S.T.C', [{ schema: 's', table: 't', column: 'c', within: 'auto' }]],
    ['#"S.x"."T ""q"."C"', [{ schema: 'S.x', table: 'T "q', column: 'C', within: 'auto' }]],
    ['#`S.x`.`T`.`C`', [{ schema: 'S.x', table: 'T', column: 'C', within: 'auto' }]],
    ['#%22Big%20Table%22.path:json', [{ table: 'Big Table', column: 'path', within: 'json' }]],
    [
      '#a.b:text, c.d:array,e.f:value',
      [
        { table: 'a', column: 'b', within: 'text' },
        { table: 'c', column: 'd', within: 'array' },
        { table: 'e', column: 'f', within: 'value' },
      ],
    ],
    ['', []],
  ])('reads the columns of %s', (fragment, columns) => {
    expect(parse(`postgres://h/db${fragment}`).columns).toEqual(columns);
  });

  it('keeps the capitals of MySQL names', () => {
    expect(parse('mysql://h/db#Users.imagePath').columns).toEqual([
      { table: 'Users', column: 'imagePath', within: 'auto' },
    ]);
  });

  it('takes from the environment what the URL leaves out', () => {
    const environment = {
      PGHOST: 'e',
      PGPORT: '7',
      PGUSER: 'eu',
      PGPASSWORD: 'ep',
      PGDATABASE: 'ed',
      PGSSLMODE: 'disable',
    };
    const url = parse('postgres://', environment);
    expect(url.connection).toMatchObject({ host: 'e', port: 7, user: 'eu', database: 'ed', tls: 'disable' });
    expect(url.connection.password?.reveal()).toBe('ep');
    expect(parse('postgres://u:p@h/db', environment).connection.password?.reveal()).toBe('p');
    expect(parse('mysql://u@h/db', { MYSQL_PWD: 'mp' }).connection.password?.reveal()).toBe('mp');
  });

  it.each([
    'http://h/db',
    'not a url',
    '',
    'postgres://h:port/db',
    'postgres://h:99999/db',
    'mysql://h',
    'postgres://a,b/db',
    'postgres://h/db?sslmode=maybe',
    'postgres://h/db?ssl_mode=require',
    'postgres://h/db#path',
    'postgres://h/db#a.b.c.d',
    'postgres://h/db#a.b:xml',
    'postgres://h/db#a..b',
    'postgres://h/db#"a.b',
    'postgres://h/db#a.b,',
    'postgres://h/db#"a".b"c',
    'postgres://h/db%zz',
  ])('refuses %s with the right form', (text) => {
    expect(failure(text)).toMatchObject({
      code: 'URL_INVALID',
      hint: expect.stringMatching(/:\/\/user:password@host/),
    });
  });

  it.each(['', '/', '?', '#', '@', ':', '%', '12', '#12', '?x=', '/x?'])(
    'never tells a password with "%s"',
    (cut) => {
      for (const text of [`postgres://u:s3cr${cut}hush@h/db#t.c`, `postgres://u:12${cut}hush@h:x/db`]) {
        let said: string;
        try {
          const url = parse(text);
          said = `${JSON.stringify(url)} ${inspect(url, { depth: 9, showHidden: true })} ${url.name}`;
        } catch (error) {
          said = `${(error as Error).stack} ${inspect(error)}`.replaceAll(text, '');
        }
        expect(said).not.toContain('hush');
      }
    },
  );

  it('reads back any names, user and password that are encoded', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 });
    fc.assert(
      fc.property(text, text, text, text, (user, password, table, column) => {
        const quoted = [table, column]
          .map((name) => encodeURIComponent(`"${name.replaceAll('"', '""')}"`))
          .join('.');
        const authority = `${encodeURIComponent(user)}:${encodeURIComponent(password)}@h`;
        const url = parse(`postgres://${authority}/db#${quoted}`);
        expect(url.connection.user).toBe(user);
        expect(url.connection.password?.reveal()).toBe(password);
        expect(url.columns).toEqual([{ table, column, within: 'auto' }]);
      }),
    );
  });
});

describe('withFileCredentials', () => {
  it("reads .pgpass, unless others can, and MySQL's .my.cnf", async () => {
    const home = await mkdtemp(join(tmpdir(), 'longshore-home-'));
    try {
      const file = join(home, '.pgpass');
      await writeFile(file, '# comment\nother:*:*:*:no\nh:5432:db:u\\:x:p\\:w\n*:*:*:*:any\n');
      const connection = parse('postgres://u%3Ax@h/db').connection;
      const password = async () =>
        (await withFileCredentials(connection, 'postgres', { HOME: home })).password?.reveal();
      expect(await password()).toBeUndefined();
      await chmod(file, 0o600);
      expect(await password()).toBe('p:w');
      await writeFile(join(home, '.my.cnf'), '[mysqld]\nuser=no\n[client]\nuser = "me"\npassword=pw#1\n');
      const filled = await withFileCredentials(parse('mysql://h/db').connection, 'mysql', { HOME: home });
      expect(filled.user).toBe('me');
      expect(filled.password?.reveal()).toBe('pw');
      // As `my_print_defaults` has them.
      for (const [written, read] of [
        [String.raw`"a\"b\\c#d\s\x" # hm`, String.raw`a"b\c#d \x`],
        ["it's #1", "it's #1"],
        [String.raw`'a"b\"c'`, 'a"b"c'],
      ] as const) {
        await writeFile(join(home, '.my.cnf'), `[client]\npassword = ${written}\n`);
        const { password } = await withFileCredentials(parse('mysql://h/db').connection, 'mysql', {
          HOME: home,
        });
        expect(password?.reveal()).toBe(read);
      }
      const given = await withFileCredentials(parse('mysql://u:p@h/db').connection, 'mysql', { HOME: home });
      expect(given).toMatchObject({ user: 'u' });
    } finally {
      await rm(home, { recursive: true });
    }
  });
});
