/**
 * The change stream of a logical replication slot, as the server sends it: changes in commit order, keepalives, and
 * our reports of what is durable. Reference: "Streaming Replication Protocol".
 */

import type pg from 'pg';
import { CopyStream } from './copy-stream.ts';
import { formatLsn, type Lsn } from './lsn.ts';
import { quoteName } from './sql.ts';

export interface ReplicationOptions {
  readonly slot: string;
  readonly publication: string;
  /** Changes of transactions that committed before are not sent again; the slot's own place may be later. */
  readonly from: Lsn;
  /** 1, or 2 for servers from PostgreSQL 14 on, which then send large transactions before they commit. */
  readonly protocol: 1 | 2;
  /** One message of the plug-in; the bytes are good during the call only. */
  onMessage(bytes: Buffer, at: number, end: number): void;
  /** Where the server's log ends, as of the last message or keepalive. */
  onKeepalive(walEnd: Lsn): void;
}

/** `w` */
const XLOG_DATA = 0x77;
/** `k` */
const KEEPALIVE = 0x6b;
const XLOG_DATA_HEADER = 25;
const MICROS_2000 = 946_684_800_000_000;

export class ReplicationStream {
  readonly #copy: CopyStream;
  readonly #nowMs: () => number;
  #confirmed: Lsn;
  #walEnd: Lsn = 0n;

  constructor(client: pg.ClientBase, options: ReplicationOptions, nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#confirmed = 0n;
    this.#copy = CopyStream.start(client, startStatement(options), (bytes, at, end) => {
      if (bytes[at] === XLOG_DATA) {
        this.#walEnd = bytes.readBigUInt64BE(at + 9);
        options.onMessage(bytes, at + XLOG_DATA_HEADER, end);
      } else if (bytes[at] === KEEPALIVE) {
        this.#walEnd = bytes.readBigUInt64BE(at + 1);
        options.onKeepalive(this.#walEnd);
        if (bytes[at + 17] === 1) this.report();
      }
    });
  }

  /** Resolves when the server ended the stream, rejects when it or the connection failed. */
  get done(): Promise<void> {
    return this.#copy.done;
  }

  get started(): Promise<void> {
    return this.#copy.started;
  }

  /** Where the server's log ended when it was last heard of. */
  get walEnd(): Lsn {
    return this.#walEnd;
  }

  /** What the server was told to be durable. */
  get confirmed(): Lsn {
    return this.#confirmed;
  }

  pause(): void {
    this.#copy.pause();
  }

  resume(): void {
    this.#copy.resume();
  }

  /** Everything up to here is durable: the server may forget it. */
  confirm(lsn: Lsn): void {
    if (lsn <= this.#confirmed) return;
    this.#confirmed = lsn;
    this.report();
  }

  /**
   * Tells the server that we live, and what is durable. To be called well within `wal_sender_timeout`.
   * @param ask whether it is to answer with a keepalive
   */
  report(ask = false): void {
    const message = Buffer.alloc(34);
    message[0] = 0x72;
    message.writeBigUInt64BE(this.#confirmed, 1);
    message.writeBigUInt64BE(this.#confirmed, 9);
    message.writeBigUInt64BE(this.#confirmed, 17);
    message.writeBigInt64BE(BigInt(this.#nowMs() * 1000 - MICROS_2000), 25);
    message[33] = ask ? 1 : 0;
    this.#copy.send(message);
  }

  /** Asks the server to end the stream. */
  end(): void {
    this.#copy.end();
  }
}

function startStatement(options: ReplicationOptions): string {
  const { slot, publication, from, protocol } = options;
  const parameters = [`proto_version '${protocol}'`, `publication_names '${quoteList(publication)}'`];
  if (protocol >= 2) parameters.push("streaming 'on'");
  return `START_REPLICATION SLOT ${quoteName(slot)} LOGICAL ${formatLsn(from)} (${parameters.join(', ')})`;
}

/** A list of identifiers inside a literal. */
function quoteList(name: string): string {
  return quoteName(name).replaceAll("'", "''");
}
