/**
 * Follows the change stream: gathers whole transactions into epochs, lands each, and only then confirms it to the
 * server.
 *
 * Messages are handled one after another. Where one has to wait (a file is written, a value is read, an epoch is
 * landed) the socket is paused and what came meanwhile is kept; the server is told in time that we live.
 */

import { join } from 'node:path';
import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import type { Session } from '../../databases/postgres/open-session.ts';
import {
  eachField,
  FIELD,
  type PgoutputMessage,
  type Relation,
  readPgoutput,
  type Tuple,
} from '../../databases/postgres/pgoutput.ts';
import { ReplicationStream } from '../../databases/postgres/replication-stream.ts';
import { LongshoreError } from '../../errors.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import { type ChangePlace, ChangeTable, type Op, type Reread } from './change-table.ts';
import { landEpoch, readPending } from './epoch.ts';
import type { ReplicateListener } from './events.ts';
import type { LoadTarget } from './full-load.ts';
import type { Manifest, ManifestEvent, ManifestPlace } from './manifest.ts';
import type { ReplicateSettings } from './settings.ts';
import { Spool } from './spool.ts';
import type { TableRegistry } from './table-registry.ts';

export interface FollowOptions {
  readonly settings: ReplicateSettings;
  readonly slot: string;
  readonly publication: string;
  /** Of the server. */
  readonly version: number;
  /** Everything up to here is in the files. */
  readonly checkpoint: Manifest;
  /** Ends when this is landed; follows until stopped where it is left out. */
  readonly until: Lsn | undefined;
  readonly place: ManifestPlace;
  readonly target: LoadTarget;
  readonly registry: TableRegistry;
  readonly emit: ReplicateListener;
  readonly failpoint: Failpoint;
  readonly nowMs: () => number;
}

const REPORT_MS = 5_000;
/** Without changes an epoch is landed as seldom as this. */
const IDLE_MS = 60_000;
/** An epoch is cut when so much is gathered, whatever the time. */
const EPOCH_FILES = 4;

interface OpenTransaction {
  readonly commitLsn: Lsn;
  readonly commitMicros: bigint;
  readonly xid: number;
  ordinal: number;
}

/** @throws the signal's reason when stopped, with every landed epoch confirmed */
export async function follow(session: Session, options: FollowOptions, signal: AbortSignal): Promise<void> {
  const follower = new Follower(options, signal);
  await follower.run(session);
}

class Follower {
  readonly #options: FollowOptions;
  readonly #signal: AbortSignal;
  readonly #relations = new Map<number, Relation>();
  readonly #tables = new Map<number, ChangeTable>();
  /** Tables of the epoch whose schema changed; their files are complete but for the end. */
  readonly #closed: ChangeTable[] = [];
  readonly #spools = new Map<number, Spool>();
  readonly #queue: Buffer[] = [];
  #stream: ReplicationStream | undefined;
  #handling = false;
  #stopped = false;
  #streamXid: number | undefined;
  #transaction: OpenTransaction | undefined;
  #epoch: number;
  #fromLsn: Lsn;
  #toLsn: Lsn;
  #lastCommitMicros: bigint | undefined;
  #events: ManifestEvent[] = [];
  #changes = 0;
  #sinceMs: number | undefined;
  #cutAt: Lsn | undefined;
  #idleLsn: Lsn = 0n;
  #landedMs: number;
  #end!: () => void;
  #fail!: (error: unknown) => void;

  constructor(options: FollowOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#epoch = options.checkpoint.epoch + 1;
    this.#fromLsn = parseLsn(options.checkpoint.toLsn);
    this.#toLsn = this.#fromLsn;
    this.#landedMs = options.nowMs();
  }

  async run(session: Session): Promise<void> {
    const { place, slot, publication, version, until, emit, nowMs } = this.#options;
    const pending = await readPending(place, this.#epoch, this.#signal);
    this.#cutAt = pending === undefined ? undefined : parseLsn(pending.toLsn);
    const ended = new Promise<void>((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    ended.catch(() => undefined);
    const stop = (): void => this.#fail(this.#signal.reason);
    this.#signal.addEventListener('abort', stop, { once: true });
    const streams = version >= 140000;
    const stream = new ReplicationStream(
      session.client,
      {
        slot,
        publication,
        from: this.#fromLsn,
        protocol: streams ? 2 : 1,
        binary: false,
        messages: false,
        onMessage: (bytes, at, end) => this.#take(bytes, at, end),
        onKeepalive: (walEnd) => this.#keepalive(walEnd),
      },
      nowMs,
    );
    this.#stream = stream;
    stream.done.then(
      () => this.#fail(new LongshoreError('DATABASE_UNREACHABLE', 'the server ended the change stream')),
      (error: unknown) => this.#fail(error),
    );
    emit({ type: 'following', fromLsn: formatLsn(this.#fromLsn) });
    const timer = setInterval(
      () => this.#tick(),
      Math.min(REPORT_MS, Math.max(50, this.#options.settings.every / 4)),
    );
    try {
      if (until !== undefined && this.#fromLsn >= until && this.#cutAt === undefined) return;
      await ended;
    } finally {
      this.#stopped = true;
      clearInterval(timer);
      this.#signal.removeEventListener('abort', stop);
      stream.end();
      for (const spool of this.#spools.values()) spool[Symbol.dispose]();
    }
  }

  #take(bytes: Buffer, at: number, end: number): void {
    if (this.#stopped) return;
    if (this.#handling) {
      this.#queue.push(Buffer.from(bytes.subarray(at, end)));
      return;
    }
    const waits = this.#handle(bytes, at, end);
    if (waits !== undefined) void this.#drain(waits);
  }

  /** Waits, then handles what came meanwhile. */
  async #drain(first: Promise<void>): Promise<void> {
    this.#handling = true;
    this.#stream?.pause();
    try {
      await first;
      for (let i = 0; i < this.#queue.length && !this.#stopped; i++) {
        const message = this.#queue[i]!;
        const waits = this.#handle(message, 0, message.byteLength);
        if (waits !== undefined) await waits;
      }
      this.#queue.length = 0;
      this.#handling = false;
      this.#stream?.resume();
    } catch (error) {
      if (!this.#stopped) this.#fail(error);
    }
  }

  /** @returns a promise where the next message has to wait */
  #handle(bytes: Buffer, at: number, end: number): Promise<void> | undefined {
    const streamXid = this.#streamXid;
    const code = bytes[at];
    // Between start and stop of a stream everything belongs to a transaction that is not committed yet.
    if (streamXid !== undefined && code !== STREAM_STOP) {
      if (code === ORIGIN) return undefined;
      this.#spools.get(streamXid)!.add(bytes.readUInt32BE(at + 1), bytes, at, end);
      return undefined;
    }
    const message = readPgoutput(bytes, at, end, false);
    switch (message.kind) {
      case 'stream-start':
        this.#streamXid = message.xid;
        if (!this.#spools.has(message.xid)) {
          const path = join(this.#options.target.folder, `transaction-${message.xid}.spool`);
          this.#spools.set(message.xid, new Spool(path));
        }
        return undefined;
      case 'stream-stop':
        this.#streamXid = undefined;
        return undefined;
      case 'stream-abort':
        return this.#abort(message.xid, message.subXid);
      case 'stream-commit':
        return this.#replay(message);
      default:
        return this.#apply(message);
    }
  }

  #abort(xid: number, subXid: number): undefined {
    const spool = this.#spools.get(xid);
    if (xid === subXid) {
      spool?.[Symbol.dispose]();
      this.#spools.delete(xid);
    } else spool?.abort(subXid);
  }

  async #replay(commit: Extract<PgoutputMessage, { kind: 'stream-commit' }>): Promise<void> {
    const { xid, commitLsn, commitMicros, endLsn } = commit;
    const spool = this.#spools.get(xid);
    this.#transaction = { commitLsn, commitMicros, xid, ordinal: 0 };
    for (const bytes of spool?.messages() ?? []) {
      const waits = this.#apply(readPgoutput(bytes, 0, bytes.byteLength, true));
      if (waits !== undefined) await waits;
    }
    spool?.[Symbol.dispose]();
    this.#spools.delete(xid);
    const waits = this.#committed(endLsn, commitMicros);
    if (waits !== undefined) await waits;
  }

  #apply(message: PgoutputMessage): Promise<void> | undefined {
    switch (message.kind) {
      case 'begin':
        this.#transaction = {
          commitLsn: message.commitLsn,
          commitMicros: message.commitMicros,
          xid: message.xid,
          ordinal: 0,
        };
        return undefined;
      case 'commit':
        return this.#committed(message.endLsn, message.commitMicros);
      case 'relation':
        return this.#relation(message.relation);
      case 'insert':
        return this.#change(message.oid, 'I', message.after, undefined);
      case 'update':
        return this.#update(message);
      case 'delete':
        return this.#change(message.oid, 'D', message.before, undefined);
      case 'truncate':
        for (const oid of message.oids) this.#event('truncate', oid, message.cascade ? 'cascade' : undefined);
        return undefined;
      default:
        return undefined;
    }
  }

  #update(message: Extract<PgoutputMessage, { kind: 'update' }>): Promise<void> | undefined {
    const { oid, before, beforeIs, after } = message;
    // Another key is another row: the old one goes, the new one comes.
    const moved = before !== undefined && (beforeIs === 'key' || this.#keyChanged(oid, before, after));
    if (!moved) return this.#change(oid, 'U', after, before);
    const first = this.#change(oid, 'D', before, undefined);
    if (first === undefined) return this.#change(oid, 'I', after, beforeIs === 'row' ? before : undefined);
    return first.then(() => this.#change(oid, 'I', after, beforeIs === 'row' ? before : undefined));
  }

  /**
   * With the whole old row at hand the key columns are those of the primary key. Without one, only the whole old row
   * says which row it was.
   */
  #keyChanged(oid: number, before: Tuple, after: Tuple): boolean {
    const keys = this.#options.registry.keyPlaces(this.#relationOf(oid));
    if (keys.length === 0) return true;
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

  #change(oid: number, op: Op, tuple: Tuple, before: Tuple | undefined): Promise<void> | undefined {
    const table = this.#tables.get(oid) ?? this.#openTable(oid);
    const transaction = this.#transaction!;
    const place = { ...transaction, ordinal: transaction.ordinal++ };
    const missing = op === 'D' ? [] : missingFields(table, tuple, before);
    if (missing.length > 0) return this.#reread(table, op, tuple, missing, place);
    table.add(op, tuple, before, [], place);
    return this.#added(table);
  }

  /** What an update left out, because it did not change it, is read from the table. */
  async #reread(
    table: ChangeTable,
    op: Op,
    tuple: Tuple,
    missing: readonly string[],
    place: ChangePlace,
  ): Promise<void> {
    const kept = { ...tuple, bytes: Buffer.from(tuple.bytes) };
    const values: Reread[] = await this.#options.registry.reread(table.relation, kept, missing);
    table.add(op, kept, undefined, values, place);
    await this.#added(table);
  }

  #added(table: ChangeTable): Promise<void> | undefined {
    this.#changes++;
    this.#sinceMs ??= this.#options.nowMs();
    return table.isFull ? table.write() : undefined;
  }

  #relationOf(oid: number): Relation {
    const relation = this.#relations.get(oid);
    if (relation !== undefined) return relation;
    throw new LongshoreError(
      'DATABASE_FAILED',
      `the change stream names a table (${oid}) that it did not describe`,
    );
  }

  #openTable(oid: number): ChangeTable {
    const relation = this.#relationOf(oid);
    const { registry, settings, target } = this.#options;
    const table = new ChangeTable(relation, registry.mappingsOf(relation), registry.isToastable(relation), {
      folder: target.folder,
      compression: settings.compression,
      maxFileSize: settings.maxFileSize,
      timestampColumn: settings.timestampColumn,
    });
    this.#tables.set(oid, table);
    return table;
  }

  async #relation(relation: Relation): Promise<void> {
    const before = this.#relations.get(relation.oid);
    await this.#options.registry.learn(relation);
    this.#relations.set(relation.oid, relation);
    const table = this.#tables.get(relation.oid);
    if (before !== undefined && sameColumns(before, relation)) return;
    if (table !== undefined) {
      await table.write();
      this.#closed.push(table);
      this.#tables.delete(relation.oid);
    }
    if (before !== undefined)
      this.#event('schema', relation.oid, relation.columns.map(({ name }) => name).join(', '));
  }

  #event(kind: ManifestEvent['kind'], oid: number, detail: string | undefined): void {
    const { schema, table } = this.#relationOf(oid);
    const transaction = this.#transaction;
    this.#events.push({
      kind,
      schema,
      table,
      lsn: formatLsn(transaction?.commitLsn ?? this.#toLsn),
      ordinal: transaction === undefined ? 0 : transaction.ordinal++,
      ...(detail === undefined ? {} : { detail }),
    });
    this.#sinceMs ??= this.#options.nowMs();
  }

  #committed(endLsn: Lsn, micros: bigint): Promise<void> | undefined {
    this.#transaction = undefined;
    this.#toLsn = endLsn;
    this.#lastCommitMicros = micros;
    return this.#shouldCut() ? this.#cut() : undefined;
  }

  /** Only between transactions. */
  #shouldCut(): boolean {
    if (this.#cutAt !== undefined) return this.#toLsn >= this.#cutAt;
    const { settings, until, nowMs } = this.#options;
    if (until !== undefined && this.#toLsn >= until) return true;
    if (this.#sinceMs === undefined) return false;
    if (nowMs() - this.#sinceMs >= settings.every) return true;
    let bytes = 0;
    for (const table of this.#tables.values()) bytes += table.bytes;
    return bytes >= EPOCH_FILES * settings.maxFileSize;
  }

  /** @param empty lands an epoch without changes too */
  async #cut(empty = false): Promise<void> {
    const { place, target, settings, registry, checkpoint, emit, until } = this.#options;
    const tables = [...this.#closed, ...this.#tables.values()];
    if (empty || this.#changes > 0 || this.#events.length > 0 || this.#cutAt !== undefined) {
      const manifest = await landEpoch(
        place,
        target,
        {
          epoch: this.#epoch,
          systemId: checkpoint.systemId,
          fromLsn: this.#fromLsn,
          toLsn: this.#toLsn,
          lastCommitMicros: this.#lastCommitMicros,
          events: this.#events,
        },
        tables,
        {
          datePartition: settings.datePartition,
          typesOf: (table) => registry.typesOf(table.relation),
          failpoint: this.#options.failpoint,
        },
        this.#signal,
      );
      this.#stream?.confirm(this.#toLsn);
      this.#options.failpoint('confirmed');
      emit({
        type: 'epoch-landed',
        epoch: this.#epoch,
        toLsn: manifest.toLsn,
        changes: this.#changes,
        files: manifest.files.length,
        bytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
        lagBytes: Math.max(0, Number((this.#stream?.walEnd ?? this.#toLsn) - this.#toLsn)),
      });
      this.#epoch++;
      this.#landedMs = this.#options.nowMs();
      this.#fromLsn = this.#toLsn;
    }
    this.#cutAt = undefined;
    this.#tables.clear();
    this.#closed.length = 0;
    this.#events = [];
    this.#changes = 0;
    this.#sinceMs = undefined;
    if (until !== undefined && this.#toLsn >= until) this.#end();
  }

  #tick(): void {
    if (this.#stream === undefined) return;
    this.#stream.report(true);
    if (this.#handling || !this.#idle || this.#cutAt !== undefined) return;
    const { nowMs, settings } = this.#options;
    if (this.#shouldCut()) void this.#drain(this.#cut());
    else if (this.#sinceMs === undefined && this.#idleLsn > this.#toLsn) {
      // The server may forget the log of others, too: an epoch without changes says that we have seen it.
      if (nowMs() - this.#landedMs < Math.max(settings.every, IDLE_MS)) return;
      this.#toLsn = this.#idleLsn;
      void this.#drain(this.#cut(true));
    }
  }

  get #idle(): boolean {
    return this.#transaction === undefined && this.#streamXid === undefined && this.#spools.size === 0;
  }

  /** Nothing is gathered and nothing is open: the log up to there concerns us no more. */
  #keepalive(walEnd: Lsn): void {
    const { until } = this.#options;
    if (this.#handling || !this.#idle || walEnd <= this.#toLsn) return;
    this.#idleLsn = walEnd;
    const wanted = this.#cutAt ?? until;
    if (wanted === undefined || walEnd < wanted) return;
    // Everything up to there has been sent.
    if (this.#cutAt !== undefined || this.#changes > 0 || this.#events.length > 0) {
      this.#toLsn = wanted;
      void this.#drain(this.#cut(true));
    } else this.#end();
  }
}

/** `E` */
const STREAM_STOP = 0x45;
/** `O` */
const ORIGIN = 0x4f;

/** Names of fields that the update did not send and the old row does not have. */
function missingFields(table: ChangeTable, tuple: Tuple, before: Tuple | undefined): string[] {
  const missing: string[] = [];
  const old: number[] = [];
  if (before !== undefined) eachField(before, (_, mark) => old.push(mark));
  eachField(tuple, (index, mark) => {
    if (mark === FIELD.unchanged && old[index] !== FIELD.text)
      missing.push(table.mappings[index]!.column.name);
  });
  return missing;
}

function sameColumns(one: Relation, other: Relation): boolean {
  return (
    one.columns.length === other.columns.length &&
    one.columns.every(({ name, typeOid, typeModifier }, i) => {
      const column = other.columns[i]!;
      return column.name === name && column.typeOid === typeOid && column.typeModifier === typeModifier;
    })
  );
}
