/** A table with a column for each of some types, whose rows hold the values of each in turn. */

import type { TypedColumn } from './every-type.ts';
import { type FileColumn, quotedName } from './lake-readers.ts';

export class TortureTable {
  readonly name: string;
  readonly #typed: readonly TypedColumn[];
  /** Without the key. */
  readonly columns: readonly FileColumn[];
  /** Of each of the two halves: as many as every column needs to have had all its values, and NULL. */
  readonly rows: number;
  /** Whether a deletion holds the whole row. */
  readonly full: boolean;

  constructor(name: string, typed: readonly TypedColumn[], options: { readonly full: boolean }) {
    this.name = name;
    this.#typed = typed;
    this.columns = typed.map(({ type, parquet }, i) => ({ name: `${i} ${type}`, parquet }));
    this.rows = Math.max(...typed.map(({ values }) => values.length)) + 2;
    this.full = options.full;
  }

  create(): string {
    const defined = this.columns.map(({ name }, i) => `${quotedName(name)} ${this.#typed[i]!.type}`);
    const identity = this.full ? `ALTER TABLE ${this.name} REPLICA IDENTITY FULL;` : '';
    return `CREATE TABLE ${this.name} (id int PRIMARY KEY, ${defined.join(', ')}); ${identity}`;
  }

  /** Rows from a key on; the last one is all NULL. */
  insert(from: number): string {
    const last = from + this.rows - 1;
    const tuples = Array.from({ length: this.rows - 1 }, (_, i) => {
      const values = this.#typed.map((column) => valueAt(column, from + i));
      return `(${from + i}, ${values.join(', ')})`;
    });
    return `INSERT INTO ${this.name} VALUES ${tuples.join(', ')}; INSERT INTO ${this.name} (id) VALUES (${last});`;
  }

  /** Every row of both halves, every column to its next value. */
  update(): string {
    return Array.from({ length: 2 * this.rows }, (_, id) => {
      const set = this.columns.map(
        ({ name }, i) => `${quotedName(name)} = ${valueAt(this.#typed[i]!, id + 1)}`,
      );
      return `UPDATE ${this.name} SET ${set.join(', ')} WHERE id = ${id};`;
    }).join('\n');
  }
}

function valueAt({ values, type }: TypedColumn, row: number): string {
  const pool = [...values, `NULL::${type}`];
  return pool[row % pool.length]!;
}
