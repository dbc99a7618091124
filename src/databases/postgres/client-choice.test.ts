/** Which client dumps which server. */

import { expect, test } from 'vitest';
import { chooseClient, chooseRestoreClient, majorOf, versionIn } from './client-choice.ts';

const program = (name: string, version: string) => ({
  name,
  path: `/opt/${version}/bin/${name}`,
  versionText: `${name} (PostgreSQL) ${version}`,
});
const dumps = ['13.22', '15.19', '17.6', '16.10'].map((version) => program('pg_dump', version));

test('a dump is by the client of the server, else by the next one after it', () => {
  expect(chooseClient('pg_dump', '15.3', dumps)).toEqual({
    name: 'pg_dump',
    path: '/opt/15.19/bin/pg_dump',
    version: '15.19',
  });
  expect(chooseClient('pg_dump', '14.1', dumps).version).toBe('15.19');
  expect(chooseClient('pg_dump', '9.6.24', dumps).version).toBe('13.22');
});

test('a client that is older than the server is none, and the error says which one is needed', () => {
  expect(() => chooseClient('pg_dump', '18.1', dumps)).toThrow(
    expect.objectContaining({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/server is PostgreSQL 18.1, and here is .*17\.6/),
      hint: expect.stringContaining('postgresql-client-18'),
    }),
  );
  expect(() => chooseClient('pg_dumpall', '15.3', dumps)).toThrow(/there is no pg_dumpall here/);
});

test('a restore is by the client of the server, and never by one that sets what the server does not know', () => {
  const restores = ['15.19', '17.6'].map((version) => program('pg_restore', version));
  expect(chooseRestoreClient('17.2', restores).version).toBe('17.6');
  expect(chooseRestoreClient('16.1', restores).version).toBe('15.19');
  expect(chooseRestoreClient('18.0', restores).version).toBe('17.6');
  expect(() => chooseRestoreClient('16.1', restores.slice(1))).toThrow(/the server is PostgreSQL 16.1/);
});

test('versions as programs and servers spell them', () => {
  expect(versionIn('pg_dump (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)')).toBe('15.19');
  expect(versionIn('pg_dump (PostgreSQL) 18beta1')).toBe('18');
  expect([majorOf('9.6.24'), majorOf('15.19'), majorOf('18')]).toEqual([9.6, 15, 18]);
});
