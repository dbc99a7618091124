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
  readonly #batch: BatchBuilder;
  readonly #finished: ChangeTableFile[] = [];
  #file: OpenFile | undefined;
  /** Whether the batch may be large though it has few rows. */
  #hasLarge = false;
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
    return this.#batch.bytes;
  }

  /** About how many bytes wait in memory and lie in temporary files. */
  get bytes(): number {
    return (
      this.#batch.bytes +
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
    pushInt64(this.#commitLsn, place.commitLsn);
    pushInt64(this.#ordinal, BigInt(place.ordinal));
    pushInt64(this.#xid, BigInt(place.xid));
    pushInt64(this.#commitTime, place.commitMicros);
    this.#timestamp?.pushText(timestampText(place.commitMicros));
    const reread = filled.filter((one) => one.reread);
    if (reread.length === 0) this.#reread?.pushNull();
    else this.#reread?.pushText(reread.map(({ name }) => name).join(','));
    this.#unfit?.endRow();
    this.#ops[op]++;
    this.#first ??= place;
    this.#last = place;
  }

  /** Writes what is in memory; begins another file where this one is large enough. */
  async write(): Promise<void> {
    if (this.#batch.rows === 0) return;
    this.#hasLarge = false;
    this.#file ??= await openFile(this.#options);
    await this.#file.parquet.write(this.#batch);
    if (this.#file.parquet.bytes >= this.#options.maxFileSize) await this.#endFile();
  }

  /** As {@link write}, and gives back the memory that rows have taken: they may be of a table that is written seldom. */
  async writeAndShrink(): Promise<void> {
    await this.write();
    this.#batch.shrink();
  }

  /** @returns all files of the epoch, complete and on the disk */
  async finish(): Promise<readonly ChangeTableFile[]> {
    await this.write();
    if (this.#file !== undefined) await this.#endFile();
    return this.#finished;
  }

  /** Gives up what is not finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.output[Symbol.asyncDispose]();
    this.#file = undefined;
  }

  async #endFile(): Promise<void> {
    const { output, parquet } = this.#file!;
    await parquet.end();
    const sha256 = await output.finish();
    await output[Symbol.asyncDispose]();
    this.#finished.push({
      path: output.path,
      rows: parquet.rows,
      bytes: parquet.bytes,
      sha256,
      ops: this.#ops,
      first: this.#first!,
      last: this.#last!,
      columns: this.#batch.columns,
    });
    this.#file = undefined;
    this.#ops = { I: 0, U: 0, D: 0 };
    this.#first = undefined;
  }
}

interface OpenFile {
  readonly output: HashedFile;
  readonly parquet: ParquetFile;
}

async function openFile({ folder, compression }: ChangeTableOptions): Promise<OpenFile> {
  const path = `${folder}/changes-${process.pid}-${++fileNumbers}.parquet`;
  const output = await HashedFile.open(path);
  const parquet = new ParquetFile({ compression, metadata: { 'longshore.kind': 'changes' } }, (pieces) =>
    output.write(pieces),
  );
  return { output, parquet };
}

function pushInt64(builder: FixedBuilder, value: bigint): void {
  builder.push64(Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asIntN(32, value)));
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
