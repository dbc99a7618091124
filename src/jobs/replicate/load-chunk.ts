/** Loads one chunk of a table into one Parquet file, under the job's snapshot. Runs in a thread of its own. */

import { RowBlock, type UnfitValue } from '../../databases/postgres/copy-rows.ts';
import { CopyStream } from '../../databases/postgres/copy-stream.ts';
import { fieldDecoder } from '../../databases/postgres/field-decoder.ts';
import { type FieldMapping, UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import type { Session } from '../../databases/postgres/open-session.ts';
import { ColumnBatch } from '../../formats/columns/column-batch.ts';
import { BytesBuilder } from '../../formats/columns/column-builder.ts';
import type { Column } from '../../formats/columns/column-type.ts';
import { GroupMemory } from '../../formats/columns/group-memory.ts';
import type { ParquetCompression } from '../../formats/columns/page-codec.ts';
import { ThreadedParquetFile } from '../../formats/columns/threaded-parquet-file.ts';
import { HashedFile } from './hashed-file.ts';
import { hasUnfit, UnfitColumn } from './unfit-column.ts';

/** Plain data. */
export interface ChunkTask {
  /** `SELECT … FROM … WHERE ctid …`, whose columns are the fields in their order. */
  readonly query: string;
  readonly fields: readonly FieldMapping[];
  /** Columns with one value in every row, before and behind the fields. */
  readonly before: readonly ConstantColumn[];
  readonly after: readonly ConstantColumn[];
  readonly path: string;
  readonly compression: ParquetCompression;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ConstantColumn {
  readonly name: string;
  readonly text: string;
}

export interface LoadedChunk {
  readonly rows: number;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  /** Values in the side column. */
  readonly unfit: number;
}

/** A row group: large enough for readers, small enough for memory. */
const GROUP_ROWS = 100_000;
const GROUP_BYTES = 24 * 1024 ** 2;
/** What is decoded before it is encoded: pages of up to a megabyte, which the processor has not forgotten yet. */
const BATCH_BYTES = 4 * 1024 ** 2;

/** Loads the chunks of a table, with decoders and memory that are used again for each. */
export class ChunkLoader {
  readonly #task: string;
  readonly #constants: readonly { readonly text: string; readonly builder: BytesBuilder }[];
  readonly #side: UnfitColumn | undefined;
  readonly #rows: RowBlock;
  readonly #batch: ColumnBatch;
  readonly #memory = new GroupMemory();
  #unfit = 0;

  constructor(task: ChunkTask) {
    this.#task = columnsKey(task);
    const decoders = task.fields.map(fieldDecoder);
    this.#rows = new RowBlock(decoders, this.#onRows);
    this.#side = hasUnfit(task.fields) ? new UnfitColumn(task.fields) : undefined;
    this.#constants = [...task.before, ...task.after].map(({ text }) => ({
      text,
      builder: new BytesBuilder({ kind: 'text' }),
    }));
    const constants = this.#constants.map(({ builder }) => builder);
    this.#batch = new ColumnBatch(columnsOf(task), [
      ...constants.slice(0, task.before.length),
      ...decoders.map(({ builder }) => builder),
      ...constants.slice(task.before.length),
      ...(this.#side === undefined ? [] : [this.#side.builder]),
    ]);
  }

  /** Whether the chunk is of the same table. */
  fits(task: ChunkTask): boolean {
    return columnsKey(task) === this.#task;
  }

  /** @throws what the server and the disk throw; file and loader are then of no use */
  async load(session: Session, task: ChunkTask): Promise<LoadedChunk> {
    this.#unfit = 0;
    const batch = this.#batch;
    const rows = this.#rows;
    rows.begin();
    await using output = await HashedFile.open(task.path);
    const { compression, metadata } = task;
    const file = new ThreadedParquetFile({ compression, metadata }, this.#memory, (pieces) =>
      output.writeSync(pieces),
    );
    let groupBytes = 0;
    const query = `COPY (${task.query}) TO STDOUT (FORMAT binary)`;
    await CopyStream.start(session.client, query, rows.add, () => {
      rows.flush();
      const { bytes } = batch;
      if (bytes < BATCH_BYTES && file.groupRows + batch.rows < GROUP_ROWS) return;
      groupBytes += bytes;
      file.add(batch);
      if (file.groupRows < GROUP_ROWS && groupBytes < GROUP_BYTES) return;
      file.endGroup();
      groupBytes = 0;
    }).done;
    file.add(batch);
    file.end();
    return { rows: file.rows, bytes: file.bytes, sha256: output.finish(), unfit: this.#unfit };
  }

  /** Fills the columns that are not decoded. */
  readonly #onRows = (rows: number, unfit: readonly UnfitValue[]): void => {
    for (const { builder, text } of this.#constants) {
      for (let row = 0; row < rows; row++) builder.pushText(text);
    }
    const side = this.#side;
    if (side === undefined) return;
    let noted = 0;
    for (let row = 0; row < rows; row++) {
      for (; noted < unfit.length && unfit[noted]!.row === row; noted++) {
        side.note(unfit[noted]!.field, unfit[noted]!.text);
      }
      side.endRow();
    }
    this.#unfit += noted;
  };
}

/** Equal for chunks with the same columns. */
function columnsKey({ fields, before, after }: ChunkTask): string {
  return JSON.stringify([fields, before, after]);
}

/** The columns of the file, in order. */
export function columnsOf(task: Pick<ChunkTask, 'before' | 'fields' | 'after'>): Column[] {
  const text = ({ name }: { readonly name: string }): Column => ({ name, type: { kind: 'text' } });
  return [
    ...task.before.map(text),
    ...task.fields.map(({ column }) => column),
    ...task.after.map(text),
    ...(hasUnfit(task.fields) ? [text({ name: UNFIT_COLUMN })] : []),
  ];
}
