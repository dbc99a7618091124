/** Which tables come into a job and which leave it. Pure. */

import type { Manifest, ManifestEvent, ManifestTable } from './manifest.ts';

interface Named {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

/** A table that is or was of a job. */
interface Known extends Named {
  /** Of one that left it. */
  readonly untilLsn?: string | undefined;
}

/** Tables that come and go at one manifest. A table that is loaded again is in both. */
export interface Membership {
  readonly checkpoint: Manifest;
  readonly added: readonly Named[];
  readonly removed: readonly Named[];
  /** A place of the log behind the removals. */
  readonly lsn: string;
}

/** Tables that the job has not yet; one of another name, or made again under its name, is another table. */
export function addedTables<T extends Named>(
  known: readonly Known[],
  now: readonly T[],
  again: (table: T) => boolean = () => false,
): T[] {
  return now.filter((table) => again(table) || !known.some((one) => isMember(one) && isSame(one, table)));
}

/** Tables that the job has no more. */
export function removedTables<K extends Known, T extends Named>(
  known: readonly K[],
  now: readonly T[],
  again: (table: T) => boolean = () => false,
): K[] {
  return known.filter(isMember).filter((table) => {
    const there = now.find((one) => isSame(one, table));
    return there === undefined || again(there);
  });
}

/**
 * Tables that stay, and those that left and whose last changes are still to come; of these not the ones in whose folder
 * another table of their name lies now.
 */
export function keptTables({ checkpoint, added, removed, lsn }: Membership): ManifestTable[] {
  return checkpoint.tables.flatMap((table) => {
    const replaced = added.some(({ schema, name }) => schema === table.schema && name === table.name);
    if (replaced) return [];
    return removed.some((one) => isSame(one, table)) ? [{ ...table, untilLsn: lsn }] : [table];
  });
}

export function membershipEvents({ added, removed, lsn }: Membership): ManifestEvent[] {
  const event =
    (kind: 'table-added' | 'table-removed') =>
    ({ schema, name }: Named): ManifestEvent => ({ kind, schema, table: name, lsn, ordinal: 0 });
  return [...removed.map(event('table-removed')), ...added.map(event('table-added'))];
}

function isMember({ untilLsn }: Known): boolean {
  return untilLsn === undefined;
}

function isSame(one: Named, other: Named): boolean {
  return one.oid === other.oid && one.schema === other.schema && one.name === other.name;
}
