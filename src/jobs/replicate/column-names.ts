/** What columns of files are called now: a column that was renamed has its former name in files of before. Pure. */

import type { SourceTable } from '../../databases/postgres/table-catalogue.ts';

/** What is known of the columns of a table at one time. */
export interface ColumnsThen {
  /** In the order of the table. */
  readonly names: readonly string[];
  /** Of a key. */
  readonly key: readonly string[];
}

/**
 * @param stages in the order of time
 * @returns for each stage the names that its columns have now; those that are gone keep their last one
 */
export function namesNow(stages: readonly ColumnsThen[], table: SourceTable): ReadonlyMap<string, string>[] {
  const columns = table.columns.filter(({ generated }) => !generated).map(({ name }) => name);
  const generated = new Set(table.columns.filter((column) => column.generated).map(({ name }) => name));
  // Places of columns that were dropped stay empty.
  const neverDropped = table.columns.every(({ number }, i) => number === i + 1);
  const key = table.primaryKey.length > 0 ? table.primaryKey : table.identityColumns;
  const found: Map<string, string>[] = [];
  let after: ColumnsThen = { names: columns, key };
  let now = new Map(columns.map((name) => [name, name]));
  let last: ColumnsThen | undefined;
  for (const stage of stages.toReversed()) {
    if (stage === last) {
      found.push(now);
      continue;
    }
    last = stage;
    const names = stage.names.filter((name) => !generated.has(name));
    const renamed = renames(names, after, neverDropped);
    const next = after;
    const later = now;
    now = new Map(
      names.map((name) => {
        const then = renamed.get(name) ?? name;
        return [name, next.names.includes(then) ? later.get(then)! : name];
      }),
    );
    found.push(now);
    after = { names, key: stage.key };
  }
  return found.reverse();
}

/**
 * Columns are added behind the others, so a new name before one that stays is another name of a column. Behind those it
 * may also be another column; not so that of a key, or where none was ever dropped.
 */
function renames(
  before: readonly string[],
  { names: after, key }: ColumnsThen,
  neverDropped: boolean,
): Map<string, string> {
  const found = new Map<string, string>();
  const gaps = gapsOf(before, new Set(after));
  const gapsAfter = gapsOf(after, new Set(before));
  for (const [i, gone] of gaps.entries()) {
    const come = gapsAfter[i] ?? [];
    const isLast = i === gaps.length - 1;
    if (isLast ? gone.length > come.length : gone.length !== come.length) continue;
    for (const [place, name] of gone.entries()) {
      const other = come[place]!;
      if (!isLast || neverDropped || key.includes(other)) found.set(name, other);
    }
  }
  return found;
}

/** The others before, between and behind those that stay. */
function gapsOf(names: readonly string[], stay: ReadonlySet<string>): string[][] {
  const gaps: string[][] = [[]];
  for (const name of names) {
    if (stay.has(name)) gaps.push([]);
    else gaps.at(-1)!.push(name);
  }
  return gaps;
}
