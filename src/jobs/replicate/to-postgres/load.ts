/**
 * The full load: chunks of tables under one snapshot, several at once, each read by one connection and written by another
 * without being decoded; then indexes, constraints and statistics of the planner.
 *
 * A chunk is written in a transaction of its own together with its note, and so is each index: a load whose process died
 * goes on with what is not noted, as long as its snapshot is held.
 */

import { pipeCopy } from '../../../databases/postgres/copy-pipe.ts';
import { type Doing, postgresError } from '../../../databases/postgres/errors.ts';
import type { Session } from '../../../databases/postgres/open-session.ts';
import { createLater } from '../../../databases/postgres/schema-create.ts';
import { quotedTable, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../../errors.ts';
import type { Failpoint } from '../../../flow/failpoint.ts';
import { forEachConcurrent } from '../../../flow/for-each-concurrent.ts';
import type { ReplicateListener } from '../events.ts';
import type { Chunk } from '../load-ledger.ts';
import { type CopyForm, copyInText, copyOutText } from './copy-form.ts';
import type { Readers } from './readers.ts';
import { silenceTriggers } from './sides.ts';
import { beginStep, doneSteps, endStep, type LoadPlan } from './target-state.ts';

export interface LoadOptions {
  readonly job: string;
  readonly workers: number;
  readonly plan: LoadPlan;
  readonly openTarget: (action: string) => Promise<Session>;
  readonly doing: (action: string) => Doing;
  readonly emit: ReplicateListener;
  readonly failpoint: Failpoint;
}

export interface Loaded {
  /** Of the whole load, with what a process before this one did. */
  readonly rows: number;
  readonly bytes: number;
  /** By the oid of the table. */
  readonly rowsByTable: ReadonlyMap<number, number>;
}

interface Task {
  readonly source: SourceTable;
  readonly chunk: Chunk;
  readonly form: CopyForm;
}

/** What is read from. */
export interface LoadSources {
  /** Of the plan, as the snapshot sees them. */
  readonly tables: ReadonlyMap<number, SourceTable>;
  /** At least as many as workers. */
  readonly readers: Readers;
  /** A note is of no use to a load that cannot be gone on with; this resolves when the snapshot is held elsewhere, too. */
  readonly kept: Promise<void>;
}

/** Copies every chunk that is not copied yet. */
export async function copyRows(
  options: LoadOptions,
  sources: LoadSources,
  signal: AbortSignal,
): Promise<void> {
  const { plan, emit } = options;
  const done = await stepsDone(options);
  const open = chunksOf(plan).filter(({ chunk }) => !done.has(stepOf(chunk)));
  emit({
    type: 'load-started',
    tables: plan.tables.length,
    chunks: open.length,
    chunksKept: chunksOf(plan).length - open.length,
  });
  const tasks = open.map(
    ({ chunk, format }): Task => ({ source: sources.tables.get(chunk.oid)!, chunk, form: format }),
  );
  await copyChunks(options, tasks, sources, signal);
}

/** Whether no row is left to copy. */
export async function isCopied(options: LoadOptions): Promise<boolean> {
  const done = await stepsDone(options);
  return chunksOf(options.plan).every(({ chunk }) => done.has(stepOf(chunk)));
}

/** Makes what is made when the rows are there, as far as it is not made yet. */
export async function completeTables(options: LoadOptions, signal: AbortSignal): Promise<Loaded> {
  const done = await stepsDone(options);
  await makeLater(options, done, signal);
  await analyse(options, signal);
  const rowsByTable = new Map<number, number>();
  let rows = 0;
  let bytes = 0;
  for (const { chunk } of chunksOf(options.plan)) {
    const counted = done.get(stepOf(chunk))!;
    rows += counted.rows;
    bytes += counted.bytes;
    rowsByTable.set(chunk.oid, (rowsByTable.get(chunk.oid) ?? 0) + counted.rows);
  }
  return { rows, bytes, rowsByTable };
}

function chunksOf({ tables }: LoadPlan): { readonly chunk: Chunk; readonly format: CopyForm }[] {
  return tables.flatMap(({ chunks, format }) => chunks.map((chunk) => ({ chunk, format })));
}

async function stepsDone({ job, plan, openTarget }: LoadOptions): ReturnType<typeof doneSteps> {
  await using session = await openTarget('read what is loaded');
  return await doneSteps(session.client, job, plan.id);
}

function stepOf({ oid, number }: Chunk): string {
  return `chunk ${oid}-${number}`;
}

/** Connections to the target, opened when there is something to write. */
class Writers implements AsyncDisposable {
  readonly #free: Session[] = [];
  readonly #stack = new AsyncDisposableStack();
  readonly #open: LoadOptions['openTarget'];

  constructor({ openTarget }: LoadOptions) {
    this.#open = openTarget;
  }

  async take(): Promise<Session> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const session = this.#stack.use(await this.#open('write rows'));
    await silenceTriggers(session);
    return session;
  }

  give(session: Session): void {
    this.#free.push(session);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

async function copyChunks(
  options: LoadOptions,
  tasks: readonly Task[],
  { readers, kept }: LoadSources,
  signal: AbortSignal,
): Promise<void> {
  const { job, plan, workers, emit, failpoint, doing } = options;
  await using writers = new Writers(options);
  // The first failure stops the others in the middle of their chunks.
  const failed = new AbortController();
  const stopped = AbortSignal.any([signal, failed.signal]);
  await forEachConcurrent(tasks, workers, async ({ source, chunk, form }) => {
    stopped.throwIfAborted();
    try {
      const writer = await writers.take();
      const reader = readers.take();
      const { client } = writer;
      await beginStep(client, job, plan.id);
      const counts = await pipeCopy(
        { client: reader.client, text: copyOutText(source, chunk, form) },
        { client, text: copyInText(source, chunk, form) },
        stopped,
      );
      failpoint('chunk-copied');
      await kept;
      await endStep(client, job, plan.id, stepOf(chunk), counts);
      failpoint('chunk-noted');
      writers.give(writer);
      readers.give(reader);
      emit({
        type: 'chunk-loaded',
        schema: source.schema,
        table: source.name,
        rows: counts.rows,
        bytes: counts.bytes,
      });
    } catch (error) {
      const told = signal.aborted
        ? signal.reason
        : copyError(error, doing(`copy rows of ${quotedTable(source)}`));
      failed.abort(told);
      throw told;
    }
  });
}

/** Bytes that the target cannot read are no broken connection, though they have its code. */
function copyError(error: unknown, doing: Doing): LongshoreError {
  const known = postgresError(error, doing);
  if (known.context['sqlState'] !== PROTOCOL_VIOLATION) return known;
  return new LongshoreError('DATABASE_FAILED', known.message, { context: known.context });
}

const PROTOCOL_VIOLATION = '08P01';

async function makeLater(
  options: LoadOptions,
  done: ReadonlyMap<string, unknown>,
  signal: AbortSignal,
): Promise<void> {
  const { job, plan, workers, openTarget, emit, failpoint, doing } = options;
  for (const [i, groups] of plan.later.entries()) {
    const numbered = groups.map((statements, j) =>
      statements
        .map((statement, k) => ({ statement, step: `later ${i}-${j}-${k}` }))
        .filter(({ step }) => !done.has(step)),
    );
    await forEachConcurrent(
      numbered.filter((group) => group.length > 0),
      workers,
      async (group) => {
        await using session = await openTarget('make indexes and constraints');
        await session.client.query('SET lock_timeout = 0');
        for (const { statement, step } of group) {
          signal.throwIfAborted();
          try {
            await beginStep(session.client, job, plan.id);
            const notice = await createLater(session.client, statement);
            await endStep(session.client, job, plan.id, step);
            if (notice !== undefined) emit({ type: 'notice', text: notice });
          } catch (error) {
            throw postgresError(error, doing(`make ${statement.what}`));
          }
          failpoint('later-made');
        }
      },
    );
  }
}

/** So that the planner knows the tables before changes come. */
async function analyse({ plan, openTarget }: LoadOptions, signal: AbortSignal): Promise<void> {
  await using session = await openTarget('gather statistics');
  for (const { table } of plan.tables) {
    signal.throwIfAborted();
    await session.client.query(`ANALYZE ${quotedTable(table)}`);
  }
}
