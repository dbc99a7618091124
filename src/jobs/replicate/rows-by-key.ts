/**
 * The rows of a table as a replica has them, by key, in a temporary SQLite file, so that memory stays flat. Changes are
 * applied to them, and what contradicts the rows that are there is told; in the end rows of the table are held against
 * them.
 */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { mapField, UNFIT_COLUMN } from '../../databases/postgres/field-mapping.ts';
import type { SourceTable } from '../../databases/postgres/table-catalogue.ts';
import type { RowText } from '../../formats/columns/row-texts.ts';
import type { Op } from './change-table.ts';
import { keyText } from './row-key.ts';

export interface RowDifference {
  /** Values of the primary key; of the whole row where there is none, or one with a generated column. */
  readonly key: string;
  readonly what:
    | 'only in the table'
    | 'only in the files'
    | 'only in the target'
    | 'different'
    | 'inserted twice'
    | 'changed though absent';
}

/** Differences of one table: all are counted, some are kept. */
export class Differences {
  readonly listed: RowDifference[] = [];
  count = 0;

  tell(difference: RowDifference): void {
    this.count++;
    if (this.listed.length < LISTED) this.listed.push(difference);
  }
}

const LISTED = 20;

export class RowsByKey implements Disposable {
  readonly table: SourceTable;
  /** Those that changes have, too. */
  readonly columns: SourceTable['columns'];
  readonly names: readonly string[];
  readonly folder = mkdtempSync(join(tmpdir(), 'longshore-verify-'));
  readonly differences = new Differences();
  /** Columns of the primary key, where changes have them, or all; then of whatever else changes name their rows by. */
  readonly #keys: readonly (readonly string[])[];
  /** By key, whether a row is there of which it is not known: the column was added later. */
  readonly #unknown: boolean[];
  readonly #numbers: readonly string[];
  readonly #tellsAbsent: boolean;
  readonly #db: DatabaseSync;
  readonly #add: StatementSync;
  readonly #drop: readonly StatementSync[];
  readonly #dropSame: StatementSync;
  readonly #dropOne: StatementSync;

  /**
   * @param identities names of columns, of each kind in which changes name their rows
   * @param tellsAbsent whether all rows were loaded, so that a change of another one contradicts them
   */
  constructor(table: SourceTable, identities: readonly (readonly string[])[] = [], tellsAbsent = true) {
    this.table = table;
    this.columns = table.columns.filter(({ generated }) => !generated);
    this.names = [...this.columns.map(({ name }) => name), UNFIT_COLUMN];
    this.#numbers = this.columns
      .filter((column) => NUMBERS.has(mapField(column).column.type.kind))
      .map(({ name }) => name);
    this.#tellsAbsent = tellsAbsent;
    const all = this.columns.map(({ name }) => name);
    const isKeyed = table.primaryKey.length > 0 && table.primaryKey.every((name) => all.includes(name));
    const own = isKeyed ? table.primaryKey : all;
    const kinds = Map.groupBy([own, ...identities], kindOf);
    this.#keys = [...kinds.values()].map(([names]) => names!);
    this.#unknown = this.#keys.map(() => false);
    this.#db = new DatabaseSync(join(this.folder, 'rows.sqlite'));
    const places = this.#keys.map((_, i) => `key${i}`);
    const indexes = places.map(
      (key, i) => `CREATE INDEX by_${key} ON rows (${key}${i === 0 ? ', hash' : ''})`,
    );
    this.#db.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
      CREATE TABLE rows (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, ${places.map((key) => `${key} TEXT NOT NULL`).join(', ')}) STRICT;
      ${indexes.join('; ')}; BEGIN`);
    this.#add = this.#db.prepare(
      `INSERT INTO rows (hash, ${places.join(', ')}) VALUES (?, ${places.map(() => '?').join(', ')})`,
    );
    this.#drop = places.map((key) => this.#db.prepare(`DELETE FROM rows WHERE ${key} = ?`));
    const first = (where: string): string =>
      `DELETE FROM rows WHERE id = (SELECT id FROM rows WHERE ${where} LIMIT 1)`;
    this.#dropSame = this.#db.prepare(first('key0 = ? AND hash = ?'));
    this.#dropOne = this.#db.prepare(first('key0 = ?'));
  }

  /** A row of a full load, which has each key once: one that comes twice is left over in the end. */
  put(row: RowText): void {
    const normal = this.#normal(row);
    const keys = this.#keys.map((names, i) => {
      this.#unknown[i] ||= names.some((name) => (normal[name] ?? null) === null);
      return keyText(normal, names);
    });
    this.#add.run(this.#hashOf(normal), ...keys);
  }

  /** One of the identities that were given, for changes by it. */
  identityOf(names: readonly string[]): number {
    return this.#keys.findIndex((one) => kindOf(one) === kindOf(names));
  }

  /** @param identity what says which row the change is of; undefined where the whole row does */
  change(op: Op, row: RowText, identity: number | undefined): void {
    if (identity !== undefined) this.#takeKeyed(op, row, identity);
    else if (op === 'D') this.#take(this.#normal(row));
    if (op !== 'D') this.put(row);
  }

  clear(): void {
    this.#db.exec('DELETE FROM rows');
    this.#unknown.fill(false);
  }

  /** Takes a row of the table out, and tells how it compares. */
  match(row: RowText): void {
    const normal = this.#normal(row);
    const taken = this.#take(normal);
    if (taken === 'same') return;
    const what = taken === undefined ? 'only in the table' : 'different';
    this.differences.tell({ key: keyText(normal, this.#keys[0]!), what });
  }

  /** Tells what is left when every row of the table was matched. */
  tellLeft(): void {
    for (const { key0 } of this.#db.prepare('SELECT key0 FROM rows').iterate())
      this.differences.tell({ key: String(key0), what: 'only in the files' });
  }

  [Symbol.dispose](): void {
    this.#db.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #takeKeyed(op: Op, row: RowText, identity: number): void {
    const key = keyText(this.#normal(row), this.#keys[identity]!);
    const taken = Number(this.#drop[identity]!.run(key).changes);
    const isKnown = this.#tellsAbsent && !this.#unknown[identity];
    if (taken > (op === 'I' ? 0 : 1)) this.differences.tell({ key, what: 'inserted twice' });
    else if (op !== 'I' && taken === 0 && isKnown)
      this.differences.tell({ key, what: 'changed though absent' });
  }

  /** One row: the same, or else another one of its key. */
  #take(normal: RowText): 'same' | 'other' | undefined {
    const key = keyText(normal, this.#keys[0]!);
    if (this.#dropSame.run(key, this.#hashOf(normal)).changes > 0) return 'same';
    return this.#dropOne.run(key).changes > 0 ? 'other' : undefined;
  }

  /**
   * The same for the same values, whatever types their columns had when they were stored: values of the side column stand
   * in their own, as none of those do that fit, and numbers are without the zeros of a scale.
   */
  #normal(row: RowText): RowText {
    const normal = Object.assign(Object.create(null), row) as Record<string, string | null>;
    const side = row[UNFIT_COLUMN] ?? null;
    normal[UNFIT_COLUMN] = null;
    if (side !== null) {
      const unfit = JSON.parse(Buffer.from(side, 'latin1').toString()) as Record<string, string>;
      for (const [name, text] of Object.entries(unfit)) normal[name] ??= Buffer.from(text).toString('latin1');
    }
    for (const name of this.#numbers) {
      const text = normal[name];
      if (text?.includes('.') === true) normal[name] = text.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
    }
    return normal;
  }

  #hashOf(normal: RowText): string {
    const values = this.columns.map(({ name }) => normal[name] ?? null);
    return createHash('sha256').update(JSON.stringify(values)).digest('base64');
  }
}

/** The same columns may be named in another order. */
function kindOf(names: readonly string[]): string {
  return JSON.stringify(names.toSorted());
}

const NUMBERS: ReadonlySet<string> = new Set(['int16', 'int32', 'int64', 'float32', 'float64', 'decimal']);
