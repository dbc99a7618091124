/**
 * Reads the messages of the plug-in pgoutput, protocol versions 1 and 2. Rows are not copied out of the message: a
 * reader of tuples walks over its bytes. Reference: "Logical Replication Message Formats".
 */

import { LongshoreError } from '../../errors.ts';
import type { Lsn } from './lsn.ts';

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeModifier: number;
  /** Part of the replica identity. */
  readonly key: boolean;
}

/** `d` the primary key, `n` nothing, `f` the whole row, `i` an index. */
export type ReplicaIdentity = 'd' | 'n' | 'f' | 'i';

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  readonly replicaIdentity: ReplicaIdentity;
  readonly columns: readonly RelationColumn[];
}

/** A row: where its fields begin in the message. */
export interface Tuple {
  readonly bytes: Buffer;
  /** Of the first field, behind the number of fields. */
  readonly at: number;
  readonly fields: number;
}

/**
 * What a message says. `xid` of changes is that of the subtransaction, and 0 outside of streamed transactions.
 * LSNs are those of the commit; times are microseconds since 1970.
 */
export type PgoutputMessage =
  | { readonly kind: 'begin'; readonly commitLsn: Lsn; readonly commitMicros: bigint; readonly xid: number }
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn; readonly commitMicros: bigint }
  | { readonly kind: 'relation'; readonly xid: number; readonly relation: Relation }
  | { readonly kind: 'insert'; readonly xid: number; readonly oid: number; readonly after: Tuple }
  | {
      readonly kind: 'update';
      readonly xid: number;
      readonly oid: number;
      /** The old key, or the whole old row; undefined where the key is unchanged. */
      readonly before: Tuple | undefined;
      readonly beforeIs: 'key' | 'row' | undefined;
      readonly after: Tuple;
    }
  | {
      readonly kind: 'delete';
      readonly xid: number;
      readonly oid: number;
      readonly before: Tuple;
      readonly beforeIs: 'key' | 'row';
    }
  | {
      readonly kind: 'truncate';
      readonly xid: number;
      readonly oids: readonly number[];
      readonly cascade: boolean;
      readonly restartIdentity: boolean;
    }
  | {
      readonly kind: 'message';
      readonly xid: number;
      readonly transactional: boolean;
      readonly prefix: string;
      readonly content: Buffer;
    }
  | { readonly kind: 'stream-start'; readonly xid: number }
  | { readonly kind: 'stream-stop' }
  | {
      readonly kind: 'stream-commit';
      readonly xid: number;
      readonly commitLsn: Lsn;
      readonly endLsn: Lsn;
      readonly commitMicros: bigint;
    }
  | { readonly kind: 'stream-abort'; readonly xid: number; readonly subXid: number }
  /** Of no meaning here: types, origins. */
  | { readonly kind: 'other' };

const MICROS_2000 = 946_684_800_000_000n;

/**
 * @param streamed whether the message stands between a stream start and its stop, where changes have an xid
 * @throws DATABASE_FAILED for a message that these protocol versions do not have
 */
export function readPgoutput(bytes: Buffer, start: number, end: number, streamed: boolean): PgoutputMessage {
  const reader = new MessageReader(bytes, start + 1, end);
  const code = String.fromCharCode(bytes[start]!);
  switch (code) {
    case 'B':
      return {
        kind: 'begin',
        commitLsn: reader.int64(),
        commitMicros: reader.int64() + MICROS_2000,
        xid: reader.uint32(),
      };
    case 'C':
      reader.int8();
      return {
        kind: 'commit',
        commitLsn: reader.int64(),
        endLsn: reader.int64(),
        commitMicros: reader.int64() + MICROS_2000,
      };
    case 'S':
      return { kind: 'stream-start', xid: reader.uint32() };
    case 'E':
      return { kind: 'stream-stop' };
    case 'c': {
      const xid = reader.uint32();
      reader.int8();
      return {
        kind: 'stream-commit',
        xid,
        commitLsn: reader.int64(),
        endLsn: reader.int64(),
        commitMicros: reader.int64() + MICROS_2000,
      };
    }
    case 'A':
      return { kind: 'stream-abort', xid: reader.uint32(), subXid: reader.uint32() };
    case 'O':
      return { kind: 'other' };
  }
  const xid = streamed ? reader.uint32() : 0;
  switch (code) {
    case 'R':
      return { kind: 'relation', xid, relation: readRelation(reader) };
    case 'I': {
      const oid = reader.uint32();
      reader.int8();
      return { kind: 'insert', xid, oid, after: reader.tuple() };
    }
    case 'U': {
      const oid = reader.uint32();
      let mark = reader.int8();
      let before: Tuple | undefined;
      let beforeIs: 'key' | 'row' | undefined;
      if (mark !== NEW) {
        beforeIs = mark === OLD_ROW ? 'row' : 'key';
        before = reader.tuple();
        skipTuple(reader, before);
        mark = reader.int8();
      }
      return { kind: 'update', xid, oid, before, beforeIs, after: reader.tuple() };
    }
    case 'D': {
      const oid = reader.uint32();
      const beforeIs = reader.int8() === OLD_ROW ? 'row' : 'key';
      return { kind: 'delete', xid, oid, before: reader.tuple(), beforeIs };
    }
    case 'T': {
      const count = reader.uint32();
      const flags = reader.int8();
      const oids = Array.from({ length: count }, () => reader.uint32());
      return { kind: 'truncate', xid, oids, cascade: (flags & 1) !== 0, restartIdentity: (flags & 2) !== 0 };
    }
    case 'M': {
      const transactional = (reader.int8() & 1) !== 0;
      reader.int64();
      const prefix = reader.string();
      return { kind: 'message', xid, transactional, prefix, content: reader.bytes(reader.uint32()) };
    }
    case 'Y':
      return { kind: 'other' };
  }
  throw new LongshoreError('DATABASE_FAILED', `the change stream has a message "${code}" that is not known`, {
    hint: 'update Longshore; the server may speak a newer protocol',
  });
}

/** `'N'` */
const NEW = 0x4e;
/** `'O'` */
const OLD_ROW = 0x4f;

/** What stands before a field. */
export const FIELD = { null: 0x6e, unchanged: 0x75, text: 0x74, binary: 0x62 } as const;

/** Of a value, before it. */
const LENGTH_BYTES = 4;

/**
 * Walks over the fields of a tuple.
 * @param onField gets the mark of the field and, of text and binary, where its bytes are
 * @returns where the tuple ends
 */
export function eachField(
  tuple: Tuple,
  onField: (index: number, mark: number, at: number, length: number) => void,
): number {
  const { bytes, fields } = tuple;
  let at = tuple.at;
  for (let i = 0; i < fields; i++) {
    const mark = bytes[at++]!;
    if (mark === FIELD.null || mark === FIELD.unchanged) onField(i, mark, at, 0);
    else {
      const length = bytes.readInt32BE(at);
      at += LENGTH_BYTES;
      onField(i, mark, at, length);
      at += length;
    }
  }
  return at;
}

/** Whether the tuple leaves a value out that did not change. */
export function hasUnsent(tuple: Tuple): boolean {
  const { bytes, fields } = tuple;
  for (let at = tuple.at, i = 0; i < fields; i++) {
    const mark = bytes[at++]!;
    if (mark === FIELD.unchanged) return true;
    if (mark !== FIELD.null) at += LENGTH_BYTES + bytes.readInt32BE(at);
  }
  return false;
}

/** Also the same that say which row a change is of. */
export function sameColumns(one: Relation, other: Relation): boolean {
  return (
    one.replicaIdentity === other.replicaIdentity &&
    one.columns.length === other.columns.length &&
    one.columns.every(({ key, name, typeOid, typeModifier }, i) => {
      const column = other.columns[i]!;
      return (
        column.key === key &&
        column.name === name &&
        column.typeOid === typeOid &&
        column.typeModifier === typeModifier
      );
    })
  );
}

function skipTuple(reader: MessageReader, tuple: Tuple): void {
  reader.at = eachField(tuple, () => undefined);
}

function readRelation(reader: MessageReader): Relation {
  const oid = reader.uint32();
  const schema = reader.string() || 'pg_catalog';
  const table = reader.string();
  const replicaIdentity = String.fromCharCode(reader.int8()) as ReplicaIdentity;
  const columns = Array.from({ length: reader.int16() }, () => {
    const key = (reader.int8() & 1) !== 0;
    return { key, name: reader.string(), typeOid: reader.uint32(), typeModifier: reader.uint32() | 0 };
  });
  return { oid, schema, table, replicaIdentity, columns };
}

class MessageReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  at: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  int8(): number {
    return this.#bytes[this.at++]!;
  }

  int16(): number {
    this.at += 2;
    return this.#bytes.readInt16BE(this.at - 2);
  }

  uint32(): number {
    this.at += 4;
    return this.#bytes.readUInt32BE(this.at - 4);
  }

  int64(): bigint {
    this.at += 8;
    return this.#bytes.readBigInt64BE(this.at - 8);
  }

  string(): string {
    const end = this.#bytes.indexOf(0, this.at);
    if (end < 0 || end >= this.#end)
      throw new LongshoreError('DATABASE_FAILED', 'a message of the change stream is cut off');
    const text = this.#bytes.toString('utf8', this.at, end);
    this.at = end + 1;
    return text;
  }

  bytes(length: number): Buffer {
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  tuple(): Tuple {
    const fields = this.int16();
    return { bytes: this.#bytes, at: this.at, fields };
  }
}
