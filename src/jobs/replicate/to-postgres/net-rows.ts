/**
 * What changes of one table come to, row by row, so that a row that is changed often is written once. Pure.
 *
 * | there is | and comes | gives |
 * | --- | --- | --- |
 * | nothing | insert, update, delete | the same |
 * | insert | update / delete | insert of the new values / nothing |
 * | update | update / delete | update of both / delete |
 * | delete | insert | replace: an update of every column |
 * | replace | update / delete | replace by the new values / delete |
 */

import { LongshoreError } from '../../../errors.ts';

/** Values by the places of their columns; undefined for one that an update did not send, because it did not change. */
export type Values = (string | null | undefined)[];

export interface NetRow {
  kind: 'insert' | 'update' | 'replace' | 'delete';
  readonly key: Values;
  values: Values;
}

export class NetRows {
  readonly #key: readonly number[];
  readonly #rows = new Map<string, NetRow>();

  /** @param key places of the key's columns, at least one */
  constructor(key: readonly number[]) {
    this.#key = key;
  }

  get size(): number {
    return this.#rows.size;
  }

  insert(values: Values): void {
    const key = this.keyOf(values);
    const name = nameOf(key);
    const before = this.#rows.get(name);
    if (before === undefined) this.#rows.set(name, { kind: 'insert', key, values });
    else if (before.kind === 'delete') {
      before.kind = 'replace';
      before.values = values;
    } else throw outOfOrder();
  }

  update(values: Values): void {
    const key = this.keyOf(values);
    const name = nameOf(key);
    const before = this.#rows.get(name);
    if (before === undefined) this.#rows.set(name, { kind: 'update', key, values });
    else if (before.kind === 'delete') throw outOfOrder();
    else before.values = over(before.values, values);
  }

  /** @param values with those of the key */
  delete(values: Values): void {
    const key = this.keyOf(values);
    const name = nameOf(key);
    const before = this.#rows.get(name);
    if (before?.kind === 'insert') this.#rows.delete(name);
    else if (before === undefined) this.#rows.set(name, { kind: 'delete', key, values: [] });
    else if (before.kind === 'delete') throw outOfOrder();
    else before.kind = 'delete';
  }

  /**
   * An update of the key: another row.
   * @returns false, with nothing done, where the new row is not whole and nothing here completes it
   */
  move(before: Values, values: Values): boolean {
    const old = this.#rows.get(nameOf(this.keyOf(before)));
    if (old?.kind === 'delete') throw outOfOrder();
    const whole = old === undefined ? values : over(old.values, values);
    if (whole.includes(undefined)) return false;
    this.delete(before);
    this.insert(whole);
    return true;
  }

  /** What it came to; nothing is left. */
  take(): NetRow[] {
    const rows = [...this.#rows.values()];
    this.#rows.clear();
    return rows;
  }

  keyOf(values: Values): Values {
    return this.#key.map((place) => values[place]);
  }
}

/** No text of PostgreSQL holds U+0000. */
export function nameOf(key: Values): string {
  return key.join('\0');
}

function over(before: Values, now: Values): Values {
  return now.map((value, i) => (value === undefined ? before[i] : value));
}

function outOfOrder(): LongshoreError {
  return new LongshoreError('DATABASE_FAILED', 'the change stream changes a row that is not there', {
    hint: 'run the same command again; if it stays so, --resync loads the table again',
  });
}
