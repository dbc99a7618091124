/** Holds what a database that was brought back, or copied, has against what it should have. Pure. */

import type { DumpFacts, TableFacts } from './dump.ts';

/** How many differences of each kind are listed. */
const LISTED = 10;

/** @returns each difference as a sentence; none where all is the same */
export function compareFacts(expected: DumpFacts, found: DumpFacts): string[] {
  return [
    ...listed(compareTables(expected.tables, found.tables)),
    ...listed(compareSequences(expected.sequences, found.sequences)),
    ...listed(missing(expected.objects, found.objects).map((object) => `${object} is missing`)),
    ...listed(missing(found.objects, expected.objects).map((object) => `${object} should not be there`)),
    ...(expected.largeObjects === found.largeObjects
      ? []
      : [`there are ${found.largeObjects} large objects and not ${expected.largeObjects}`]),
  ];
}

/** Of all tables; none where nobody knows. */
export function rowsIn(facts: Pick<DumpFacts, 'tables'> | undefined): number {
  return facts?.tables.reduce((sum, { rows }) => sum + rows, 0) ?? 0;
}

function compareTables(expected: readonly TableFacts[], found: readonly TableFacts[]): string[] {
  const there = new Map(found.map((table) => [nameOf(table), table]));
  const problems: string[] = [];
  for (const table of expected) {
    const name = nameOf(table);
    const other = there.get(name);
    there.delete(name);
    if (other === undefined) problems.push(`table ${name} is missing`);
    else if (other.rows !== table.rows)
      problems.push(`table ${name} has ${other.rows} rows and not ${table.rows}`);
    else if (other.digest !== table.digest)
      problems.push(`table ${name} has ${table.rows} rows, and they are not the same`);
  }
  for (const name of there.keys()) problems.push(`table ${name} should not be there`);
  return problems;
}

function nameOf({ schema, name }: TableFacts): string {
  return schema === '' ? name : `${schema}.${name}`;
}

function compareSequences(expected: DumpFacts['sequences'], found: DumpFacts['sequences']): string[] {
  return Object.entries(expected)
    .filter(([name, value]) => found[name] !== value)
    .map(([name, value]) =>
      found[name] === undefined
        ? `sequence ${name} is missing`
        : `sequence ${name} stands at ${found[name]} and not at ${value}`,
    );
}

function missing(from: readonly string[], among: readonly string[]): string[] {
  const there = new Set(among);
  return from.filter((object) => !there.has(object));
}

function listed(problems: readonly string[]): string[] {
  const more = problems.length - LISTED;
  return more > 0 ? [...problems.slice(0, LISTED), `and ${more} more of this kind`] : [...problems];
}
