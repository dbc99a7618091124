/** A batch of rows under construction, as columns. */

import { type ColumnBuilder, newBuilder } from './column-builder.ts';
import type { Column } from './column-type.ts';

/** The rows of every builder are the rows of the batch: whoever fills one fills all. */
export class ColumnBatch {
  readonly columns: readonly Column[];
  readonly builders: readonly ColumnBuilder[];

  /** @param builders one a column; made here where they are left out */
  constructor(columns: readonly Column[], builders?: readonly ColumnBuilder[]) {
    this.columns = columns;
    this.builders = builders ?? columns.map(({ type }) => newBuilder(type));
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

  clear(): void {
    for (const builder of this.builders) builder.clear();
  }

  /** As `clear`, and gives back the memory that it has grown to. */
  shrink(): void {
    for (const builder of this.builders) builder.shrink();
  }
}
