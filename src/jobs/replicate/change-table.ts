/**
 * The changes of one table in one epoch, on their way into Parquet files: rows are encoded as they come, into
 * temporary files, which are uploaded when the epoch is cut.
 */

import { type FieldDecoder, fieldDecoder } from '../../databases/postgres/field-decoder.ts';
import { type FieldMapping, UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import type { Lsn } from '../../databases/postgres/lsn.ts';
import { eachField, FIELD, type Relation, type Tuple } from '../../databases/postgres/pgoutput.ts';
import { BatchBuilder } from '../../formats/columns/batch-builder.ts';
import { BytesBuilder, FixedBuilder } from '../../formats/columns/column-builder.ts';
import type { Column } from '../../formats/columns/column-type.ts';
import { type ParquetCompression, ParquetFile } from '../../formats/columns/parquet-file.ts';
import { HashedFile } from './hashed-file.ts';
import { timestampText } from './layout.ts';
import { hasUnfit, UnfitColumn } from './unfit-column.ts';

export type Op = 'I' | 'U' | 'D';

/** Where a change stands: its transaction, and its place in it. */
export interface ChangePlace {
  readonly commitLsn: Lsn;
  readonly commitMicros: bigint;
  readonly xid: number;
  readonly ordinal: number;
}

/** A column whose value an update did not send, and what it is. */
export interface FilledValue {
  readonly name: string;
  /** As text; null for NULL. */
  readonly value: string | null;
  /** Whether it was read from the table, after the change. */
  readonly reread: boolean;
}

export interface ChangeTableOptions {
  /** Names of the columns that say which row a change is of; none where the whole row does. */
  readonly identity: readonly string[];
  readonly folder: string;
  readonly compression: ParquetCompression;
  readonly maxFileSize: number;
  readonly timestampColumn: string | undefined;
}

/** A finished file, not yet in its place. */
export interface ChangeTableFile {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly ops: Readonly<Record<Op, number>>;
  readonly first: ChangePlace;
  readonly last: ChangePlace;
  readonly columns: readonly Column[];
}

/** Names of the columns that every change has besides those of its table. */
export const CHANGE_COLUMNS = {
  op: 'Op',
  commitLsn: '_commit_lsn',
  ordinal: '_ordinal',
  xid: '_xid',
  commitTime: '_commit_ts',
  reread: '_reread',
} as const;

const GROUP_ROWS = 50_000;
const GROUP_BYTES = 16 * 1024 ** 2;
const LARGE_VALUE_BYTES = 64 * 1024;

const OPS = ['I', 'U', 'D'] as const satisfies readonly Op[];

let fileNumbers = 0;

export class ChangeTable implements AsyncDisposable {
  readonly relation: Relation;
  readonly mappings: readonly FieldMapping[];
  readonly #options: ChangeTableOptions;
  readonly #decoders: readonly FieldDecoder[];
  readonly #op = new BytesBuilder({ kind: 'text' });
  readonly #commitLsn = new FixedBuilder({ kind: 'int64' });
  readonly #ordinal = new FixedBuilder({ kind: 'int64' });
  readonly #xid = new FixedBuilder({ kind: 'int64' });
  readonly #commitTime = new FixedBuilder({ kind: 'timestamp', utc: true });
  readonly #timestamp: BytesBuilder | undefined;
  readonly #reread: BytesBuilder | undefined;
  readonly #unfit: UnfitColumn | undefined;
  readonly #words = { lsn: new Int64Words(), time: new Int64Words(), text: '' };
  readonly #batch: BatchBuilder;
  readonly #finished: ChangeTableFile[] = [];
  #file: OpenFile | undefined;
  /** Rows that are compressed and written while others are added. */
  #writing: { readonly bytes: number; readonly done: Promise<void> } | undefined;
  /** Whether the batch may be large though it has few rows. */
  #hasLarge = false;
  /** Of the batch. */
  #ops: Record<Op, number> = { I: 0, U: 0, D: 0 };
  #first: ChangePlace | undefined;
  #last: ChangePlace | undefined;

  /** @param toastable whether an update may leave values out */
  constructor(
    relation: Relation,
    mappings: readonly FieldMapping[],
    toastable: boolean,
    options: ChangeTableOptions,
  ) {
    this.relation = relation;
    this.mappings = mappings;
    this.#options = options;
    this.#decoders = mappings.map(fieldDecoder);
    this.#timestamp = options.timestampColumn === undefined ? undefined : new BytesBuilder({ kind: 'text' });
    this.#reread = toastable ? new BytesBuilder({ kind: 'text' }) : undefined;
    this.#unfit = hasUnfit(mappings) ? new UnfitColumn(mappings) : undefined;
    const named = [
      [CHANGE_COLUMNS.op, this.#op],
      ...mappings.map(({ column }, i) => [column.name, this.#decoders[i]!.builder] as const),
      [CHANGE_COLUMNS.commitLsn, this.#commitLsn],
      [CHANGE_COLUMNS.ordinal, this.#ordinal],
      [CHANGE_COLUMNS.xid, this.#xid],
      [CHANGE_COLUMNS.commitTime, this.#commitTime],
      ...(this.#timestamp === undefined ? [] : [[options.timestampColumn!, this.#timestamp] as const]),
      ...(this.#reread === undefined ? [] : [[CHANGE_COLUMNS.reread, this.#reread] as const]),
      ...(this.#unfit === undefined ? [] : [[UNFIT_COLUMN, this.#unfit.builder] as const]),
    ] as const;
    this.#batch = new BatchBuilder(
      named.map(([name, builder]) => ({ name, type: builder.type })),
      named.map(([, builder]) => builder),
    );
  }

  get identity(): readonly string[] {
    return this.#options.identity;
  }

  /** Whether enough is in memory to be written; the caller then awaits {@link write}. */
  get isFull(): boolean {
    const { rows } = this.#batch;
    const isDue = (rows & 63) === 0 || this.#hasLarge;
    return rows >= GROUP_ROWS || (isDue && this.#batch.bytes >= GROUP_BYTES);
  }

  /** About how many bytes wait in memory. */
  get memoryBytes(): number {
    return this.#batch.bytes + (this.#writing?.bytes ?? 0);
  }

  /** About how many bytes wait in memory and lie in temporary files. */
  get bytes(): number {
    return (
      this.memoryBytes +
      (this.#file?.parquet.bytes ?? 0) +
      this.#finished.reduce((sum, { bytes }) => sum + bytes, 0)
    );
  }

  /**
   * Adds a change.
   * @param before the old row, for what an update did not send; it holds every field, or none is needed
   * @param filled what such fields are, where the old row has not got them
   */
  add(
    op: Op,
    tuple: Tuple,
    before: Tuple | undefined,
    filled: readonly FilledValue[],
    place: ChangePlace,
  ): void {
    const decode = (index: number, bytes: Buffer, at: number, length: number): void => {
      if (length >= LARGE_VALUE_BYTES) this.#hasLarge = true;
      const text = this.#decoders[index]!.text(bytes, at, length);
      if (text !== undefined) this.#unfit!.note(index, text);
    };
    const old = before === undefined ? undefined : fieldsOf(before);
    eachField(tuple, (index, mark, at, length) => {
      if (index >= this.#decoders.length) return;
      if (mark === FIELD.text) return decode(index, tuple.bytes, at, length);
      const { builder } = this.#decoders[index]!;
      if (mark !== FIELD.unchanged) return builder.pushNull();
      const kept = old?.[index];
      if (kept !== undefined && kept.mark === FIELD.text)
        return decode(index, before!.bytes, kept.at, kept.length);
      const { name } = this.mappings[index]!.column;
      const value = filled.find((one) => one.name === name)?.value ?? null;
      if (value === null) return builder.pushNull();
      const bytes = Buffer.from(value);
      decode(index, bytes, 0, bytes.byteLength);
    });
    this.#op.pushText(op);
    this.#addPlace(place);
    const reread = filled.filter((one) => one.reread);
    if (reread.length === 0) this.#reread?.pushNull();
    else this.#reread?.pushText(reread.map(({ name }) => name).join(','));
    this.#unfit?.endRow();
    this.#ops[op]++;
    this.#first ??= place;
    this.#last = place;
  }

  /**
   * Takes what is in memory to be written, into another file where this one is large enough. It resolves when more may
   * be added, which is before that is written; a failure is thrown by the next call.
   */
  async write(): Promise<void> {
    await this.#written();
    if (this.#batch.rows === 0) return;
    const file = await this.#openFile();
    for (const op of OPS) file.ops[op] += this.#ops[op];
    file.first ??= this.#first;
    file.last = this.#last;
    this.#ops = { I: 0, U: 0, D: 0 };
    this.#first = undefined;
    this.#hasLarge = false;
    const { bytes } = this.#batch;
    const done = file.parquet.write(this.#batch);
    done.catch(() => undefined);
    this.#writing = { bytes, done };
  }

  /**
   * Writes all, and gives back the memory that rows have taken, and the open file: they may be of a table that is written
   * seldom.
   */
  async writeAndShrink(): Promise<void> {
    await this.write();
    await this.#written();
    await this.#file?.output.close();
    this.#batch.shrink();
  }

  /** @returns all files of the epoch, complete and on the disk */
  async finish(): Promise<readonly ChangeTableFile[]> {
    await this.write();
    await this.#written();
    if (this.#file !== undefined) await this.#endFile(this.#file);
    return this.#finished;
  }

  /** Gives up what is not finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing?.done.catch(() => undefined);
    await this.#file?.output.close();
    this.#file = undefined;
  }

  #addPlace({ commitLsn, commitMicros, xid, ordinal }: ChangePlace): void {
    // Of the changes of one transaction only the ordinal differs; this is run for every row.
    const { lsn, time } = this.#words;
    if (lsn.value !== commitLsn) lsn.set(commitLsn);
    if (time.value !== commitMicros) {
      time.set(commitMicros);
      if (this.#timestamp !== undefined) this.#words.text = timestampText(commitMicros);
    }
    this.#commitLsn.push64(lsn.high, lsn.low);
    this.#ordinal.push64(Math.floor(ordinal / 2 ** 32), ordinal | 0);
    this.#xid.push64(0, xid | 0);
    this.#commitTime.push64(time.high, time.low);
    this.#timestamp?.pushText(this.#words.text);
  }

  async #written(): Promise<void> {
    await this.#writing?.done;
    this.#writing = undefined;
    const file = this.#file;
    if (file !== undefined && file.parquet.bytes >= this.#options.maxFileSize) await this.#endFile(file);
  }

  async #openFile(): Promise<OpenFile> {
    if (this.#file !== undefined) return this.#file;
    const path = `${this.#options.folder}/changes-${process.pid}-${++fileNumbers}.parquet`;
    const output = await HashedFile.open(path);
    const { compression } = this.#options;
    const parquet = new ParquetFile({ compression, metadata: { 'longshore.kind': 'changes' } }, (pieces) =>
      output.write(pieces),
    );
    this.#file = { output, parquet, ops: { I: 0, U: 0, D: 0 }, first: undefined, last: undefined };
    return this.#file;
  }

  async #endFile({ output, parquet, ops, first, last }: OpenFile): Promise<void> {
    await parquet.end();
    const sha256 = await output.finish();
    await output.close();
    this.#finished.push({
      path: output.path,
      rows: parquet.rows,
      bytes: parquet.bytes,
      sha256,
      ops,
      first: first!,
      last: last!,
      columns: this.#batch.columns,
    });
    this.#file = undefined;
  }
}

interface OpenFile {
  readonly output: HashedFile;
  readonly parquet: ParquetFile;
  /** Of the rows that were given to it. */
  readonly ops: Record<Op, number>;
  first: ChangePlace | undefined;
  last: ChangePlace | undefined;
}

/** The two words of a number of 64 bits that stands in many rows one after another. */
class Int64Words {
  value: bigint | undefined;
  high = 0;
  low = 0;

  set(value: bigint): void {
    this.value = value;
    this.high = Number(BigInt.asIntN(32, value >> 32n));
    this.low = Number(BigInt.asIntN(32, value));
  }
}

interface FieldAt {
  readonly mark: number;
  readonly at: number;
  readonly length: number;
}

export function fieldsOf(tuple: Tuple): FieldAt[] {
  const fields: FieldAt[] = [];
  eachField(tuple, (_, mark, at, length) => fields.push({ mark, at, length }));
  return fields;
}
