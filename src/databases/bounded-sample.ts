/** Keeps a sample of large values from filling the memory. */

import type { ColumnFacts } from './database.ts';

const SAMPLE_BYTES_MAX = 32 * 1024 * 1024;
/** Values that tell how large the others are. */
const VALUES_FIRST = 16;

/** About `count` values by `take`; fewer where they are large documents or texts. */
export async function boundedSample(
  column: ColumnFacts,
  count: number,
  take: (count: number) => Promise<string[]>,
): Promise<string[]> {
  // A value that is one reference is short.
  if (column.within === 'value' || count <= VALUES_FIRST) return take(count);
  const few = await take(VALUES_FIRST);
  const bytes = few.reduce((sum, value) => sum + value.length, 0);
  const fit = Math.floor((SAMPLE_BYTES_MAX * few.length) / Math.max(1, bytes));
  return fit <= few.length ? few : take(Math.min(count, fit));
}
