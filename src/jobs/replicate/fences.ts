/**
 * Which changes belong into the change files: those of the job's tables that their full load does not have already.
 * Tables, or ranges of keys of one table, may have been loaded at different places of the server's log. Pure.
 */

import { type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import { eachField, FIELD, type Relation, type Tuple } from '../../databases/postgres/pgoutput.ts';
import type { ManifestTable } from './manifest.ts';

/** What says of a table which of its changes are wanted. */
export type FencedTable = Pick<ManifestTable, 'oid' | 'schema' | 'name' | 'fromLsn' | 'untilLsn' | 'keys'>;

/** Of one table. */
export interface Fence {
  /** Every change that committed at or behind this is wanted. */
  readonly wholeFrom: Lsn;
  /** No change that committed at or behind this is wanted. */
  readonly until: Lsn;
  /** @param tuple holds the key */
  wants(commitLsn: Lsn, tuple: Tuple): boolean;
}

/** The fence of a table of the job; undefined for any other table, also for one that has another name meanwhile. */
export function fenceOf(tables: readonly FencedTable[], relation: Relation): Fence | undefined {
  const table = tables.find((one) => isOf(relation, one));
  if (table === undefined) return undefined;
  const from = parseLsn(table.fromLsn);
  const { keys, untilLsn } = table;
  const until = untilLsn === undefined ? END_OF_LOG : parseLsn(untilLsn);
  if (keys === undefined)
    return { wholeFrom: from, until, wants: (commitLsn) => commitLsn >= from && commitLsn < until };
  const ranges = keys.ranges.map((range) => ({
    low: range.low === null ? undefined : BigInt(range.low),
    from: parseLsn(range.fromLsn),
  }));
  const place = relation.columns.findIndex(({ name }) => name === keys.column);
  const wholeFrom = ranges.reduce((last, range) => (range.from > last ? range.from : last), from);
  return {
    wholeFrom,
    until,
    wants(commitLsn, tuple) {
      if (commitLsn >= wholeFrom) return commitLsn < until;
      const key = BigInt(fieldText(tuple, place));
      const range = ranges.findLast(({ low }) => low === undefined || low <= key);
      return commitLsn >= (range?.from ?? from);
    },
  };
}

/** Whether the relation is that table, under the name that it had in the job. */
export function isOf(relation: Relation, table: FencedTable): boolean {
  return table.oid === relation.oid && table.schema === relation.schema && table.name === relation.table;
}

/** Behind every place of a log. */
const END_OF_LOG = 1n << 64n;

function fieldText(tuple: Tuple, place: number): string {
  let text = '';
  eachField(tuple, (index, mark, at, length) => {
    if (index === place && mark === FIELD.text) text = tuple.bytes.toString('latin1', at, at + length);
  });
  return text;
}
