/** Lands changes as Parquet files: gathers them by table, fills in what updates did not send, and lands epochs. */

import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import {
  eachField,
  FIELD,
  type Relation,
  sameColumns,
  type Tuple,
} from '../../databases/postgres/pgoutput.ts';
import { LongshoreError } from '../../errors.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import { type ChangePlace, ChangeTable, type Op } from './change-table.ts';
import { landEpoch, readPending } from './epoch.ts';
import { type FencedTable, isOf } from './fences.ts';
import type { LoadTarget } from './full-load.ts';
import type { ChangeLanding, Landed, LandingEnd, Transaction } from './landing.ts';
import type { Manifest, ManifestEvent, ManifestPlace, ManifestTable } from './manifest.ts';
import type { ManifestSink } from './manifest-sink.ts';
import { changeSchemaId } from './schema-id.ts';
import type { ReplicateSettings } from './settings.ts';
import { columnProblem } from './table-problems.ts';
import type { TableRegistry } from './table-registry.ts';
import { UnsentValues } from './unsent-values.ts';

export interface LakeLandingOptions {
  readonly settings: ReplicateSettings;
  /** The newest manifest. */
  readonly checkpoint: Manifest;
  readonly place: ManifestPlace;
  readonly target: LoadTarget;
  readonly registry: TableRegistry;
  /** Throws where another process has the job, or has landed that epoch. */
  readonly checkOurs: (epoch: number) => Promise<void>;
  /** Takes the rows further, before a landing is done. */
  readonly sink?: ManifestSink | undefined;
  readonly failpoint: Failpoint;
}

interface OpenTable {
  readonly changes: ChangeTable;
  readonly unsent: UnsentValues;
}

/** Of all tables together, where more of it is written. */
const MEMORY_BYTES_MAX = 96 * 1024 ** 2;
/** Changes between two looks at it. */
const LOOK_CHANGES = 256;

export class LakeLanding implements ChangeLanding, AsyncDisposable {
  readonly #options: LakeLandingOptions;
  readonly #tables = new Map<number, OpenTable>();
  /** Of this epoch, of columns that are others now. */
  readonly #closed: OpenTable[] = [];
  #checkpoint: Manifest;
  /** The tables of the job with the columns that they have now. */
  #described: readonly ManifestTable[];
  #events: ManifestEvent[] = [];
  /** The transaction of the last change of the epoch. */
  #last: Transaction | undefined;
  #added = 0;

  constructor(options: LakeLandingOptions) {
    this.#options = options;
    this.#checkpoint = options.checkpoint;
    this.#described = options.checkpoint.tables;
  }

  /** The newest manifest. */
  get checkpoint(): Manifest {
    return this.#checkpoint;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { changes, unsent } of this.#tables.values()) bytes += changes.bytes + unsent.bytes;
    for (const { changes } of this.#closed) bytes += changes.bytes;
    return bytes;
  }

  async begun(signal: AbortSignal): Promise<Lsn | undefined> {
    const pending = await readPending(this.#options.place, this.#checkpoint.epoch + 1, signal);
    return pending === undefined ? undefined : parseLsn(pending.toLsn);
  }

  relation(relation: Relation, before: Relation | undefined, transaction: Transaction): Promise<void> {
    return this.#relation(relation, before, transaction);
  }

  insert(relation: Relation, after: Tuple, transaction: Transaction): Promise<void> | undefined {
    return this.#add(relation, 'I', after, undefined, transaction);
  }

  /** Another key is another row: the old one goes, the new one comes. */
  update(
    relation: Relation,
    before: Tuple | undefined,
    beforeIs: 'key' | 'row' | undefined,
    after: Tuple,
    transaction: Transaction,
  ): Promise<void> | undefined {
    const moved = before !== undefined && (beforeIs === 'key' || this.#keyChanged(relation, before, after));
    if (!moved) return this.#add(relation, 'U', after, before, transaction);
    const insert = (): Promise<void> | undefined => this.#add(relation, 'I', after, before, transaction);
    const deleted = this.#add(relation, 'D', before, undefined, transaction);
    return deleted === undefined ? insert() : deleted.then(insert);
  }

  delete(
    relation: Relation,
    before: Tuple,
    _: 'key' | 'row',
    transaction: Transaction,
  ): Promise<void> | undefined {
    return this.#add(relation, 'D', before, undefined, transaction);
  }

  truncate(
    relations: readonly Relation[],
    { cascade }: { readonly cascade: boolean },
    transaction: Transaction,
  ): undefined {
    this.#last = transaction;
    for (const relation of relations)
      this.#event('truncate', relation, transaction, cascade ? 'cascade' : undefined);
  }

  leave({ oid, schema, name }: FencedTable, transaction: Transaction): void {
    this.#described = this.#described.filter((table) => table.oid !== oid);
    this.#event('table-removed', { schema, table: name }, transaction, undefined);
  }

  async land({ lsn, commitMicros }: LandingEnd, signal: AbortSignal): Promise<Landed> {
    const { place, target, settings, registry, failpoint } = this.#options;
    const open = [...this.#closed, ...this.#tables.values()];
    for (const { unsent } of open) await unsent.flush();
    const before = this.#checkpoint;
    // A table that left has no more changes from here on.
    this.#described = this.#described.filter(
      ({ untilLsn }) => untilLsn === undefined || parseLsn(untilLsn) > lsn,
    );
    this.#checkpoint = await landEpoch(
      place,
      target,
      {
        before,
        toLsn: lsn,
        lastCommitMicros: commitMicros,
        lastChange: this.#last,
        events: this.#events,
        tables: this.#described,
      },
      open.map(({ changes }) => changes),
      {
        datePartition: settings.datePartition,
        typesOf: (table) => registry.typesOf(table.relation),
        checkOurs: () => this.#options.checkOurs(before.epoch + 1),
        failpoint,
      },
      signal,
    );
    this.#described = this.#checkpoint.tables;
    this.#tables.clear();
    this.#closed.length = 0;
    this.#events = [];
    await registry.learnKeys();
    this.#last = undefined;
    await this.#options.sink?.take(this.#checkpoint);
    const { epoch, files } = this.#checkpoint;
    return { epoch, files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  /** Gives up what is not landed. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { changes } of [...this.#closed, ...this.#tables.values()])
      await changes[Symbol.asyncDispose]();
  }

  async #relation(relation: Relation, before: Relation | undefined, transaction: Transaction): Promise<void> {
    const { registry } = this.#options;
    await registry.learn(relation, transaction.xid);
    const open = this.#tables.get(relation.oid);
    const isSame =
      before !== undefined &&
      sameColumns(before, relation) &&
      open?.changes.identity.join('\0') === registry.identityOf(relation).join('\0');
    if (before !== undefined && open !== undefined && !isSame) {
      await open.unsent.flush();
      await open.changes.writeAndShrink();
      this.#closed.push(open);
      this.#tables.delete(relation.oid);
    }
    const schemaId = changeSchemaId(registry.mappingsOf(relation).map(({ column }) => column));
    const known = this.#described.find((table) => isOf(relation, table));
    // One that left the job may still be spoken of.
    if (known === undefined || known.schemaId === schemaId) return;
    this.#described = this.#described.map((table) => (table === known ? { ...known, schemaId } : table));
    this.#event('schema', relation, transaction, relation.columns.map(({ name }) => name).join(', '));
  }

  /** @param before the old row, or as much as is known of it */
  #add(
    relation: Relation,
    op: Op,
    tuple: Tuple,
    before: Tuple | undefined,
    transaction: Transaction,
  ): Promise<void> | undefined {
    const { changes, unsent } = this.#tables.get(relation.oid) ?? this.#open(relation);
    this.#last = transaction;
    const { commitLsn, commitMicros, xid } = transaction;
    const place: ChangePlace = { commitLsn, commitMicros, xid, ordinal: transaction.ordinal++ };
    let waits: Promise<void> | undefined;
    if (unsent.takes(op, tuple, before)) waits = unsent.add(op, tuple, before, place);
    else {
      changes.add(op, tuple, before, [], place);
      if (changes.isFull) waits = changes.write();
    }
    return waits ?? (++this.#added % LOOK_CHANGES === 0 ? this.#makeRoom() : undefined);
  }

  /** A table is written when it is large; many tables may be large together. */
  #makeRoom(): Promise<void> | undefined {
    const bytesOf = ({ changes, unsent }: OpenTable): number => changes.memoryBytes + unsent.bytes;
    let bytes = 0;
    for (const table of this.#tables.values()) bytes += bytesOf(table);
    return bytes < MEMORY_BYTES_MAX ? undefined : this.#writeLargest(bytes, bytesOf);
  }

  async #writeLargest(bytesBefore: number, bytesOf: (table: OpenTable) => number): Promise<void> {
    let bytes = bytesBefore;
    const largest = [...this.#tables.values()].map((table) => ({ table, size: bytesOf(table) }));
    largest.sort((one, other) => other.size - one.size);
    for (const { table, size } of largest) {
      if (bytes < MEMORY_BYTES_MAX / 2) return;
      await table.unsent.flush();
      await table.changes.writeAndShrink();
      bytes -= size;
    }
  }

  #open(relation: Relation): OpenTable {
    const { registry, settings, target, place } = this.#options;
    checkColumns(relation, settings.timestampColumn);
    const changes = new ChangeTable(relation, registry.mappingsOf(relation), registry.isToastable(relation), {
      identity: registry.identityOf(relation),
      folder: target.folder,
      compression: settings.compression,
      maxFileSize: settings.maxFileSize,
      timestampColumn: settings.timestampColumn,
    });
    const earlier = this.#closed
      .map((table) => table.changes)
      .filter(({ relation: { oid } }) => oid === relation.oid);
    const landed = target.transient === true ? undefined : place;
    const unsent = new UnsentValues(changes, registry, landed, target.folder, earlier);
    const open = { changes, unsent };
    this.#tables.set(relation.oid, open);
    return open;
  }

  #event(
    kind: ManifestEvent['kind'],
    { schema, table }: Pick<Relation, 'schema' | 'table'>,
    transaction: Transaction,
    detail: string | undefined,
  ): void {
    this.#events.push({
      kind,
      schema,
      table,
      lsn: formatLsn(transaction.commitLsn),
      ordinal: transaction.ordinal++,
      ...(detail === undefined ? {} : { detail }),
    });
  }

  /**
   * With the whole old row at hand the key columns are those of the primary key. Without one, only the whole old row
   * says which row it was.
   */
  #keyChanged(relation: Relation, before: Tuple, after: Tuple): boolean {
    const identity = this.#options.registry.identityOf(relation);
    if (identity.length === 0) return true;
    const keys = relation.columns.flatMap(({ name }, i) => (identity.includes(name) ? [i] : []));
    const values = (tuple: Tuple): (string | undefined)[] => {
      const found: (string | undefined)[] = [];
      eachField(tuple, (index, mark, at, length) => {
        if (keys.includes(index))
          found.push(mark === FIELD.text ? tuple.bytes.toString('latin1', at, at + length) : undefined);
      });
      return found;
    };
    const [old, now] = [values(before), values(after)];
    return old.some((value, i) => now[i] !== undefined && now[i] !== value);
  }
}

/** Columns may come into a table that is followed. @throws CHECK_FAILED where a file cannot have them beside one another */
function checkColumns({ schema, table: name, columns }: Relation, timestampColumn: string | undefined): void {
  const problem = columnProblem({ schema, name, columns }, timestampColumn);
  if (problem === undefined) return;
  throw new LongshoreError('CHECK_FAILED', problem.what, {
    hint: `${problem.fix}; then --resync '${schema}.${name}' loads the table again, or '*.*' everything where it has left the job`,
  });
}
