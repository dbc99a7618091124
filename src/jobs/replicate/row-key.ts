/** The key of a row as files store it, as text. Pure. */

import { UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import type { RowText } from '../../formats/columns/row-texts.ts';

/** What stands in the side column is part of it: values that do not fit are NULL in their own. */
export function keyText(row: RowText, names: readonly string[]): string {
  const stored = names.map((name) => row[name] ?? null);
  const side = row[UNFIT_COLUMN] ?? null;
  if (side === null || !stored.includes(null)) return JSON.stringify(stored);
  const unfit = new Map(Object.entries(JSON.parse(Buffer.from(side, 'latin1').toString()) as object));
  return JSON.stringify(stored.map((text, i) => text ?? { unfit: unfit.get(names[i]!) ?? null }));
}
