import { expect, it } from 'vitest';
import type { MysqlClient } from './client-choice.ts';
import { dumpFlags } from './dump-run.ts';

const flags = (
  product: MysqlClient['product'],
  version: string,
  content: 'everything' | 'rows' = 'everything',
) => dumpFlags({ name: 'dump', path: '/x', product, version }, content);

it('gives each program only options that it knows', () => {
  expect(flags('MariaDB', '10.11.19').filter((flag) => /gtid|statistics/.test(flag))).toEqual([]);
  expect(flags('MySQL', '5.7.44').filter((flag) => /gtid|statistics/.test(flag))).toEqual([
    '--set-gtid-purged=OFF',
  ]);
  expect(flags('MySQL', '8.0.36')).toEqual(
    expect.arrayContaining([
      '--set-gtid-purged=OFF',
      '--column-statistics=0',
      '--single-transaction',
      '--events',
    ]),
  );
});

it('leaves out what is not rows where only these are asked for', () => {
  const all = flags('MariaDB', '10.11.19', 'rows');
  expect(all).toContain('--skip-triggers');
  expect(all.filter((flag) => /^--(routines|events|triggers)$/.test(flag))).toEqual([]);
  expect(all).toContain('--hex-blob');
});
