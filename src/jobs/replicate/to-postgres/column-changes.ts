/**
 * What happened to the columns of a table between what the target has and what the change stream describes now. The stream
 * tells names and types alone; the catalogue of the source tells which column is which, as it is by now. Where the two do
 * not agree on one reading, the job stops. Pure.
 */

import type { JobColumn } from './target-state.ts';

export type ColumnChange =
  | { readonly kind: 'drop'; readonly name: string }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string }
  | { readonly kind: 'add'; readonly name: string; readonly number: number; readonly type: string }
  /** To one that holds every value of the one before, in the same form. */
  | { readonly kind: 'widen'; readonly name: string; readonly type: string };

export type ColumnChanges =
  | { readonly changes: readonly ColumnChange[]; readonly columns: readonly JobColumn[] }
  | { readonly unclear: string };

export interface NamedColumn {
  readonly name: string;
  readonly type: string;
}

/**
 * @param known columns that the target has, in the order of their numbers
 * @param now columns that changes have from now on, in the same order
 * @param catalogue numbers of the columns by their names, as the source has them by now
 */
export function columnChanges(
  known: readonly JobColumn[],
  now: readonly NamedColumn[],
  catalogue: ReadonlyMap<string, number>,
): ColumnChanges {
  for (const { name, number } of known) {
    const numberNow = catalogue.get(name);
    if (now.some((column) => column.name === name) && numberNow !== undefined && numberNow !== number)
      return { unclear: `${name} is another column than before` };
  }
  const missing = new Map(
    known.filter(({ name }) => !has(now, name)).map((column) => [column.number, column]),
  );
  const changes: ColumnChange[] = [];
  const renamed = new Map<string, string>();
  const added: JobColumn[] = [];
  for (const { name, type } of now.filter((column) => !has(known, column.name))) {
    const number = catalogue.get(name);
    if (number === undefined) return { unclear: `${name} is no column of it by now` };
    const former = missing.get(number);
    if (former !== undefined) {
      renamed.set(former.name, name);
      missing.delete(number);
      changes.push({ kind: 'rename', name: former.name, to: name });
    } else if (known.some((column) => column.number === number))
      return { unclear: `${name} has the place of another column` };
    else {
      added.push({ name, number, type });
      changes.push({ kind: 'add', name, number, type });
    }
  }
  const drops = [...missing.values()].map(({ name }): ColumnChange => ({ kind: 'drop', name }));
  const kept = known
    .filter(({ number }) => !missing.has(number))
    .map((column) => ({ ...column, name: renamed.get(column.name) ?? column.name }));
  const columns = [...kept, ...added];
  if (columns.length !== now.length || columns.some(({ name }, i) => name !== now[i]!.name))
    return { unclear: 'its columns stand in another order' };
  for (const [i, { name, type }] of columns.entries()) {
    const { type: typeNow } = now[i]!;
    if (type === typeNow) continue;
    if (!widens(type, typeNow)) return { unclear: `the type of ${name} was ${type} and is ${typeNow}` };
    changes.push({ kind: 'widen', name, type: typeNow });
    columns[i] = { ...columns[i]!, type: typeNow };
  }
  return { changes: [...drops, ...changes], columns };
}

function has(columns: readonly { readonly name: string }[], name: string): boolean {
  return columns.some((column) => column.name === name);
}

/** Whether every value of a type is the same one in the other: longer texts, numbers with more digits before the point. */
function widens(from: string, to: string): boolean {
  const [one, other] = [parse(from), parse(to)];
  if (one === undefined || other === undefined || one.name !== other.name) return false;
  if (other.length === undefined) return true;
  if (one.length === undefined) return false;
  return other.length >= one.length && one.scale === other.scale;
}

function parse(
  type: string,
): { name: string; length: number | undefined; scale: number | undefined } | undefined {
  const match = /^(character varying|numeric)(?:\((\d+)(?:,(-?\d+))?\))?$/.exec(type);
  if (match === null) return undefined;
  const [, name, length, scale] = match;
  return {
    name: name!,
    length: length === undefined ? undefined : Number(length),
    scale: scale === undefined ? undefined : Number(scale),
  };
}
