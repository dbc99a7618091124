/** The side column: as JSON, the text of the values of a row that their own columns cannot hold; null where all fit. */

import { type FieldMapping, UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import { BytesBuilder } from '../../formats/columns/column-builder.ts';
import type { Column } from '../../formats/columns/column-type.ts';

/** Whether any of the columns has values that do not fit. */
export function hasUnfit(mappings: readonly FieldMapping[]): boolean {
  return mappings.some(({ unfit }) => unfit !== undefined);
}

export class UnfitColumn {
  readonly column: Column = { name: UNFIT_COLUMN, type: { kind: 'text' } };
  readonly builder = new BytesBuilder({ kind: 'text' });
  readonly #mappings: readonly FieldMapping[];
  #ofRow: Record<string, string> | undefined;

  constructor(mappings: readonly FieldMapping[]) {
    this.#mappings = mappings;
  }

  /** Notes a value of the row, by the index of its field. */
  note(field: number, text: string): void {
    // A column may be called __proto__.
    this.#ofRow ??= Object.create(null) as Record<string, string>;
    this.#ofRow[this.#mappings[field]!.column.name] = text;
  }

  endRow(): void {
    if (this.#ofRow === undefined) this.builder.pushNull();
    else this.builder.pushText(JSON.stringify(this.#ofRow));
    this.#ofRow = undefined;
  }
}
