/** Loads one chunk of a table into one Parquet file, under the job's snapshot. Runs in a thread of its own. */

import { copyRowDecoder } from '../../databases/postgres/copy-rows.ts';
import { CopyStream } from '../../databases/postgres/copy-stream.ts';
import { fieldDecoder } from '../../databases/postgres/field-decoder.ts';
import { type FieldMapping, UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import type { Session } from '../../databases/postgres/open-session.ts';
import { BatchBuilder } from '../../formats/columns/batch-builder.ts';
import { BytesBuilder } from '../../formats/columns/column-builder.ts';
import type { Column } from '../../formats/columns/column-type.ts';
import { type ParquetCompression, ParquetFile } from '../../formats/columns/parquet-file.ts';
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
const LARGE_ROW_BYTES = 64 * 1024;

/** @throws what the server and the disk throw; the file is then of no use */
export async function loadChunk(session: Session, task: ChunkTask): Promise<LoadedChunk> {
  const decoders = task.fields.map(fieldDecoder);
  const side = hasUnfit(task.fields) ? new UnfitColumn(task.fields) : undefined;
  const constants = [...task.before, ...task.after].map(({ text }) => ({
    text,
    builder: new BytesBuilder({ kind: 'text' }),
  }));
  const batch = new BatchBuilder(columnsOf(task), [
    ...constants.slice(0, task.before.length).map(({ builder }) => builder),
    ...decoders.map(({ builder }) => builder),
    ...constants.slice(task.before.length).map(({ builder }) => builder),
    ...(side === undefined ? [] : [side.builder]),
  ]);
  let unfit = 0;
  const rows = copyRowDecoder(
    decoders,
    (field, text) => {
      unfit++;
      side!.note(field, text);
    },
    () => {
      for (const { builder, text } of constants) builder.pushText(text);
      side?.endRow();
    },
  );
  await using output = await HashedFile.open(task.path);
  const file = new ParquetFile({ compression: task.compression, metadata: task.metadata }, (pieces) =>
    output.write(pieces),
  );
  let writing: Promise<void> | undefined;
  let failed: { readonly error: unknown } | undefined;
  const copy = CopyStream.start(
    session.client,
    `COPY (${task.query}) TO STDOUT (FORMAT binary)`,
    (bytes, at, end) => {
      if (failed !== undefined) throw failed.error;
      rows.decode(bytes, at, end);
      // To look at every column takes longer than a small row does.
      if ((batch.rows & 63) !== 0 && end - at < LARGE_ROW_BYTES) return;
      if (batch.rows < GROUP_ROWS && batch.bytes < GROUP_BYTES) return;
      if (writing !== undefined) return copy.pause();
      writing = file.write(batch).then(
        () => {
          writing = undefined;
          copy.resume();
        },
        (error: unknown) => {
          failed = { error };
          copy.resume();
        },
      );
    },
  );
  await copy.done;
  await writing;
  if (failed !== undefined) throw failed.error;
  if (batch.rows > 0) await file.write(batch);
  await file.end();
  return { rows: file.rows, bytes: file.bytes, sha256: await output.finish(), unfit };
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
