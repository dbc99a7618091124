/**
 * Holds the files of a replication against what the writers told: each committed transaction once, in the order of
 * commits, its changes in their order, value by value; and the tables that come out against the tables.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataType, type Decimal, type Field, tableFromIPC } from 'apache-arrow';
import { readParquet } from 'parquet-wasm/node';
import type { PostgresTestDatabase } from '../servers/postgres.ts';
import { AUDITED_TABLES, type AuditedChange, type AuditedRow } from './audited-writer.ts';
import type { Lake } from './lake.ts';

export interface Audit {
  /** What does not hold; some of it. */
  readonly problems: readonly string[];
  readonly transactions: number;
  readonly changes: number;
  readonly rereads: number;
  readonly truncations: number;
  readonly schemas: number;
}

interface LandedChange {
  readonly table: string;
  readonly op: 'I' | 'U' | 'D' | 'T';
  readonly lsn: bigint;
  readonly ordinal: number;
  readonly xid: number;
  /** Columns of the table; empty for a truncation. */
  readonly row: AuditedRow;
  readonly reread: readonly string[];
}

const META = new Set(['Op', '_commit_lsn', '_ordinal', '_xid', '_commit_ts', '_reread', '_unfit']);
const PROBLEMS_MAX = 20;

export async function audit(lake: Lake, database: PostgresTestDatabase): Promise<Audit> {
  const problems: string[] = [];
  const tell = (problem: string): void => {
    if (problems.length < PROBLEMS_MAX) problems.push(problem);
  };
  checkListing(lake, tell);
  const landed = readChanges(lake, tell);
  const committed = await readAudit(database);
  const loaded = new Set(loadedRows(lake, 'log').map((row) => String(row['xid'])));
  const transactions = [...Map.groupBy(landed, ({ lsn }) => lsn).values()];
  compareTransactions(transactions, committed, { loaded, fromLsn: placesOf(lake) }, tell);
  for (const table of Object.keys(AUDITED_TABLES)) await compareTable(lake, landed, table, database, tell);
  return {
    problems,
    transactions: transactions.length,
    changes: landed.length,
    rereads: landed.filter(({ reread }) => reread.length > 0).length,
    truncations: landed.filter(({ op }) => op === 'T').length,
    schemas: new Set(lake.manifests().flatMap(({ schemas }) => Object.keys(schemas))).size,
  };
}

type Tell = (problem: string) => void;

/** What a reader lists is what the manifests name, each file once; epochs follow one another. */
function checkListing(lake: Lake, tell: Tell): void {
  const epochs = lake.manifests();
  const named = epochs.flatMap(({ files }) => files.map(({ key }) => key)).sort();
  const [listed, known] = [new Set(lake.listed()), new Set(named)];
  for (const key of listed) if (!known.has(key)) tell(`${key} is listed and in no manifest`);
  for (const [i, key] of named.entries()) {
    if (!listed.has(key)) tell(`${key} is in a manifest and not there`);
    if (named[i - 1] === key) tell(`${key} is in two manifests`);
  }
  for (const [i, { epoch, fromLsn }] of epochs.entries()) {
    if (epoch !== i) tell(`epoch ${epoch} stands at ${i}`);
    if (i > 0 && fromLsn !== epochs[i - 1]!.toLsn) tell(`epoch ${epoch} begins at ${fromLsn}`);
  }
}

function readChanges(lake: Lake, tell: Tell): LandedChange[] {
  const all: LandedChange[] = [];
  for (const { kind, epoch, files, events, fromLsn, toLsn } of lake.manifests()) {
    if (kind !== 'changes') continue;
    const [low, high] = [lsnOf(fromLsn), lsnOf(toLsn)];
    const last = new Map<string, LandedChange>();
    for (const { key, table, rows } of files) {
      const changes = rowTexts(lake, key).map((row) => changeOf(table, row));
      if (changes.length !== rows) tell(`${key} has ${changes.length} rows and not ${rows}`);
      for (const change of changes) {
        const before = last.get(table);
        if (before !== undefined && compare(before, change) >= 0)
          tell(`${key} is out of order at ${placeOf(change)}`);
        if (change.lsn < low || change.lsn >= high) tell(`${placeOf(change)} is not of epoch ${epoch}`);
        last.set(table, change);
        all.push(change);
      }
    }
    for (const event of events) {
      if (event.kind !== 'truncate') continue;
      const { table, ordinal } = event;
      all.push({ table, op: 'T', lsn: lsnOf(event.lsn), ordinal, xid: 0, row: {}, reread: [] });
    }
  }
  all.sort(compare);
  for (const [i, change] of all.entries()) {
    if (i > 0 && compare(all[i - 1]!, change) === 0) tell(`${placeOf(change)} is there twice`);
  }
  return all;
}

function changeOf(table: string, texts: AuditedRow): LandedChange {
  const row = Object.fromEntries(Object.entries(texts).filter(([name]) => !META.has(name)));
  return {
    table,
    op: texts['Op'] as LandedChange['op'],
    lsn: BigInt(texts['_commit_lsn']!),
    ordinal: Number(texts['_ordinal']),
    xid: Number(texts['_xid']),
    row,
    reread: texts['_reread']?.split(',') ?? [],
  };
}

async function readAudit(
  database: PostgresTestDatabase,
): Promise<{ xid: number; changes: AuditedChange[] }[]> {
  const rows = await database.sql(
    'SELECT writer, xid::float8 AS xid, tbl AS "table", op, before, after FROM audit.changes ORDER BY n',
  );
  const groups = Map.groupBy(rows as unknown as AuditedChange[], ({ xid }) => xid);
  return [...groups].map(([xid, changes]) => ({ xid, changes }));
}

/** Where the changes of each table begin: a load that died may have read them under several snapshots. */
function placesOf(lake: Lake): ReadonlyMap<string, bigint> {
  const [first] = lake.manifests();
  return new Map(first!.tables.map(({ name, fromLsn }) => [name, lsnOf(fromLsn)]));
}

/** Each transaction once, as far as its tables were not loaded with it; those of one writer in the order in which it made them. */
function compareTransactions(
  landed: readonly LandedChange[][],
  committed: readonly { readonly xid: number; readonly changes: readonly AuditedChange[] }[],
  {
    loaded,
    fromLsn,
  }: { readonly loaded: ReadonlySet<string>; readonly fromLsn: ReadonlyMap<string, bigint> },
  tell: Tell,
): void {
  const byXid = new Map(committed.map((transaction) => [transaction.xid, transaction.changes]));
  const seen = new Set<number>();
  for (const changes of landed) {
    const { xid, lsn } = changes.find(({ op }) => op !== 'T')!;
    const expected = byXid.get(xid)?.filter(({ table }) => lsn >= fromLsn.get(table)!) ?? [];
    if (expected.length === 0) {
      tell(`transaction ${xid} was landed and did not commit, or is in the full load too`);
      continue;
    }
    if (seen.has(xid)) tell(`transaction ${xid} is there twice`);
    seen.add(xid);
    compareChanges(xid, changes, expected.flatMap(expectedOf), tell);
  }
  for (const writer of new Set(committed.map(({ changes }) => changes[0]!.writer))) {
    const followed = (xid: number): boolean =>
      byXid.get(xid)![0]!.writer === writer && !loaded.has(String(xid));
    const made = committed.map(({ xid }) => xid).filter(followed);
    const got = [...seen].filter(followed);
    const at = made.findIndex((xid, i) => got[i] !== xid);
    if (at >= 0) tell(`of writer ${writer} transaction ${made[at]} should follow, and ${got[at]} does`);
  }
}

interface ExpectedChange {
  readonly table: string;
  readonly op: LandedChange['op'];
  /** Undefined for a truncation. */
  readonly row: AuditedRow | undefined;
  /** The row before, of an update. */
  readonly before: AuditedRow | undefined;
}

/** What a change becomes: a deletion holds the key alone where there is one; an update of the key is two changes. */
function expectedOf({ table, op, before, after }: AuditedChange): ExpectedChange[] {
  const key = AUDITED_TABLES[table]!;
  const gone = (row: AuditedRow): ExpectedChange => {
    const kept = Object.entries(row).map(([name, value]) => [
      name,
      key.length === 0 || key.includes(name) ? value : null,
    ]);
    return { table, op: 'D', row: Object.fromEntries(kept), before: undefined };
  };
  if (op === 'TRUNCATE') return [{ table, op: 'T', row: undefined, before: undefined }];
  if (op === 'INSERT') return [{ table, op: 'I', row: after!, before: undefined }];
  if (op === 'DELETE') return [gone(before!)];
  const moved = key.length === 0 || key.some((name) => before![name] !== after![name]);
  if (!moved) return [{ table, op: 'U', row: after!, before: before! }];
  return [gone(before!), { table, op: 'I', row: after!, before: before! }];
}

function compareChanges(
  xid: number,
  landed: readonly LandedChange[],
  expected: readonly ExpectedChange[],
  tell: Tell,
): void {
  if (landed.length !== expected.length)
    tell(`transaction ${xid} has ${landed.length} changes and not ${expected.length}`);
  for (const [i, change] of landed.entries()) {
    const wanted = expected[i];
    if (wanted === undefined) return;
    const where = `${placeOf(change)} of transaction ${xid}`;
    if (change.table !== wanted.table || change.op !== wanted.op) {
      tell(`${where} is ${change.op} and not ${wanted.op} of ${wanted.table}`);
      return;
    }
    if (wanted.row === undefined) continue;
    const names = new Set([...Object.keys(wanted.row), ...Object.keys(change.row)]);
    for (const name of names) {
      const [got, want] = [change.row[name], wanted.row[name]];
      if (change.reread.includes(name)) {
        // What was not sent did not change, and may have changed until it was read.
        if (want == null || wanted.before?.[name] !== want)
          tell(`${where} was sent ${name}, and read it again`);
      } else if (got !== want) tell(`${where} has ${name} ${brief(got)} and not ${brief(want)}`);
    }
  }
}

/** Applies everything, and compares with the table as it is now. */
async function compareTable(
  lake: Lake,
  landed: readonly LandedChange[],
  table: string,
  database: PostgresTestDatabase,
  tell: Tell,
): Promise<void> {
  const key = AUDITED_TABLES[table]!;
  const keyOf = (row: AuditedRow): string =>
    JSON.stringify((key.length > 0 ? key : Object.keys(row).sort()).map((name) => row[name]));
  const state = new Map<string, { row: AuditedRow; count: number }>();
  const put = (row: AuditedRow): void => {
    const at = keyOf(row);
    state.set(at, { row, count: key.length > 0 ? 1 : (state.get(at)?.count ?? 0) + 1 });
  };
  const take = (row: AuditedRow): void => {
    const found = state.get(keyOf(row));
    if (found === undefined) tell(`${table}: ${brief(keyOf(row))} goes and was not there`);
    else if (--found.count === 0) state.delete(keyOf(row));
  };
  for (const row of loadedRows(lake, table)) put(row);
  for (const { table: of, op, row, reread } of landed) {
    if (of !== table) continue;
    if (op === 'T') state.clear();
    else if (op === 'D') take(row);
    else {
      // What could not be read again is as it was.
      const old = state.get(keyOf(row))?.row;
      const kept = reread.filter((name) => row[name] === null).map((name) => [name, old?.[name] ?? null]);
      put({ ...row, ...Object.fromEntries(kept) });
    }
  }
  const rows = await database.sql(`SELECT audit.texts(to_jsonb(t)) AS row FROM ${table} t`);
  for (const { row } of rows as { row: AuditedRow }[]) {
    const found = state.get(keyOf(row));
    if (found === undefined) {
      tell(`${table}: ${brief(keyOf(row))} is missing`);
      continue;
    }
    if (--found.count === 0) state.delete(keyOf(row));
    for (const [name, value] of Object.entries(row)) {
      const got = found.row[name];
      if (got !== value)
        tell(`${table}: ${brief(keyOf(row))} has ${name} ${brief(got)} and not ${brief(value)}`);
    }
  }
  for (const at of state.keys()) tell(`${table}: ${brief(at)} is there and should not`);
}

function loadedRows(lake: Lake, table: string): AuditedRow[] {
  return lake
    .manifests()
    .filter(({ kind }) => kind === 'full-load')
    .flatMap(({ files }) =>
      files.filter((file) => file.table === table).flatMap(({ key }) => rowTexts(lake, key)),
    );
}

/** Rows as PostgreSQL writes their values. */
function rowTexts(lake: Lake, key: string): AuditedRow[] {
  const table = tableFromIPC(readParquet(readFileSync(join(lake.folder, key))).intoIPCStream());
  const columns = table.schema.fields.map((field) => ({ field, vector: table.getChild(field.name)! }));
  return Array.from({ length: table.numRows }, (_, row) =>
    Object.fromEntries(columns.map(({ field, vector }) => [field.name, textOf(field, vector.get(row))])),
  );
}

function textOf({ type }: Field, value: unknown): string | null {
  if (value === null) return null;
  return DataType.isDecimal(type) ? decimalText(type, value as Uint32Array) : String(value);
}

/** Of 128 bits in words, the lowest first. */
function decimalText({ scale }: Decimal, words: Uint32Array): string {
  let bits = 0n;
  for (const [i, word] of words.entries()) bits |= BigInt(word) << BigInt(32 * i);
  const unscaled = BigInt.asIntN(128, bits);
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function lsnOf(text: string): bigint {
  const [high, low] = text.split('/').map((part) => BigInt(`0x${part}`));
  return (high! << 32n) | low!;
}

function compare(a: LandedChange, b: LandedChange): number {
  if (a.lsn !== b.lsn) return a.lsn < b.lsn ? -1 : 1;
  return a.ordinal - b.ordinal;
}

const placeOf = ({ table, lsn, ordinal }: LandedChange): string =>
  `${table} at ${lsn.toString(16)}:${ordinal}`;

function brief(value: string | null | undefined): string {
  return value == null ? String(value) : JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
}
