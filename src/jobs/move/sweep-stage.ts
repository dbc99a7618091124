/**
 * The sweep stage: a shard is a range of primary keys of a column; every row of it is read and what it names is
 * moved. It needs no index on the column, and it finds what an index cannot: references inside documents and text,
 * rare spellings, rows whose object is missing.
 */

import type { KeyRange, NamingRow } from '../../databases/database.ts';
import type { Shard } from '../../engine/journal.ts';
import type { ShardResult } from '../../engine/local-engine.ts';
import { observe } from '../../stores/observe.ts';
import { type BatchRow, moveBatch } from './batch.ts';
import { type BatchObject, OBSERVE_LANES } from './batch-object.ts';
import type { BoundColumn, MoveContext, MoveScope } from './context.ts';
import { isCandidate } from './lay-out.ts';
import { settleReadings } from './settle-readings.ts';
import { ShardRecord } from './shard-record.ts';
import { emptyTally, type Tally } from './tally.ts';

/** A shard of the sweep. Plain data. */
export interface SweepSpec {
  readonly column: number;
  readonly range: KeyRange;
}

/** Rows a shard spans, and rows read at once. */
export const SWEEP_ROWS = 20_000;
const BATCH_ROWS = 1000;
const BATCH_OBJECTS = 1000;
/** Old and new values of a batch are recorded together. */
const BATCH_CHARACTERS = 4 * 1024 * 1024;

/** The shards that together read every row of every column. */
export async function* sweepShards(scope: MoveScope, signal: AbortSignal): AsyncGenerator<SweepSpec> {
  for (const column of scope.columns) {
    for await (const range of column.database.ranges(column.facts, SWEEP_ROWS, signal)) {
      yield { column: column.index, range };
    }
  }
}

export async function runSweepShard(
  context: MoveContext,
  spec: SweepSpec,
  shard: Shard,
  signal: AbortSignal,
): Promise<ShardResult<Tally>> {
  const column = context.columns[spec.column]!;
  const record = await ShardRecord.open(context, shard, signal);
  for await (const read of sweptRows(context, column, spec.range, signal)) {
    const { objects, rows } = await objectsOf(context, read, signal);
    await moveBatch(context, { objects, rows, targetFirst: true }, record, signal);
  }
  await record.close(signal);
  return { outcome: emptyTally(), details: [] };
}

/** The rows of a range that name objects of the source, in batches of bounded size. */
export async function* sweptRows(
  scope: MoveScope,
  column: BoundColumn,
  range: KeyRange,
  signal: AbortSignal,
): AsyncGenerator<BatchRow[]> {
  const needles = scope.finder.needles();
  const options = { batchRows: BATCH_ROWS, ...(needles.length === 0 ? {} : { needles }) };
  let batch: BatchRow[] = [];
  let named = 0;
  let characters = 0;
  for await (const rows of column.database.scan(column.facts, range, options, signal)) {
    for (const row of rows) {
      const references = referencesOf(scope, column, row);
      if (references.length === 0) continue;
      batch.push({ column: column.index, row, references });
      named += references.length;
      characters += row.value.length;
      if (named < BATCH_OBJECTS && characters < BATCH_CHARACTERS) continue;
      yield batch;
      batch = [];
      named = 0;
      characters = 0;
    }
  }
  if (batch.length > 0) yield batch;
}

function referencesOf(scope: MoveScope, column: BoundColumn, row: NamingRow): BatchRow['references'] {
  const references = scope.finder.find(row.value, column.facts.within);
  return references.length === 0
    ? references
    : references.filter((reference) => isCandidate(scope, reference.sourceKey));
}

/**
 * The objects that rows name, and the rows with each reference read the way that exists: a key that looks encoded
 * is taken as it stands, unless only the decoded one names an object.
 */
export async function objectsOf(
  context: Pick<MoveScope, 'source' | 'target'>,
  read: readonly BatchRow[],
  signal: AbortSignal,
): Promise<{ objects: Map<string, BatchObject>; rows: BatchRow[] }> {
  const settle = await settleReadings(
    read.flatMap(({ references }) => references),
    context,
    signal,
  );
  const rows = read.map((row) => ({ ...row, references: row.references.map(settle) }));
  const found = await observe(
    context.source,
    rows.flatMap((row) => row.references.map(({ sourceKey }) => sourceKey)),
    { concurrency: OBSERVE_LANES, signal },
  );
  const objects = new Map<string, BatchObject>();
  for (const { sourceKey, targetKey } of rows.flatMap((row) => row.references)) {
    objects.set(sourceKey, {
      sourceKey,
      targetKey,
      source: found.get(sourceKey),
      target: undefined,
      existedBefore: undefined,
      state: 'open',
    });
  }
  return { objects, rows };
}
