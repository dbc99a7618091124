import { expect, test } from 'vitest';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { auroraGrants, databaseGrants } from './grants.ts';

test('three policies of a cluster, within what IAM takes', () => {
  const { policies, sql } = auroraGrants('arn:aws:rds:eu-central-1:123456789012:cluster:shop');
  expect(sql).toEqual([]);
  for (const policy of Object.values(policies!)) {
    expect(JSON.stringify(policy).length).toBeLessThan(6_144);
    expect(JSON.stringify(policy)).not.toContain('"rds:*"');
  }
  expect(JSON.stringify(policies!.sweep)).not.toContain('CreateStack');
  expect(JSON.stringify(policies!.build)).not.toContain('Delete');
  expect(() => auroraGrants('shop')).toThrow('not the ARN of an Aurora cluster');
});

test('names are quoted as the engine quotes them', () => {
  const postgres = parseDatabaseUrl('postgres://me@db/my%22shop', {});
  const { sql } = databaseGrants(postgres, postgres, 'cloner');
  expect(sql[0]!.statements[0]).toBe('GRANT CONNECT ON DATABASE "my""shop" TO "cloner";');
  const mariadb = parseDatabaseUrl('mariadb://me@db/my%60shop', {});
  expect(databaseGrants(mariadb, mariadb, 'cloner').sql[0]!.statements[0]).toContain(
    'ON `my``shop`.* TO `cloner`@',
  );
});
