/** What a replication needs of a server: checked, made, and taken away again. */

import type pg from 'pg';
import { LongshoreError, messageOf } from '../../errors.ts';
import { isGone } from './errors.ts';
import { type Lsn, parseLsn } from './lsn.ts';
import { quoteName } from './sql.ts';
import { quotedTable } from './table-catalogue.ts';

export interface ServerFacts {
  /** Whether something between us and the server hands connections out, which replication cannot go through. */
  readonly pooled: boolean;
  /** Of the cluster: another one after a restore elsewhere. */
  readonly systemId: string;
  /** Of the database. */
  readonly databaseOid: number;
  /** Of the database: `UTF8`. */
  readonly encoding: string;
  /** As `server_version_num`: 150018. */
  readonly version: number;
  readonly walLevel: string;
  readonly slotsFree: number;
  readonly sendersFree: number;
  readonly mayReplicate: boolean;
  /** Bytes of the log that a slot may keep; undefined for any number. */
  readonly slotWalMax: number | undefined;
  /** A standby cannot export what a full load needs. */
  readonly inRecovery: boolean;
  readonly walLsn: Lsn;
}

export async function serverFacts(client: pg.Client): Promise<ServerFacts> {
  const { rows } = await client.query<Record<string, string | boolean | number>>(FACTS);
  const row = rows[0]!;
  return {
    // A pooler makes up the process that it tells its clients of.
    pooled:
      Number(row['backend_pid']) !== (client as pg.Client & { readonly processID: number | null }).processID,
    systemId: String(row['system_id']),
    databaseOid: Number(row['database_oid']),
    encoding: String(row['encoding']),
    version: Number(row['version']),
    walLevel: String(row['wal_level']),
    slotsFree: Number(row['slots_free']),
    sendersFree: Number(row['senders_free']),
    mayReplicate: row['may_replicate'] === true,
    slotWalMax: Number(row['slot_wal_max_mb']) < 0 ? undefined : Number(row['slot_wal_max_mb']) * 1024 ** 2,
    inRecovery: row['in_recovery'] === true,
    walLsn: parseLsn(String(row['wal_lsn'])),
  };
}

const FACTS = `
SELECT pg_backend_pid() AS backend_pid, (SELECT system_identifier::text FROM pg_control_system()) AS system_id,
       (SELECT oid::int8::float8 FROM pg_database WHERE datname = current_database()) AS database_oid,
       current_setting('server_encoding') AS encoding,
       current_setting('server_version_num')::int AS version, current_setting('wal_level') AS wal_level,
       current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots)::int AS slots_free,
       current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication)::int AS senders_free,
       (SELECT rolreplication OR rolsuper OR EXISTS (
          SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication' AND pg_has_role(current_user, r.oid, 'member'))
        FROM pg_roles WHERE rolname = current_user) AS may_replicate,
       coalesce((SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), -1)::text AS slot_wal_max_mb,
       pg_is_in_recovery() AS in_recovery,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text AS wal_lsn`;

const VERSION_MIN = 120000;

export interface Problem {
  readonly what: string;
  readonly fix: string;
}

/** What keeps a replication from starting. @param follows whether changes are followed, which needs a slot */
export function serverProblems(facts: ServerFacts, follows: boolean): Problem[] {
  const problems: Problem[] = [];
  const add = (is: boolean, what: string, fix: string): void => {
    if (is) problems.push({ what, fix });
  };
  add(facts.version < VERSION_MIN, 'the server is older than PostgreSQL 12', 'update it');
  add(
    facts.pooled,
    'the URL leads to a pooler of connections',
    'give the host and port of the server itself',
  );
  add(
    facts.encoding === 'SQL_ASCII',
    'the database has the encoding SQL_ASCII: nothing says what characters its bytes are',
    'make a database with the encoding of its texts, and load a dump of this one into it',
  );
  if (!follows) return problems;
  add(facts.inRecovery, 'the server is a standby', 'name the primary');
  add(
    facts.walLevel !== 'logical',
    `wal_level is ${facts.walLevel}`,
    "ALTER SYSTEM SET wal_level = 'logical' and restart the server (on RDS: rds.logical_replication = 1)",
  );
  add(
    !facts.mayReplicate,
    'the role may not replicate',
    'ALTER ROLE … REPLICATION (on RDS: GRANT rds_replication TO …)',
  );
  add(
    facts.slotsFree < 1,
    'no replication slot is free',
    'raise max_replication_slots, or drop a slot that nobody uses',
  );
  add(facts.sendersFree < 1, 'no WAL sender is free', 'raise max_wal_senders');
  return problems;
}

/** @throws CHECK_FAILED for the first problem */
export function checkServer(facts: ServerFacts, name: string, follows: boolean): void {
  const [first] = serverProblems(facts, follows);
  if (first !== undefined)
    throw new LongshoreError('CHECK_FAILED', `${name}: ${first.what}`, { hint: first.fix });
}

export interface SlotState {
  readonly active: boolean;
  /** Where it is of another database of the server: its name. */
  readonly elsewhere: string | undefined;
  readonly confirmedLsn: Lsn | undefined;
  readonly plugin: string;
  readonly lost: boolean;
  /** Bytes of the log that the slot keeps. */
  readonly retainedBytes: number;
  /** How many more may be written before the server gives the slot up; undefined where it never does. */
  readonly safeBytes: number | undefined;
  /** Where the log ends. */
  readonly walLsn: Lsn;
}

/** Undefined where there is none of that name. */
export async function slotState(client: pg.ClientBase, slot: string): Promise<SlotState | undefined> {
  const { rows } = await client.query<Record<string, string | boolean | null>>(
    `SELECT active, CASE WHEN database <> current_database() THEN database END AS elsewhere, confirmed_flush_lsn::text AS confirmed, plugin, to_jsonb(s) ->> 'wal_status' AS wal_status,
            coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::text AS retained,
            to_jsonb(s) ->> 'safe_wal_size' AS safe, pg_current_wal_lsn()::text AS wal_lsn
     FROM pg_replication_slots s WHERE slot_name = $1`,
    [slot],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    active: row['active'] === true,
    elsewhere: row['elsewhere'] === null ? undefined : String(row['elsewhere']),
    confirmedLsn: row['confirmed'] === null ? undefined : parseLsn(String(row['confirmed'])),
    plugin: String(row['plugin']),
    lost: row['wal_status'] === 'lost',
    retainedBytes: Number(row['retained']),
    safeBytes: row['safe'] === null ? undefined : Number(row['safe']),
    walLsn: parseLsn(String(row['wal_lsn'])),
  };
}

export interface CreatedSlot {
  /** Changes of transactions that commit after this come through the slot; the snapshot has all others. */
  readonly consistentLsn: Lsn;
  readonly snapshot: string;
}

/**
 * @param client of a session that speaks the replication protocol; the snapshot lives until its next command
 * @param temporary whether the slot goes with the session
 */
export async function createSlot(
  client: pg.ClientBase,
  slot: string,
  temporary = false,
): Promise<CreatedSlot> {
  const { rows } = await client.query<{ consistent_point: string; snapshot_name: string }>(
    `CREATE_REPLICATION_SLOT ${quoteName(slot)} ${temporary ? 'TEMPORARY ' : ''}LOGICAL pgoutput EXPORT_SNAPSHOT`,
  );
  const { consistent_point: point, snapshot_name: snapshot } = rows[0]!;
  return { consistentLsn: parseLsn(point), snapshot };
}

/**
 * Makes a slot from which changes are read. While one is made, the server does not see what transactions commit that
 * alter tables, and would decode later changes as if these were as before: columns are lost in silence. A slot that was
 * made beside such a transaction is dropped and made again.
 * @param client as that of {@link createSlot}
 * @param watch of another session, to the same database
 * @throws DATABASE_CONFLICT where tables are altered again and again
 */
export async function createSoundSlot(
  client: pg.ClientBase,
  watch: pg.ClientBase,
  slot: string,
): Promise<CreatedSlot> {
  for (let attempt = 1; attempt <= SLOT_ATTEMPTS; attempt++) {
    const before = await catalogueState(watch);
    const created = await createSlot(client, slot);
    if ((await catalogueState(watch)) === before) return created;
    await client.query(`DROP_REPLICATION_SLOT ${quoteName(slot)}`);
  }
  throw new LongshoreError(
    'DATABASE_CONFLICT',
    `tables were altered each time that the slot ${slot} was made, ${SLOT_ATTEMPTS} times`,
    { hint: 'start again when nobody makes or alters tables' },
  );
}

const SLOT_ATTEMPTS = 30;

/** What decoding reads of the catalogue, as one text that is another after each change. Not temporary tables: they are not decoded. */
async function catalogueState(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ state: string }>(CATALOGUE_STATE);
  return rows[0]!.state;
}

const CATALOGUE_STATE = `
WITH r AS (SELECT oid, xmin, ctid FROM pg_class WHERE relpersistence <> 't' AND oid >= 16384)
SELECT concat_ws(' ',
  (SELECT md5(string_agg(concat_ws(' ', oid, xmin, ctid), ',' ORDER BY oid)) FROM r),
  (SELECT md5(string_agg(concat_ws(' ', a.attrelid, a.attnum, a.xmin, a.ctid), ',' ORDER BY a.attrelid, a.attnum))
   FROM pg_attribute a JOIN r ON r.oid = a.attrelid),
  (SELECT md5(string_agg(concat_ws(' ', i.indexrelid, i.xmin, i.ctid), ',' ORDER BY i.indexrelid))
   FROM pg_index i JOIN r ON r.oid = i.indrelid),
  (SELECT md5(string_agg(concat_ws(' ', t.oid, t.xmin, t.ctid), ',' ORDER BY t.oid))
   FROM pg_type t WHERE t.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relpersistence = 't')
     AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_type e ON e.typrelid = c.oid WHERE e.oid = t.typelem AND c.relpersistence = 't')),
  (SELECT md5(string_agg(concat_ws(' ', oid, xmin, ctid), ',' ORDER BY oid)) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'),
  (SELECT md5(string_agg(concat_ws(' ', oid, xmin, ctid), ',' ORDER BY oid)) FROM pg_publication),
  (SELECT md5(string_agg(concat_ws(' ', oid, xmin, ctid), ',' ORDER BY oid)) FROM pg_publication_rel)) AS state`;

/** Transactions that have written or may write, which a slot that is made waits for; the oldest first, as text. */
export async function openTransactions(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ text: string }>(`
    SELECT text FROM (
      SELECT format('process %s of %s (%s), %s since %s', pid, usename, application_name, state,
                    to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')) AS text, xact_start AS at
      FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
      UNION ALL SELECT format('prepared as %s by %s', quote_literal(gid), owner), prepared FROM pg_prepared_xacts) open
    ORDER BY at`);
  return rows.map(({ text }) => text);
}

/**
 * The server sends what commits a moment before others see it: until then the catalogue is that of before.
 * @param xid of a transaction that came through a slot
 */
export async function waitUntilSeen(client: pg.ClientBase, xid: number): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ seen: boolean }>(SEEN, [xid]);
    if (rows[0]!.seen) return;
  }
}

/** The number of a transaction wraps around; a snapshot has it with all its bits. */
const SEEN = `
SELECT txid_visible_in_snapshot(top - (((top - $1::int8 + 2147483648) & 4294967295) - 2147483648), snapshot) AS seen
FROM (SELECT txid_current_snapshot() AS snapshot, txid_snapshot_xmax(txid_current_snapshot()) AS top) now`;

/** Begins a transaction that sees what the snapshot sees. */
export async function beginUnderSnapshot(client: pg.ClientBase, snapshot: string): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await client.query(`SET TRANSACTION SNAPSHOT '${snapshot.replaceAll("'", "''")}'`);
}

/**
 * Makes the publication, or gives it exactly these tables.
 * @throws DATABASE_CONFLICT where one of them was dropped or renamed since it was looked up; the errors of the server
 */
export async function setPublication(
  client: pg.ClientBase,
  publication: string,
  tables: readonly { readonly schema: string; readonly name: string }[],
  version: number,
): Promise<void> {
  try {
    await publish(client, publication, tables, version);
  } catch (error) {
    if (!isGone(error)) throw error;
    throw new LongshoreError(
      'DATABASE_CONFLICT',
      `a table was dropped or renamed while it was published: ${messageOf(error)}`,
      { hint: 'run the same command again', cause: error },
    );
  }
}

async function publish(
  client: pg.ClientBase,
  publication: string,
  tables: readonly { readonly schema: string; readonly name: string }[],
  version: number,
): Promise<void> {
  const name = quoteName(publication);
  // Without ONLY, tables that inherit come along, and without an identity their updates would fail.
  const list = tables.map((table) => `ONLY ${quotedTable(table)}`).join(', ');
  const { rowCount } = await client.query('SELECT FROM pg_publication WHERE pubname = $1', [publication]);
  if (rowCount === 1) {
    await client.query(`ALTER PUBLICATION ${name} SET TABLE ${list}`);
    return;
  }
  const viaRoot = version >= 130000 ? ' WITH (publish_via_partition_root = true)' : '';
  await client.query(`CREATE PUBLICATION ${name} FOR TABLE ${list}${viaRoot}`);
}

/** After so long without a report the server ends a change stream on this session; undefined where it never does. */
export async function senderTimeoutMs(client: pg.ClientBase): Promise<number | undefined> {
  const { rows } = await client.query<{ ms: string }>(
    "SELECT setting AS ms FROM pg_settings WHERE name = 'wal_sender_timeout'",
  );
  const ms = Number(rows[0]?.ms ?? 0);
  return ms > 0 ? ms : undefined;
}

export interface Publication {
  /** Another one where it was dropped and made again. */
  readonly oid: number;
  /**
   * Tables that it says all of, by their oids: the oid of their entry, another one where a table was taken out and put in
   * again.
   */
  readonly entries: ReadonlyMap<number, number>;
}

/** Undefined where there is none of that name. */
export async function readPublication(
  client: pg.ClientBase,
  publication: string,
): Promise<Publication | undefined> {
  const { rows } = await client.query<{ oid: number; table: number | null; entry: number | null }>(
    `SELECT p.oid::int8::float8 AS oid, r.prrelid::int8::float8 AS table, r.oid::int8::float8 AS entry
     FROM pg_publication p LEFT JOIN pg_publication_rel r
       ON r.prpubid = p.oid AND coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') IS NULL
       AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
     WHERE p.pubname = $1`,
    [publication],
  );
  if (rows[0] === undefined) return undefined;
  const entries = rows.flatMap(({ table, entry }) =>
    table === null || entry === null ? [] : [[table, entry] as const],
  );
  return { oid: rows[0].oid, entries: new Map(entries) };
}

/** Takes slot and publication away, where they are there. */
export async function dropReplication(
  client: pg.ClientBase,
  slot: string,
  publication: string,
): Promise<void> {
  await client.query(
    'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()',
    [slot],
  );
  await client.query(`DROP PUBLICATION IF EXISTS ${quoteName(publication)}`);
}
