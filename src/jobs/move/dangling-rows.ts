/**
 * Rows whose object does not exist, each looked at again before it is called so: between reading a row and looking
 * for its object, a service at work may have changed both.
 */

import type { BoundColumn } from './context.ts';
import type { NamedBy, NameIndex } from './name-index.ts';

/** A row and the key that it names, in the store that was looked at. */
export interface DanglingRow {
  /** As a person would write it: `public.avatars.path`. */
  readonly column: string;
  /** Empty where the table has no primary key. */
  readonly row: readonly string[];
  readonly key: string;
}

/** A key that a row was seen to name. */
export interface SeenNaming {
  readonly primaryKey: readonly string[];
  readonly key: string;
}

/** How the values of a column are read. */
export interface DanglingCheck {
  /** For each place of a value that names an object: the keys it may mean, the likeliest first. */
  readonly readingsOf: (value: string, column: Pick<BoundColumn, 'facts'>) => readonly (readonly string[])[];
  /** Which of some keys exist after all; a key in the right place under another name counts. */
  readonly existing: (keys: readonly string[]) => Promise<ReadonlySet<string>>;
}

const ROWS_AT_ONCE = 1000;

/**
 * The rows of the keys that were noted as absent.
 * @param names sealed, with its absent keys noted
 */
export async function* danglingRows(
  names: NameIndex,
  columns: readonly Pick<BoundColumn, 'facts' | 'database' | 'index'>[],
  check: DanglingCheck,
  signal: AbortSignal,
): AsyncGenerator<DanglingRow> {
  for (const page of names.absent(ROWS_AT_ONCE)) {
    const found = await check.existing(page);
    const absent = page.filter((key) => !found.has(key));
    for (const batch of batches(names, absent)) {
      for (const column of columns) {
        const mine = batch.filter((seen) => seen.column === column.index);
        const { readingsOf, existing } = check;
        const read = { existing, readingsOf: (value: string) => readingsOf(value, column) };
        for (const { key, primaryKey } of await stillDangling(column, mine, read, signal)) {
          yield { column: column.facts.name, row: primaryKey, key };
        }
      }
    }
  }
}

function* batches(names: NameIndex, keys: readonly string[]): Generator<(SeenNaming & NamedBy)[]> {
  let batch: (SeenNaming & NamedBy)[] = [];
  for (const key of keys) {
    for (const by of names.rowsOf(key)) {
      batch.push({ ...by, key });
      if (batch.length < ROWS_AT_ONCE) continue;
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/**
 * Of rows that were seen to name a key which does not exist, those that still do and mean no other key that exists.
 * A place of a value with several readings is told once, by its likeliest key. Rows without a primary key cannot be
 * asked again and stay.
 */
export async function stillDangling<T extends SeenNaming>(
  column: Pick<BoundColumn, 'facts' | 'database'>,
  seen: readonly T[],
  check: { readonly readingsOf: (value: string) => readonly (readonly string[])[] } & Pick<
    DanglingCheck,
    'existing'
  >,
  signal: AbortSignal,
): Promise<T[]> {
  const keyed = seen.filter(({ primaryKey }) => primaryKey.length > 0);
  const dangling = seen.filter(({ primaryKey }) => primaryKey.length === 0);
  if (keyed.length === 0) return dangling;
  const distinct = new Map(keyed.map(({ primaryKey }) => [JSON.stringify(primaryKey), primaryKey]));
  const rows = await column.database.rowsByKey(column.facts, [...distinct.values()], signal);
  const readings = new Map(rows.map((row) => [JSON.stringify(row.primaryKey), check.readingsOf(row.value)]));
  const named: { readonly one: T; readonly keys: readonly string[] }[] = [];
  for (const one of keyed) {
    const keys = readings.get(JSON.stringify(one.primaryKey))?.find((readings) => readings.includes(one.key));
    if (keys !== undefined) named.push({ one, keys });
  }
  if (named.length === 0) return dangling;
  const existing = await check.existing([...new Set(named.flatMap(({ keys }) => keys))]);
  for (const { one, keys } of named) if (!keys.some((key) => existing.has(key))) dangling.push(one);
  return dangling;
}
