/** How the columns of a table come to be those of its next file: which are new, renamed, gone, of another type. Pure. */

export interface WarehouseColumn {
  readonly name: string;
  /** `pg_attribute.attnum`, which stays with a column through a rename; null where it is not known. */
  readonly number: number | null;
  /** Of PostgreSQL. */
  readonly type: string;
  /** Of the file. */
  readonly parquet: string;
}

export interface ColumnChanges {
  readonly dropped: readonly WarehouseColumn[];
  readonly renamed: readonly { readonly from: string; readonly to: string }[];
  readonly retyped: readonly WarehouseColumn[];
  readonly added: readonly WarehouseColumn[];
}

/** Undefined where nothing changed. */
export function columnChanges(
  known: readonly WarehouseColumn[],
  next: readonly WarehouseColumn[],
): ColumnChanges | undefined {
  const pairs = pairColumns(known, next).map((before, i) => ({ column: next[i]!, before }));
  const changes = {
    dropped: known.filter((column) => !pairs.some(({ before }) => before === column)),
    renamed: pairs.flatMap(({ column, before }) =>
      before === undefined || before.name === column.name ? [] : [{ from: before.name, to: column.name }],
    ),
    retyped: pairs.flatMap(({ column, before }) =>
      before === undefined || typeKey(before) === typeKey(column) ? [] : [column],
    ),
    added: pairs.flatMap(({ column, before }) => (before === undefined ? [column] : [])),
  };
  return Object.values(changes).every((some) => some.length === 0) ? undefined : changes;
}

/** Which known column each of the next ones was; undefined for a new one. */
export function pairColumns(
  known: readonly WarehouseColumn[],
  next: readonly WarehouseColumn[],
): (WarehouseColumn | undefined)[] {
  const left = new Set(known);
  const take = (found: WarehouseColumn | undefined): WarehouseColumn | undefined => {
    if (found !== undefined) left.delete(found);
    return found;
  };
  const byNumber = next.map(({ number }) =>
    take(number === null ? undefined : known.find((one) => one.number === number)),
  );
  return next.map(
    (column, i) =>
      byNumber[i] ??
      take(
        [...left].find(
          ({ name, number }) => name === column.name && (number === null || column.number === null),
        ),
      ),
  );
}

/**
 * The numbers of a file's columns, which stand in the order of their numbers. The catalogue may have moved on since the
 * file was written: what it does not tell, the known columns do, or the place between others.
 * @param now as the catalogue has them
 */
export function columnNumbers(
  columns: readonly Omit<WarehouseColumn, 'number'>[],
  known: readonly WarehouseColumn[],
  now: readonly WarehouseColumn[],
): (number | null)[] {
  const guess = (...places: (readonly WarehouseColumn[])[]): (number | null)[] =>
    columns.map((column) => {
      const named = places.flatMap((place) => place.filter(({ name }) => name === column.name));
      // A column that goes and comes again with another type is another one.
      const found = named.find((one) => typeKey(one) === typeKey(column)) ?? named[0];
      return found?.number ?? null;
    });
  const numbers = [guess(now, known), guess(known, now)].find(isRising) ?? columns.map(() => null);
  // Columns that were there before and are there still were in the file, too, whatever they were called.
  const free = known
    .map(({ number }) => number)
    .filter((number) => number !== null && now.some((one) => one.number === number))
    .filter((number) => !numbers.includes(number)) as number[];
  for (let from = 0; from < columns.length; from++) {
    if (numbers[from] !== null) continue;
    let to = from;
    while (to < columns.length && numbers[to] === null) to++;
    const low = numbers[from - 1] ?? 0;
    const high = numbers[to] ?? Number.POSITIVE_INFINITY;
    const between = free.filter((number) => low < number && number < high).sort((a, b) => a - b);
    for (const [i, number] of between.entries()) if (from + i < to) numbers[from + i] = number;
    from = to;
  }
  return numbers;
}

/** Whether both have the same columns, with values that are the same. */
export function sameColumns(
  known: readonly WarehouseColumn[],
  columns: readonly Omit<WarehouseColumn, 'number'>[],
): boolean {
  return (
    known.length === columns.length &&
    columns.every((column, i) => column.name === known[i]!.name && typeKey(column) === typeKey(known[i]!))
  );
}

function isRising(numbers: readonly (number | null)[]): boolean {
  const told = numbers.filter((number) => number !== null);
  return told.every((number, i) => i === 0 || told[i - 1]! < number);
}

/** Equal where values stay what they are: the length of a varchar is no part of them, nor what the file says anyway. */
function typeKey({ type, parquet }: Omit<WarehouseColumn, 'number'>): string {
  if (parquet.startsWith('DECIMAL')) return parquet;
  return `${parquet} ${/^(text|character varying(\(\d+\))?)$/.test(type) ? 'text' : type}`;
}
