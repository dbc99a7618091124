/** What rows are told by. */

import { expect, test } from 'vitest';
import type { CatalogueColumn, SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { RowsByKey } from './rows-by-key.ts';

const column = (name: string, generated = false): CatalogueColumn => ({
  name,
  typeOid: 23,
  typeModifier: -1,
  typeName: 'integer',
  typeKind: 'b',
  number: 1,
  notNull: true,
  toastable: false,
  generated,
});

const table: SourceTable = {
  oid: 1,
  schema: 'public',
  name: 't',
  partitioned: false,
  leaves: [],
  columns: [column('a'), column('b'), column('g', true)],
  primaryKey: ['a', 'g'],
  replicaIdentity: 'f',
  identityColumns: [],
  canSelect: true,
  isOwner: true,
  rowsEstimate: 0,
};

test('a key with a generated column, which changes leave out, says nothing of a row: the whole of it does', () => {
  using rows = new RowsByKey(table);
  for (const b of ['1', '2', '3']) rows.put({ a: '1', b });
  for (const b of ['2', '4', '3']) rows.match({ a: '1', b });
  rows.tellLeft();
  expect(rows.differences.listed.map(({ what }) => what)).toEqual(['only in the table', 'only in the files']);
});
