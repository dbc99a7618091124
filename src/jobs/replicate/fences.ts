/**
 * Which changes belong into the change files: those of the job's tables that their full load does not have already.
 * Tables, or ranges of keys of one table, may have been loaded at different places of the server's log. Pure.
 */

import { type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import { eachField, FIELD, type Relation, type Tuple } from '../../databases/postgres/pgoutput.ts';
import type { ManifestTable } from './manifest.ts';

/** Of one table. */
export interface Fence {
  /** Every change that committed at or behind this is wanted. */
  readonly wholeFrom: Lsn;
  /** @param tuple holds the key */
  wants(commitLsn: Lsn, tuple: Tuple): boolean;
}

/** The fence of a table of the job; undefined for any other table, also for one that has another name meanwhile. */
export function fenceOf(tables: readonly ManifestTable[], relation: Relation): Fence | undefined {
  const table = tables.find(({ oid }) => oid === relation.oid);
  if (table === undefined || table.schema !== relation.schema || table.name !== relation.table)
    return undefined;
  const from = parseLsn(table.fromLsn);
  const { keys } = table;
  if (keys === undefined) return { wholeFrom: from, wants: (commitLsn) => commitLsn >= from };
  const ranges = keys.ranges.map((range) => ({
    low: range.low === null ? undefined : BigInt(range.low),
    from: parseLsn(range.fromLsn),
  }));
  const place = relation.columns.findIndex(({ name }) => name === keys.column);
  const wholeFrom = ranges.reduce((last, range) => (range.from > last ? range.from : last), from);
  return {
    wholeFrom,
    wants(commitLsn, tuple) {
      if (commitLsn >= wholeFrom) return true;
      const key = BigInt(fieldText(tuple, place));
      const range = ranges.findLast(({ low }) => low === undefined || low <= key);
      return commitLsn >= (range?.from ?? from);
    },
  };
}

function fieldText(tuple: Tuple, place: number): string {
  let text = '';
  eachField(tuple, (index, mark, at, length) => {
    if (index === place && mark === FIELD.text) text = tuple.bytes.toString('latin1', at, at + length);
  });
  return text;
}
