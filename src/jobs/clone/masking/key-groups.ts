/** Columns that hold the same values because foreign keys say so: one of them cannot be masked without the others. */

import type { CatalogueColumn, CatalogueTable, MaskCatalogue } from '../../../databases/masking/catalogue.ts';

export interface KeyColumn {
  readonly table: CatalogueTable;
  readonly column: CatalogueColumn;
}

export interface KeyGroup {
  readonly columns: readonly KeyColumn[];
  /** Whether another column refers to this one. */
  readonly referred: boolean;
}

export class KeyGroups {
  readonly #groups = new Map<string, Set<string>>();
  readonly #columns = new Map<string, KeyColumn>();
  readonly #referred = new Set<string>();

  constructor({ tables, foreignKeys }: MaskCatalogue) {
    for (const table of tables)
      for (const column of table.columns) this.#columns.set(nameOf(table.id, column.name), { table, column });
    for (const key of foreignKeys) {
      key.childColumns.forEach((childColumn, index) => {
        const child = nameOf(key.child, childColumn);
        const parent = nameOf(key.parent, key.parentColumns[index]!);
        this.#referred.add(parent);
        const group = new Set([...this.#groupOf(child), ...this.#groupOf(parent)]);
        for (const member of group) this.#groups.set(member, group);
      });
    }
  }

  /** Undefined of a column that is part of no foreign key, on neither side. */
  of(table: CatalogueTable, column: CatalogueColumn): KeyGroup | undefined {
    const name = nameOf(table.id, column.name);
    const group = this.#groups.get(name);
    if (group === undefined) return undefined;
    return {
      columns: [...group].map((member) => this.#columns.get(member)!),
      referred: this.#referred.has(name),
    };
  }

  others(table: CatalogueTable, column: CatalogueColumn): KeyColumn[] {
    const columns = this.of(table, column)?.columns ?? [];
    return columns.filter((other) => other.table !== table || other.column !== column);
  }

  #groupOf(name: string): ReadonlySet<string> {
    return this.#groups.get(name) ?? new Set([name]);
  }
}

function nameOf(table: string, column: string): string {
  return `${table} ${column}`;
}
