import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { openTemporaryFolder } from '../../flow/temporary-folder.ts';
import { writeChangelog } from './changelog-files.ts';
import { findLiquibase } from './find-liquibase.ts';
import { failureOf, ranChangeSet } from './output.ts';
import { jdbcTarget, propertiesText } from './properties.ts';

test('values of properties are themselves when Java has read them', () => {
  expect(propertiesText({ password: ' a=b#\\ü$\u{1F600}', contexts: undefined })).toBe(
    'password=\\u0020a\\u003db\\u0023\\u005c\\u00fc\\u0024\\ud83d\\ude00\n',
  );
});

test('the encryption of a connection is carried over', () => {
  const target = (text: string, tls: 'disable' | 'require' | 'verify-ca' | 'verify-full', key?: string) => {
    const { dialect, connection } = parseDatabaseUrl(text, {});
    return jdbcTarget(dialect, connection, tls, 'longshore-1', key).url;
  };
  const pg = 'postgres://me:geheim@db.test/shöp?sslrootcert=/c/ca.pem&sslcert=/c/me.pem&sslkey=/c/me.key';
  expect(target(pg, 'verify-full', '/tmp/k.pk8')).toBe(
    'jdbc:postgresql://db.test:5432/sh%C3%B6p?ApplicationName=longshore-1&connectTimeout=15&sslmode=verify-full&sslrootcert=/c/ca.pem&sslcert=/c/me.pem&sslkey=/tmp/k.pk8',
  );
  expect(target(`${pg}&sslmode=require`, 'require')).toContain('sslmode=verify-ca');
  expect(target('postgres://me@db.test/shop', 'verify-ca')).toContain('DefaultJavaSSLFactory');
  expect(target('postgres://me@[::1]/shop', 'disable')).toContain('//[::1]:5432/shop?');
  const my = 'mysql://me:geheim@db.test/shop?ssl-ca=/c/ca.pem';
  expect(target(my, 'require')).toMatch(/useSsl=true&trustServerCertificate=true/);
  expect(target(my, 'verify-ca')).toMatch(/serverSslCert=\/c\/ca.pem&disableSslHostnameVerification=true/);
  expect(target(my, 'verify-full')).not.toMatch(/trust|disable|geheim/);
  expect(() => target('postgres:///shop?host=/run/pg', 'disable')).toThrow('JDBC drivers connect by TCP');
  expect(() => target(`${my}&ssl-cert=/c/me.pem`, 'require')).toThrow('client certificate');
});

test('what Liquibase says is read', () => {
  const line =
    '[2026-11-22 02:02:53] INFO [liquibase.changelog] ChangeSet sub/a.sql::1::bob ran successfully in 19ms';
  expect(ranChangeSet(line)).toEqual({ what: 'sub/a.sql::1::bob', tookMs: 19 });
  expect(ranChangeSet('INFO Table t2 created')).toBeUndefined();
  const failed = `Unexpected error running Liquibase: Migration failed for change set a.sql::2::bob:
     Reason: liquibase.exception.DatabaseException: ERROR: relation "x" does not exist
  Position: 13 [Failed SQL: (0) insert into x values ('geheim')]
For more information, please use the --logLevel flag`;
  expect(failureOf(failed)).toEqual({
    changeSet: 'a.sql::2::bob',
    reason: 'ERROR: relation "x" does not exist',
  });
  const parsing =
    "Unexpected error running Liquibase: while parsing a flow node\n in 'reader', line 3, column 1:\n    ^\n";
  expect(failureOf(parsing).reason).toBe('while parsing a flow node (line 3, column 1)');
  expect(failureOf(failed.replace('exist\n  Position: 13', 'exist')).reason).not.toContain('geheim');
  expect(
    failureOf(
      'Unexpected error running Liquibase: Validation Failed:\n     1 change sets check sum\n          a::1::b was: 8:x but is now: 8:y\n\nx',
    ).reason,
  ).toBe('validation failed: 1 change sets check sum, a::1::b was: 8:x but is now: 8:y');
});

test('a changelog is written for its owner alone, and nowhere else', () => {
  using folder = openTemporaryFolder('test-changelog');
  const file = (path: string) => ({ path, bytes: Buffer.from('x') });
  writeChangelog({ entry: 'a/b/c.sql', files: [file('a/b/c.sql')] }, folder.path);
  expect(readFileSync(join(folder.path, 'a/b/c.sql'), 'utf8')).toBe('x');
  expect(statSync(join(folder.path, 'a/b/c.sql')).mode & 0o777).toBe(0o600);
  for (const path of ['../x', '/x', 'a/../../x', 'C:/x', 'a\\b', ''])
    expect(() => writeChangelog({ entry: path, files: [file(path)] }, folder.path)).toThrow('leads out');
  expect(() => writeChangelog({ entry: 'b', files: [file('a')] }, folder.path)).toThrow('b is not in it');
});

test('Liquibase is looked for on the machine, then in packages', async () => {
  using folder = openTemporaryFolder('test-liquibase');
  const program = (path: string) => {
    mkdirSync(join(folder.path, path, '..'), { recursive: true });
    writeFileSync(join(folder.path, path), '{}', { mode: 0o755 });
    return join(folder.path, path);
  };
  const [home, onPath] = [program('home/liquibase'), program('bin/liquibase')];
  const java = program('java/bin/java');
  const find = (environment: NodeJS.ProcessEnv, from: string[] = []) =>
    findLiquibase(['-Dx=1'], { environment, from });
  const PATH = join(folder.path, 'bin');
  const LIQUIBASE_HOME = join(folder.path, 'home');
  expect((await find({ PATH, LIQUIBASE_HOME })).path).toBe(home);
  expect(await find({ PATH, SECRET: 'x' })).toMatchObject({ path: onPath, env: { JAVA_OPTS: '-Dx=1' } });
  expect((await find({ PATH, SECRET: 'x' })).env).not.toHaveProperty('SECRET');
  await expect(find({ PATH: '' })).rejects.toMatchObject({
    code: 'CHECK_FAILED',
    hint: expect.stringContaining('npm install liquibase'),
  });
  const jar = program('app/node_modules/liquibase/dist/liquibase/liquibase.jar');
  program('app/node_modules/liquibase/package.json');
  const app = join(folder.path, 'app');
  await expect(find({ PATH: '' }, [app])).rejects.toThrow('Java was not found');
  await expect(find({ PATH: '', JAVA_HOME: '' }, [app])).rejects.toThrow('Java was not found on the PATH');
  const packaged = await find({ PATH: '', JAVA_HOME: join(folder.path, 'java') }, [folder.path, app]);
  expect(packaged).toMatchObject({ path: java, flags: expect.arrayContaining(['-Dx=1', jar]) });
});
