/**
 * Copies a PostgreSQL database into an empty one, on the same server or another: read under one snapshot over several
 * connections, large tables by ranges of their pages, each row passed on as the source sends it.
 */

import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import { type DumpFacts, JOBS, type RestoreOptions } from '../dump.ts';
import { type PreparedSplitDump, prepareSplitDump, type SplitDumpOptions } from './split-dump.ts';
import { type LoadedTable, openSplitLoad } from './split-load.ts';

export interface CopyDatabaseOptions extends SplitDumpOptions, Pick<RestoreOptions, 'noOwner'> {
  /** Whether to read what the snapshot holds, too, so that the copy can be compared. */
  readonly facts?: boolean | undefined;
}

export interface CopyListener {
  onPhase(phase: 'schema' | 'rows' | 'large objects' | 'indexes and constraints' | 'checksums'): void;
  /** @param of about how many bytes of tables there are */
  onBytes(bytes: number, of: number): void;
}

export interface CopiedDatabase {
  readonly tables: number;
  readonly rows: number;
  /** What the source sent, as text. */
  readonly bytes: number;
  /** Of the source, where they were asked for. */
  readonly facts: DumpFacts | undefined;
}

/**
 * @param target an empty database
 * @throws CHECK_FAILED where no pg_dump serves the source; DATABASE_FAILED at the first error, with the target in pieces
 */
export async function copyDatabase(
  source: DatabaseConnection,
  target: DatabaseConnection,
  options: CopyDatabaseOptions,
  listener: CopyListener,
  signal: AbortSignal,
): Promise<CopiedDatabase> {
  const { jobs = JOBS } = options;
  await using dump = await prepareSplitDump(source, { ...options, jobs });
  await using load = await openSplitLoad(target, options, jobs, signal);
  listener.onPhase('schema');
  await load.runScript(dump.script('pre-data', signal));
  // Written while rows are copied: it needs no connection of theirs.
  const later = buffer(dump.script('post-data', signal));
  later.catch(() => undefined);
  listener.onPhase('rows');
  const tables = Map.groupBy(dump.parts, ({ table }) => table);
  const of = bytesOf(dump.parts);
  let [rows, bytes, done] = [0, 0, 0];
  await forEachConcurrent(dump.parts, jobs, async (part) => {
    const isWhole = tables.get(part.table)!.length === 1;
    const piped = await load.take(part.table, isWhole, (into) => dump.pipe(part, into, signal));
    rows += piped.rows;
    bytes += piped.bytes;
    done += part.bytes;
    listener.onBytes(done, of);
  });
  if (dump.scripts.includes('large-objects')) {
    listener.onPhase('large objects');
    await load.runScript(dump.script('large-objects', signal));
  }
  await load.setSequences(dump.sequences);
  const facts = options.facts === true ? await readFacts(dump, listener, signal) : undefined;
  const script = await later;
  // The source may clean up what the snapshot held, for building indexes takes its time.
  await dump[Symbol.asyncDispose]();
  listener.onPhase('indexes and constraints');
  const sizes = new Map<LoadedTable, number>();
  for (const [table, parts] of tables) sizes.set(table, bytesOf(parts));
  await load.finish(Readable.from([script], { objectMode: false }), sizes);
  return { tables: tables.size, rows, bytes, facts };
}

function readFacts(dump: PreparedSplitDump, listener: CopyListener, signal: AbortSignal): Promise<DumpFacts> {
  listener.onPhase('checksums');
  return dump.snapshotFacts(signal);
}

function bytesOf(parts: PreparedSplitDump['parts']): number {
  return parts.reduce((sum, part) => sum + part.bytes, 0);
}
