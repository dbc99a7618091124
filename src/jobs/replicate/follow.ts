/**
 * Follows the change stream: gives whole transactions to where they land, has them landed in epochs, and only then
 * confirms them to the server.
 *
 * Messages are handled one after another. Where one has to wait (a file is written, a value is read, an epoch is
 * landed) the socket is paused and what came meanwhile is kept; the server is told in time that we live.
 */

import { join } from 'node:path';
import { formatLsn, type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import type { Session } from '../../databases/postgres/open-session.ts';
import {
  type PgoutputMessage,
  type Relation,
  readPgoutput,
  sameColumns,
} from '../../databases/postgres/pgoutput.ts';
import { senderTimeoutMs } from '../../databases/postgres/replication-setup.ts';
import { ReplicationStream } from '../../databases/postgres/replication-stream.ts';
import { LongshoreError } from '../../errors.ts';
import { type Clock, monotonicMs } from '../../flow/clock.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import type { ReplicateListener } from './events.ts';
import { type Fence, type FencedTable, fenceOf } from './fences.ts';
import type { ChangeLanding, Landed, Transaction } from './landing.ts';
import { Spool } from './spool.ts';

export interface FollowOptions {
  readonly slot: string;
  readonly publication: string;
  /** Of the server. */
  readonly version: number;
  /** Everything up to here is landed. */
  readonly fromLsn: Lsn;
  /** Of the job. */
  readonly tables: readonly FencedTable[];
  readonly landing: ChangeLanding;
  /** Milliseconds that changes are gathered before they are landed. */
  readonly every: number;
  /** An epoch is landed when about so much is gathered, whatever the time. */
  readonly epochBytes: number;
  /** Ends when this is landed; follows until stopped where it is left out. */
  readonly until: Lsn | undefined;
  /** Asked from time to time; what it says ends the following, with all that came before it landed. */
  readonly shouldEnd: () => Promise<boolean>;
  /** For transactions that are not committed yet. */
  readonly folder: string;
  readonly emit: ReplicateListener;
  readonly failpoint: Failpoint;
  readonly clock: Clock;
}

const REPORT_MS = 5_000;
const TICK_MS_MIN = 50;
/** Without changes an epoch is landed as seldom as this. */
const IDLE_MS = 60_000;
/** How often it is asked whether to end. */
const ASK_MS = 30_000;

/**
 * @returns why it ended: everything up to `until` is landed, or it was asked to
 * @throws the signal's reason when stopped, with every landed epoch confirmed
 */
export async function follow(
  session: Session,
  options: FollowOptions,
  signal: AbortSignal,
): Promise<'reached' | 'asked'> {
  const follower = new Follower(options, signal);
  await follower.run(session);
  return follower.reached ? 'reached' : 'asked';
}

class Follower {
  readonly #options: FollowOptions;
  readonly #signal: AbortSignal;
  readonly #relations = new Map<number, Relation>();
  /** Of the tables of the job; changes of others are passed over. */
  readonly #fences = new Map<number, Fence>();
  readonly #spools = new Map<number, Spool>();
  /** Oids of tables that have another name for a while: what they are changed by then is in no file. */
  readonly #renamed = new Set<number>();
  readonly #queue: Buffer[] = [];
  #stream: ReplicationStream | undefined;
  #handling = false;
  #stopped = false;
  #streamXid: number | undefined;
  #transaction: Transaction | undefined;
  #landedLsn: Lsn;
  #toLsn: Lsn;
  #lastCommitMicros: bigint | undefined;
  #changes = 0;
  #sinceMs: number | undefined;
  #cutAt: Lsn | undefined;
  #idleLsn: Lsn = 0n;
  #landing: Promise<Landed> | undefined;
  #landedMs: number;
  #askedMs: number;
  #ending = false;
  #reached = false;
  #end!: () => void;
  #fail!: (error: unknown) => void;

  constructor(options: FollowOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#landedLsn = options.fromLsn;
    this.#toLsn = options.fromLsn;
    this.#landedMs = this.#nowMs();
    this.#askedMs = this.#landedMs;
  }

  /** Whether everything up to `until` is landed. */
  get reached(): boolean {
    return this.#reached;
  }

  async run(session: Session): Promise<void> {
    const { landing, slot, publication, version, until, emit, clock, every } = this.#options;
    this.#cutAt = await landing.begun(this.#signal);
    const timeoutMs = (await senderTimeoutMs(session.client)) ?? Number.POSITIVE_INFINITY;
    const ended = new Promise<void>((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    ended.catch(() => undefined);
    const stop = (): void => this.#fail(this.#signal.reason);
    this.#signal.addEventListener('abort', stop, { once: true });
    const stream = new ReplicationStream(
      session.client,
      {
        slot,
        publication,
        from: this.#toLsn,
        protocol: version >= STREAMS_FROM ? 2 : 1,
        onMessage: (bytes, at, end) => this.#take(bytes, at, end),
        onKeepalive: (walEnd) => this.#keepalive(walEnd),
      },
      () => clock.now(),
    );
    this.#stream = stream;
    stream.done.then(
      () => this.#fail(new LongshoreError('DATABASE_UNREACHABLE', 'the server ended the change stream')),
      (error: unknown) => this.#fail(error),
    );
    emit({ type: 'following', fromLsn: formatLsn(this.#toLsn) });
    const timer = setInterval(
      () => this.#tick(),
      Math.max(TICK_MS_MIN, Math.min(REPORT_MS, every / 4, timeoutMs / 4)),
    );
    try {
      if (until !== undefined && this.#toLsn >= until && this.#cutAt === undefined) this.#reached = true;
      else await ended;
    } finally {
      this.#stopped = true;
      clearInterval(timer);
      this.#signal.removeEventListener('abort', stop);
      stream.end();
      for (const spool of this.#spools.values()) spool[Symbol.dispose]();
      // Nobody may begin the same epoch again while this one still writes it.
      await this.#landing?.catch(() => undefined);
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
          const path = join(this.#options.folder, `transaction-${message.xid}.spool`);
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
      case 'begin': {
        const { commitLsn, commitMicros, xid } = message;
        this.#transaction = { commitLsn, commitMicros, xid, ordinal: 0 };
        return undefined;
      }
      case 'commit':
        return this.#committed(message.endLsn, message.commitMicros);
      case 'relation':
        return this.#relation(message.relation);
      case 'insert': {
        const relation = this.#relationOf(message.oid);
        const fence = this.#fences.get(message.oid);
        const transaction = this.#transaction!;
        if (fence?.wants(transaction.commitLsn, message.after) !== true) return undefined;
        this.#counted();
        return this.#options.landing.insert(relation, message.after, transaction);
      }
      case 'update':
        return this.#update(message);
      case 'delete': {
        const relation = this.#relationOf(message.oid);
        const fence = this.#fences.get(message.oid);
        const transaction = this.#transaction!;
        if (fence?.wants(transaction.commitLsn, message.before) !== true) return undefined;
        this.#counted();
        return this.#options.landing.delete(relation, message.before, message.beforeIs, transaction);
      }
      case 'truncate': {
        const transaction = this.#transaction!;
        const relations = message.oids
          .filter((oid) => {
            const fence = this.#fences.get(oid);
            const { commitLsn } = transaction;
            return fence !== undefined && commitLsn >= fence.wholeFrom && commitLsn < fence.until;
          })
          .map((oid) => this.#relationOf(oid));
        if (relations.length === 0) return undefined;
        this.#sinceMs ??= this.#nowMs();
        return this.#options.landing.truncate(relations, message, transaction);
      }
      default:
        return undefined;
    }
  }

  #update(message: Extract<PgoutputMessage, { kind: 'update' }>): Promise<void> | undefined {
    const { oid, before, beforeIs, after } = message;
    const relation = this.#relationOf(oid);
    const fence = this.#fences.get(oid);
    if (fence === undefined) return undefined;
    const transaction = this.#transaction!;
    const { landing } = this.#options;
    const wantsNew = fence.wants(transaction.commitLsn, after);
    const wantsOld = before === undefined ? wantsNew : fence.wants(transaction.commitLsn, before);
    if (!wantsOld && !wantsNew) return undefined;
    this.#counted();
    if (wantsOld && wantsNew) return landing.update(relation, before, beforeIs, after, transaction);
    // The row went from a range of keys to another one, which was loaded before or after that.
    if (wantsOld) return landing.delete(relation, before!, beforeIs!, transaction);
    return landing.insert(relation, after, transaction);
  }

  #counted(): void {
    this.#changes++;
    this.#sinceMs ??= this.#nowMs();
  }

  #relationOf(oid: number): Relation {
    const relation = this.#relations.get(oid);
    if (relation !== undefined) return relation;
    throw new LongshoreError(
      'DATABASE_FAILED',
      `the change stream names a table (${oid}) that it did not describe`,
    );
  }

  #relation(relation: Relation): Promise<void> | undefined {
    const { oid } = relation;
    const before = this.#relations.get(oid);
    const fence = this.#renamed.has(oid) ? undefined : fenceOf(this.#options.tables, relation);
    this.#relations.set(oid, relation);
    if (fence === undefined) {
      this.#fences.delete(oid);
      const { commitLsn } = this.#transaction!;
      const left = this.#options.tables.find((table) => table.oid === oid && table.untilLsn === undefined);
      if (left === undefined || parseLsn(left.fromLsn) > commitLsn || this.#renamed.has(oid))
        return undefined;
      // Under its own name again it would be followed as if nothing were missing: it has to be loaded again.
      this.#renamed.add(oid);
      this.#ending = true;
      this.#sinceMs ??= this.#nowMs();
      this.#options.landing.leave(left, this.#transaction!);
      return undefined;
    }
    this.#fences.set(oid, fence);
    const isSame = before !== undefined && sameColumns(before, relation);
    // Where all columns are the identity, a key that came or went shows in none of them.
    if (isSame && relation.replicaIdentity !== 'f') return undefined;
    if (before !== undefined && !isSame) this.#sinceMs ??= this.#nowMs();
    return this.#options.landing.relation(relation, before, this.#transaction!);
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
    const { every, epochBytes, landing, until } = this.#options;
    if (until !== undefined && this.#toLsn >= until) return true;
    if (this.#ending) return true;
    if (this.#sinceMs === undefined) return false;
    return this.#nowMs() - this.#sinceMs >= every || landing.bytes >= epochBytes;
  }

  /** @param empty lands an epoch without changes too */
  async #cut(empty = false): Promise<void> {
    const { landing, emit, until, failpoint } = this.#options;
    const gathered = this.#sinceMs !== undefined || this.#cutAt !== undefined;
    if (gathered || (empty && this.#toLsn > this.#landedLsn)) {
      const end = { lsn: this.#toLsn, commitMicros: this.#lastCommitMicros };
      this.#landing = landing.land(end, this.#signal);
      const { epoch, files, bytes } = await this.#landing;
      this.#stream?.confirm(this.#toLsn);
      failpoint('confirmed');
      emit({
        type: 'epoch-landed',
        epoch,
        toLsn: formatLsn(this.#toLsn),
        changes: this.#changes,
        files,
        bytes,
        lagBytes: Math.max(0, Number((this.#stream?.walEnd ?? this.#toLsn) - this.#toLsn)),
      });
      this.#landedMs = this.#nowMs();
      this.#landedLsn = this.#toLsn;
    }
    this.#cutAt = undefined;
    this.#changes = 0;
    this.#sinceMs = undefined;
    this.#reached = until !== undefined && this.#toLsn >= until && this.#renamed.size === 0;
    if (this.#ending || this.#reached) this.#end();
  }

  #tick(): void {
    if (this.#stream === undefined) return;
    this.#stream.report(true);
    this.#ask();
    if (this.#handling || this.#inside || this.#cutAt !== undefined) return;
    const { every } = this.#options;
    if (this.#shouldCut()) void this.#drain(this.#cut());
    else if (this.#idle && this.#sinceMs === undefined && this.#idleLsn > this.#toLsn) {
      // The server may forget the log of others, too: an epoch without changes says that we have seen it.
      if (this.#nowMs() - this.#landedMs < Math.max(every, IDLE_MS)) return;
      this.#toLsn = this.#idleLsn;
      void this.#drain(this.#cut(true));
    }
  }

  /** For intervals. */
  #nowMs(): number {
    return monotonicMs(this.#options.clock);
  }

  #ask(): void {
    const { every, shouldEnd } = this.#options;
    if (this.#ending || this.#nowMs() - this.#askedMs < Math.min(ASK_MS, Math.max(every, REPORT_MS))) return;
    this.#askedMs = this.#nowMs();
    shouldEnd().then(
      (ends) => {
        this.#ending ||= ends;
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** Between the messages of a transaction. */
  get #inside(): boolean {
    return this.#transaction !== undefined || this.#streamXid !== undefined;
  }

  get #idle(): boolean {
    return !this.#inside;
  }

  /** Nothing that committed is open: the log up to there concerns us no more. What is streamed is sent whole again. */
  #keepalive(walEnd: Lsn): void {
    const { until } = this.#options;
    if (this.#handling || !this.#idle || walEnd <= this.#toLsn) return;
    this.#idleLsn = walEnd;
    const wanted = this.#cutAt ?? until;
    if (wanted === undefined || walEnd < wanted) return;
    // Everything up to there has been sent.
    if (this.#cutAt !== undefined || this.#sinceMs !== undefined) {
      this.#toLsn = wanted;
      void this.#drain(this.#cut(true));
    } else {
      this.#reached = true;
      this.#end();
    }
  }
}

/** From this version on servers send large transactions before they commit. */
const STREAMS_FROM = 140000;
/** `E` */
const STREAM_STOP = 0x45;
/** `O` */
const ORIGIN = 0x4f;
