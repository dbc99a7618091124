/** Whether a dictionary pays for a column: few values, many times. Looks at the beginning of a batch only. */

import { BytesBuilder, type ColumnBuilder } from './column-builder.ts';

const SAMPLED = 2000;
const DISTINCT_MAX = 200;

export function fewDistinct(builder: ColumnBuilder): boolean {
  if (!(builder instanceof BytesBuilder) || builder.length < SAMPLED) return false;
  const seen = new Set<string>();
  for (let i = 0; i < SAMPLED; i++) {
    seen.add(builder.textAt(i));
    if (seen.size > DISTINCT_MAX) return false;
  }
  return true;
}
