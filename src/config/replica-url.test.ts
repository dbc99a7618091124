/** URLs of replicas: a DuckDB database and the folder beside it, or a store. */

import { expect, test } from 'vitest';
import { parseReplicaUrl } from './replica-url.ts';

test('a DuckDB database has its store beside it', () => {
  expect(parseReplicaUrl('duckdb:///data/my%20shop.duckdb')).toEqual({
    store: { kind: 'files', folder: '/data/my shop.duckdb.longshore/', prefix: '' },
    duckdb: '/data/my shop.duckdb',
  });
});

test('everything else is the URL of a store', () => {
  expect(parseReplicaUrl('s3://lake/shop/')).toMatchObject({
    store: { kind: 's3', bucket: 'lake', prefix: 'shop/' },
    duckdb: undefined,
  });
  expect(parseReplicaUrl('file:///lake/')).toMatchObject({ store: { kind: 'files', folder: '/lake/' } });
});

test.each([
  ['duckdb:shop.duckdb', 'a path begins with a slash'],
  ['duckdb:///data/', 'it names a folder'],
  ['duckdb:///data/a.duckdb?threads=2', 'it has no options'],
  ['duckdb://host/a.duckdb', 'host'],
  ['ftp://host/', 'a store URL begins with s3:// or file://'],
])('%s is refused', (url, why) => {
  expect(() => parseReplicaUrl(url)).toThrow(why);
});
