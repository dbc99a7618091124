import { expect, test } from 'vitest';
import { type ServerFacts, serverProblems } from './replication-setup.ts';

const GOOD: ServerFacts = {
  pooled: false,
  systemId: '7300000000000000001',
  databaseOid: 16384,
  encoding: 'UTF8',
  version: 150018,
  walLevel: 'logical',
  slotsFree: 1,
  sendersFree: 1,
  mayReplicate: true,
  slotWalMax: undefined,
  inRecovery: false,
  walLsn: 0n,
};

const whats = (facts: Partial<ServerFacts>, follows = true) =>
  serverProblems({ ...GOOD, ...facts }, follows).map(({ what }) => what);

test('a server that is fit has no problem', () => {
  expect(whats({})).toEqual([]);
});

test('each thing that is missing is said, all at once', () => {
  expect(
    whats({
      pooled: true,
      encoding: 'SQL_ASCII',
      version: 110022,
      walLevel: 'replica',
      slotsFree: 0,
      sendersFree: 0,
      mayReplicate: false,
      inRecovery: true,
    }),
  ).toEqual([
    'the server is older than PostgreSQL 12',
    'the URL leads to a pooler of connections',
    'the database has the encoding SQL_ASCII: nothing says what characters its bytes are',
    'the server is a standby',
    'wal_level is replica',
    'the role may not replicate',
    'no replication slot is free',
    'no WAL sender is free',
  ]);
});

test('a load that no change follows needs neither log nor slot, and may read a standby', () => {
  expect(whats({ walLevel: 'minimal', slotsFree: 0, mayReplicate: false, inRecovery: true }, false)).toEqual(
    [],
  );
  expect(whats({ pooled: true }, false)).toHaveLength(1);
});

test('each problem has its fix', () => {
  for (const { fix } of serverProblems({ ...GOOD, walLevel: 'replica', slotsFree: 0 }, true))
    expect(fix).not.toBe('');
});
