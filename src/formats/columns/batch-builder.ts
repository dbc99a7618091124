/** A batch of rows that can become an Arrow record batch, in a stream of its own. */

import { makeData, RecordBatch, RecordBatchStreamWriter, Schema, Struct } from 'apache-arrow';
import { arrowData, arrowField } from './arrow-column.ts';
import { ColumnBatch } from './column-batch.ts';

/** Apart from {@link ColumnBatch}, so that who writes Parquet alone does not load the library. */
export class BatchBuilder extends ColumnBatch {
  /** The rows as an Arrow IPC stream; the builder is empty afterwards. */
  takeIpc(): Uint8Array {
    const schema = new Schema(this.columns.map(arrowField));
    const children = this.builders.map(arrowData);
    const type = new Struct(schema.fields);
    const batch = new RecordBatch(schema, makeData({ type, length: this.rows, nullCount: 0, children }));
    const ipc = RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true);
    this.clear();
    return ipc;
  }
}
