/** The refusal of a rewrite whose rows do not hold what was written. */

import { LongshoreError } from '../errors.ts';
import type { ColumnFacts } from './database.ts';

export function storedAnother(column: ColumnFacts): LongshoreError {
  return new LongshoreError(
    'DATABASE_FAILED',
    `Cannot rewrite rows of ${column.name}: the database stored another value`,
    {
      hint: 'a trigger or the type of the column changes what is written; nothing was changed',
      context: { column: column.name },
    },
  );
}
