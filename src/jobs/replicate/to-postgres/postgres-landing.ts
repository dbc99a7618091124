/**
 * Lands changes in another PostgreSQL: gathers them, applies them in one transaction, and moves the checkpoint in the same
 * one, so that each change is there once, whatever dies and when.
 *
 * Where triggers and foreign keys of the target can be silenced, tables do not depend on one another inside of a
 * transaction: changes are gathered by table, and each row is written once with what its changes come to. Where they
 * cannot, changes are applied one after another in the order of the source.
 *
 * What is gathered is applied, uncommitted, whenever there is enough of it, while more comes in; so memory is bounded also
 * where one transaction of the source is large.
 */

import type pg from 'pg';
import { postgresError } from '../../../databases/postgres/errors.ts';
import { type Lsn, parseLsn } from '../../../databases/postgres/lsn.ts';
import { eachField, FIELD, type Relation, type Tuple } from '../../../databases/postgres/pgoutput.ts';
import { waitUntilSeen } from '../../../databases/postgres/replication-setup.ts';
import { quotedTable } from '../../../databases/postgres/table-catalogue.ts';
import type { Failpoint } from '../../../flow/failpoint.ts';
import type { ReplicateListener } from '../events.ts';
import { type FencedTable, isOf } from '../fences.ts';
import type { ChangeLanding, Landed, LandingEnd, Transaction } from '../landing.ts';
import { RowApplier, type RowChange } from './apply-rows.ts';
import { changeColumns, unclearColumns } from './change-columns.ts';
import { columnChanges } from './column-changes.ts';
import { type NetRow, NetRows, type Values } from './net-rows.ts';
import { namedColumns, readJobColumns } from './source-columns.ts';
import {
  addStatistics,
  type JobTable,
  moveCheckpoint,
  NOT_LOADED,
  noCounts,
  type TableCounts,
  type TargetState,
} from './target-state.ts';
import { readTargetTable, type TargetTable } from './target-table.ts';
import { truncateTables } from './truncate-tables.ts';

export interface PostgresLandingOptions {
  readonly job: string;
  readonly state: TargetState;
  /** Reads the catalogue, with an empty search path. */
  readonly source: pg.ClientBase;
  /** Does nothing else. */
  readonly target: pg.ClientBase;
  /** The database, for errors. */
  readonly database: string;
  /** Whether triggers and foreign keys of the target are silent. */
  readonly replica: boolean;
  readonly emit: ReplicateListener;
  readonly failpoint: Failpoint;
}

/** So much is given to the target at once. */
const APPLIED_BYTES = 4 * 1024 ** 2;
/** What a change costs besides its values. */
const CHANGE_BYTES = 100;

/** A table of the relation that changes are of at present. */
interface OpenTable {
  readonly table: TargetTable;
  /** Where rows have a key and the order among tables is of no meaning. */
  readonly net: NetRows | undefined;
  readonly counts: TableCounts;
}

/** What is applied at once. */
type Step =
  | { readonly table: TargetTable; readonly rows: readonly NetRow[] }
  | { readonly table: TargetTable; readonly changes: readonly RowChange[] };

export class PostgresLanding implements ChangeLanding {
  readonly #options: PostgresLandingOptions;
  readonly #rows: RowApplier;
  readonly #open = new Map<number, OpenTable>();
  /** Of tables whose changes are applied in their order: without a key, or where the order among tables counts. */
  #ordered: { readonly table: TargetTable; readonly change: RowChange }[] = [];
  #tables: readonly JobTable[];
  #epoch: number;
  #tablesChanged = false;
  /** Gathered, and not being applied. */
  #gathered = 0;
  /** Given since the last landing. */
  #given = 0;
  #begun = false;
  #applying: Promise<void> = Promise.resolve();

  constructor(options: PostgresLandingOptions) {
    this.#options = options;
    this.#rows = new RowApplier(options.target, options.replica);
    this.#tables = options.state.tables;
    this.#epoch = options.state.epoch;
  }

  get bytes(): number {
    return this.#given;
  }

  async begun(): Promise<undefined> {
    return undefined;
  }

  /** What the columns were before the table was loaded is of no meaning; the first change that is wanted asks for them. */
  relation(relation: Relation, _: Relation | undefined, transaction: Transaction): Promise<void> | undefined {
    const known = this.#tables.find((table) => isOf(relation, table))!;
    if (transaction.commitLsn >= parseLsn(known.fromLsn)) return this.#learn(relation, transaction);
    this.#open.delete(relation.oid);
    return undefined;
  }

  async #learn(relation: Relation, transaction: Transaction): Promise<void> {
    const known = this.#tables.find((table) => isOf(relation, table))!;
    await this.#settled();
    const counts = this.#open.get(relation.oid)?.counts ?? noCounts();
    if (await this.#learnColumns(relation, known, transaction.xid)) {
      counts.ddls++;
      counts.lastLsn = transaction.commitLsn;
    }
    const table = await this.#within('read its catalogue', () =>
      readTargetTable(this.#options.target, relation),
    );
    const keyed = this.#options.replica && table.key.length > 0;
    this.#open.set(relation.oid, {
      table,
      net: keyed ? new NetRows(table.key) : undefined,
      counts,
    });
  }

  insert(relation: Relation, after: Tuple, transaction: Transaction): Promise<void> | undefined {
    const open = this.#open.get(relation.oid);
    if (open === undefined)
      return this.#learn(relation, transaction).then(() => this.insert(relation, after, transaction));
    const values = this.#valuesOf(after);
    if (open.net === undefined) this.#inOrder(open.table, { kind: 'insert', values });
    else open.net.insert(values);
    open.counts.inserts++;
    return this.#counted(open, transaction.commitLsn);
  }

  update(
    relation: Relation,
    before: Tuple | undefined,
    beforeIs: 'key' | 'row' | undefined,
    after: Tuple,
    transaction: Transaction,
  ): Promise<void> | undefined {
    const open = this.#open.get(relation.oid);
    if (open === undefined)
      return this.#learn(relation, transaction).then(() =>
        this.update(relation, before, beforeIs, after, transaction),
      );
    const { commitLsn } = transaction;
    const { table, net } = open;
    const old = before === undefined ? undefined : this.#valuesOf(before);
    const values = this.#valuesOf(after);
    // What the update did not send the old row has, or its key.
    if (old !== undefined)
      for (const [i, value] of values.entries())
        if (value === undefined && (old[i] !== null || relation.replicaIdentity === 'f')) values[i] = old[i];
    open.counts.updates++;
    const key = keyOf(table, old ?? values);
    if (table.key.length === 0) this.#inOrder(table, { kind: 'whole-row', before: old!, after: values });
    else if (net === undefined) this.#inOrder(table, { kind: 'update', key, values });
    else if (sameKey(key, keyOf(table, values))) net.update(values);
    else if (!net.move(old!, values)) return this.#moveRow(open, key, values, commitLsn);
    return this.#counted(open, commitLsn);
  }

  delete(
    relation: Relation,
    before: Tuple,
    beforeIs: 'key' | 'row',
    transaction: Transaction,
  ): Promise<void> | undefined {
    const open = this.#open.get(relation.oid);
    if (open === undefined)
      return this.#learn(relation, transaction).then(() =>
        this.delete(relation, before, beforeIs, transaction),
      );
    const { table, net, counts } = open;
    const old = this.#valuesOf(before);
    if (table.key.length === 0) this.#inOrder(table, { kind: 'whole-row', before: old, after: undefined });
    else if (net === undefined) this.#inOrder(table, { kind: 'delete', key: keyOf(table, old) });
    else net.delete(old);
    counts.deletes++;
    return this.#counted(open, transaction.commitLsn);
  }

  async truncate(
    relations: readonly Relation[],
    how: { readonly cascade: boolean; readonly restartIdentity: boolean },
    transaction: Transaction,
  ): Promise<void> {
    await this.#settled();
    for (const relation of relations) {
      if (!this.#open.has(relation.oid)) await this.#learn(relation, transaction);
      const { counts } = this.#open.get(relation.oid)!;
      counts.truncations++;
      counts.lastLsn = transaction.commitLsn;
    }
    this.#given += CHANGE_BYTES;
    const tables = relations.map(({ oid }) => this.#open.get(oid)!.table);
    await this.#begin();
    await this.#within('truncate tables', () => truncateTables(this.#options.target, tables, how));
  }

  /** What it is changed by from here on is not applied: it is loaded again. */
  leave({ oid }: FencedTable): void {
    this.#tables = this.#tables.map((table) =>
      table.oid === oid ? { ...table, fromLsn: NOT_LOADED } : table,
    );
    this.#tablesChanged = true;
  }

  /**
   * What is left is applied → the checkpoint is moved, in the same transaction (a crash: nothing of it is there) → commit
   * (a crash: all of it is) → confirmed to the server by the caller (a crash: sent again from the checkpoint).
   */
  async land({ lsn, commitMicros }: LandingEnd, signal: AbortSignal): Promise<Landed> {
    const { target, job, failpoint } = this.#options;
    const bytes = this.#given;
    await this.#settled();
    signal.throwIfAborted();
    await this.#begin();
    failpoint('changes-applied');
    const tables = this.#tables.filter(({ untilLsn }) => untilLsn === undefined || parseLsn(untilLsn) > lsn);
    this.#tablesChanged ||= tables.length < this.#tables.length;
    await this.#within('move the checkpoint', async () => {
      await moveCheckpoint(target, job, {
        epoch: this.#epoch + 1,
        lsn,
        lastCommitMicros: commitMicros,
        tables: this.#tablesChanged ? tables : undefined,
      });
      const touched = [...this.#open.values()].filter(({ counts }) => counts.lastLsn !== undefined);
      await addStatistics(
        target,
        job,
        touched.map(({ table, counts }) => [table, counts] as const),
      );
      for (const { counts } of touched) Object.assign(counts, noCounts());
      await target.query('COMMIT');
    });
    failpoint('landed');
    this.#begun = false;
    this.#tablesChanged = false;
    this.#tables = tables;
    this.#epoch++;
    this.#given = 0;
    return { epoch: this.#epoch, files: 0, bytes };
  }

  #inOrder(table: TargetTable, change: RowChange): void {
    this.#ordered.push({ table, change });
  }

  #counted({ counts }: OpenTable, commitLsn: Lsn): Promise<void> | undefined {
    counts.lastLsn = commitLsn;
    return this.#gathered >= APPLIED_BYTES ? this.#hand() : undefined;
  }

  /** An update of the key that did not send every value: only the row itself has them. */
  async #moveRow({ table, counts }: OpenTable, key: Values, values: Values, commitLsn: Lsn): Promise<void> {
    counts.lastLsn = commitLsn;
    await this.#settled();
    await this.#begin();
    await this.#within(`write ${table.plainText}`, () =>
      this.#rows.applyInOrder(table, [{ kind: 'update', key, values }]),
    );
  }

  /** Gives what is gathered to the target. @returns when what was given before is applied */
  async #hand(): Promise<void> {
    const steps = this.#take();
    const before = this.#applying;
    this.#applying = before.then(() => this.#apply(steps));
    // It is thrown by the next call that waits.
    this.#applying.catch(() => undefined);
    await before;
  }

  /** Applies everything that was given. */
  async #settled(): Promise<void> {
    await this.#hand();
    await this.#applying;
  }

  #take(): Step[] {
    this.#gathered = 0;
    const steps: Step[] = [];
    for (const { table, net } of this.#open.values())
      if (net !== undefined && net.size > 0) steps.push({ table, rows: net.take() });
    const ordered = this.#ordered;
    this.#ordered = [];
    // Changes of one table that follow one another.
    for (let at = 0; at < ordered.length; ) {
      const { table } = ordered[at]!;
      let end = at + 1;
      while (end < ordered.length && ordered[end]!.table === table) end++;
      steps.push({ table, changes: ordered.slice(at, end).map(({ change }) => change) });
      at = end;
    }
    return steps;
  }

  async #apply(steps: readonly Step[]): Promise<void> {
    if (steps.length === 0) return;
    await this.#begin();
    for (const step of steps) {
      await this.#within(`write ${step.table.plainText}`, () =>
        'rows' in step
          ? this.#rows.applyNet(step.table, step.rows)
          : this.#rows.applyInOrder(step.table, step.changes),
      );
    }
  }

  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    const { target, replica } = this.#options;
    await this.#within('begin', async () => {
      await target.query('BEGIN');
      if (!replica) await target.query('SET CONSTRAINTS ALL DEFERRED');
    });
  }

  /** Makes the columns of the target what changes are of from now on. @returns whether they were others */
  async #learnColumns(relation: Relation, known: JobTable, xid: number): Promise<boolean> {
    const { source, target, emit } = this.#options;
    await waitUntilSeen(source, xid);
    const now = await namedColumns(source, relation);
    const catalogue = (await readJobColumns(source, [relation.oid])).get(relation.oid)!;
    const found = columnChanges(
      known.columns,
      now,
      new Map(catalogue.map(({ name, number }) => [name, number])),
    );
    if ('unclear' in found) throw unclearColumns(relation, found.unclear);
    if (found.changes.length === 0) return false;
    await this.#begin();
    const notices = await this.#within(`change the columns of ${quotedTable(known)}`, () =>
      changeColumns(source, target, relation, found.changes),
    );
    for (const text of notices) emit({ type: 'notice', text });
    this.#tables = this.#tables.map((table) =>
      table === known ? { ...known, columns: [...found.columns] } : table,
    );
    this.#tablesChanged = true;
    this.#given += CHANGE_BYTES;
    return true;
  }

  #valuesOf({ bytes, at, fields }: Tuple): Values {
    const values: Values = new Array<string | null | undefined>(fields);
    const end = eachField({ bytes, at, fields }, (index, mark, from, length) => {
      if (mark === FIELD.text) values[index] = bytes.toString('utf8', from, from + length);
      else values[index] = mark === FIELD.null ? null : undefined;
    });
    this.#gathered += end - at + CHANGE_BYTES;
    this.#given += end - at + CHANGE_BYTES;
    return values;
  }

  async #within<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { database } = this.#options;
      throw postgresError(error, {
        action: `${action} in ${database}, in the changes after epoch ${this.#epoch}`,
        database,
        user: undefined,
      });
    }
  }
}

function keyOf({ key }: TargetTable, values: Values): Values {
  return key.map((place) => values[place]);
}

function sameKey(one: Values, other: Values): boolean {
  return one.every((value, i) => value === other[i]);
}
