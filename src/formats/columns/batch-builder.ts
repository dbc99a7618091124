/** A batch of rows under construction, as columns, and what it becomes: an Arrow record batch in a stream of its own. */

import { type Data, makeData, RecordBatch, RecordBatchStreamWriter, Schema, Struct } from 'apache-arrow';
import { type ColumnBuilder, newBuilder } from './column-builder.ts';
import { arrowField, type Column } from './column-type.ts';

/** The rows of every builder are the rows of the batch: whoever fills one fills all. */
export class BatchBuilder {
  readonly columns: readonly Column[];
  readonly builders: readonly ColumnBuilder[];
  readonly #schema: Schema;

  /** @param builders one a column; made here where they are left out */
  constructor(columns: readonly Column[], builders?: readonly ColumnBuilder[]) {
    this.columns = columns;
    this.builders = builders ?? columns.map(({ type }) => newBuilder(type));
    this.#schema = new Schema(columns.map(arrowField));
  }

  get rows(): number {
    return this.builders[0]?.length ?? 0;
  }

  /** About how much memory the rows take. */
  get bytes(): number {
    let bytes = 0;
    for (const builder of this.builders) bytes += builder.bytes;
    return bytes;
  }

  /** The rows as an Arrow IPC stream; the builder is empty afterwards. */
  takeIpc(): Uint8Array {
    const children: Data[] = this.builders.map((builder) => builder.finish());
    const type = new Struct(this.#schema.fields);
    const batch = new RecordBatch(
      this.#schema,
      makeData({ type, length: this.rows, nullCount: 0, children }),
    );
    const ipc = RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true);
    this.clear();
    return ipc;
  }

  clear(): void {
    for (const builder of this.builders) builder.clear();
  }
}
