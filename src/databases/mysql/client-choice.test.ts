import { expect, it } from 'vitest';
import { chooseClient, clientOf, isOlder, knowsSandbox, mysqlServer } from './client-choice.ts';

const TEXTS = {
  maria10: 'mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)',
  maria11: 'mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)',
  maria103: 'mysqldump  Ver 10.17 Distrib 10.3.39-MariaDB, for debian-linux-gnu (x86_64)',
  mysql57: 'mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)',
  mysql80: 'mysqldump  Ver 8.0.36-0ubuntu0.22.04.1 for Linux on x86_64 ((Ubuntu))',
  mysql84: 'mysqldump  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)',
  percona:
    'mysqldump  Ver 8.0.35-27 for Linux on x86_64 (Percona Server (GPL), Release 27, Revision 2f8eeab)',
};
const found = (...names: (keyof typeof TEXTS)[]) =>
  names.map((name) => ({
    name: TEXTS[name].split(' ')[0]!,
    path: `/opt/${name}/bin`,
    versionText: TEXTS[name],
  }));

it.each([
  ['maria10', 'MariaDB', '10.11.19'],
  ['maria11', 'MariaDB', '11.4.2'],
  ['maria103', 'MariaDB', '10.3.39'],
  ['mysql57', 'MySQL', '5.7.44'],
  ['mysql80', 'MySQL', '8.0.36'],
  ['mysql84', 'MySQL', '8.4.3'],
  ['percona', 'MySQL', '8.0.35'],
] as const)('reads what %s says of itself', (name, product, version) => {
  expect(clientOf(found(name)[0]!)).toMatchObject({ product, version });
});

it.each([
  ['mysql  Ver 14.14 Distrib 5.7.44, for Linux (x86_64) using  EditLine wrapper', 'MySQL', '5.7.44'],
  ['mysql  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)', 'MariaDB', '10.11.19'],
  ['mariadb from 11.4.2-MariaDB, client 15.2 for Linux (x86_64) using EditLine', 'MariaDB', '11.4.2'],
])('reads "%s"', (versionText, product, version) => {
  expect(clientOf({ name: 'mysql', path: '/x', versionText })).toMatchObject({ product, version });
});

it('knows no version of what is no client', () => {
  expect(clientOf({ name: 'mysqldump', path: '/x', versionText: '' })).toBeUndefined();
});

it.each([
  ['10.11.19-MariaDB-0+deb12u1', 'Debian 12', 'MariaDB', '10.11.19'],
  ['5.5.5-10.6.18-MariaDB', '', 'MariaDB', '10.6.18'],
  ['10.6.12', 'managed by https://aws.amazon.com/rds/ MariaDB', 'MariaDB', '10.6.12'],
  ['8.0.36-28', 'Percona Server (GPL)', 'MySQL', '8.0.36'],
  ['5.7.44-log', 'MySQL Community Server (GPL)', 'MySQL', '5.7.44'],
])('knows the server %s', (version, comment, product, plain) => {
  expect(mysqlServer(version, comment)).toEqual({ product, version: plain });
});

it.each([
  ['10.11.19', 'MariaDB', ['mysql84', 'maria103', 'maria10', 'maria11'], '10.11.19'],
  ['10.11.25', 'MariaDB', ['maria10'], '10.11.19'],
  ['10.6.1', 'MariaDB', ['maria11', 'maria10'], '11.4.2'],
  ['8.0.40', 'MySQL', ['maria11', 'mysql57', 'percona'], '8.0.35'],
  ['5.7.44', 'MySQL', ['mysql84'], '8.4.3'],
] as const)('of a server %s of %s the first that fits', (version, product, names, chosen) => {
  expect(chooseClient({ product, version }, found(...names), 'dump').version).toBe(chosen);
});

it('says what there is and what is needed where none fits', () => {
  expect(() =>
    chooseClient({ product: 'MySQL', version: '8.4.3' }, found('maria11', 'mysql80'), 'dump'),
  ).toThrow(
    expect.objectContaining({
      code: 'CHECK_FAILED',
      message:
        'Cannot dump with a client that fits MySQL 8.4.3: found /opt/maria11/bin (MariaDB 11.4.2), /opt/mysql80/bin (MySQL 8.0.36)',
      hint: expect.stringContaining('install mysqldump of MySQL 8.4 or newer'),
    }),
  );
});

it('compares versions by number', () => {
  expect(isOlder('9.1.0', '10.0')).toBe(true);
  expect(isOlder('10.11.2', '10.11')).toBe(false);
  expect(isOlder('10.6.17', '10.6.18')).toBe(true);
});

it.each([
  ['MariaDB', '10.6.17', false],
  ['MariaDB', '10.6.18', true],
  ['MariaDB', '10.11.19', true],
  ['MariaDB', '10.4.34', false],
  ['MariaDB', '11.3.2', false],
  ['MariaDB', '12.1.0', true],
  ['MySQL', '8.4.3', false],
] as const)('%s %s knows the sandbox line: %s', (product, version, knows) => {
  expect(knowsSandbox({ name: 'mariadb', path: '/x', product, version })).toBe(knows);
});
