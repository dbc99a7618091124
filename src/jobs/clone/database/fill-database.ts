/** Makes the database of a clone under its working name, and fills it: the way that was chosen, then changelog or masks. */

import { Readable } from 'node:stream';
import { type CloneServer, isSameServer } from '../../../databases/clone-server.ts';
import { compareFacts } from '../../../databases/compare-facts.ts';
import type { DumpFacts } from '../../../databases/dump.ts';
import { withDatabase } from '../../../databases/make-database.ts';
import { openRestoreTarget, prepareDump } from '../../../databases/open-dump.ts';
import { LongshoreError } from '../../../errors.ts';
import { type Failpoint, noFailpoint } from '../../../flow/failpoint.ts';
import { applyTo, maskIn } from '../make-fit.ts';
import type { CloneEnvironment } from '../settings.ts';
import { backupText, type DatabasePlan } from './plan-database.ts';
import type { DatabaseRequest } from './request.ts';

export interface Working {
  readonly server: CloneServer;
  readonly working: string;
  readonly note: string;
}

/** @returns how it was made @throws the errors of the databases; CHECK_FAILED where the clone is not as its source */
export async function fill(
  request: DatabaseRequest,
  plan: DatabasePlan,
  place: Working,
  environment: CloneEnvironment,
): Promise<string> {
  const { emit, failpoint = noFailpoint, signal = new AbortController().signal } = environment;
  const database = withDatabase(request.on, place.working);
  if (request.mode === 'create') {
    await place.server.create(place.working, place.note, undefined);
    failpoint('created');
    await applyTo(database, request.changelog, environment, signal);
    return 'empty database';
  }
  const made = await fillByWay(request, plan, place, { ...environment, failpoint, signal });
  failpoint('copied');
  if (request.compare && made.facts !== undefined) {
    emit({ type: 'phase', phase: 'compare' });
    await using target = await openRestoreTarget(database, request);
    const differences = compareFacts(made.facts, await target.facts(made.facts, signal));
    if (differences.length > 0)
      throw new LongshoreError(
        'DATABASE_FAILED',
        `the clone is not as its source: ${differences.join('; ')}`,
        {
          hint: 'it was dropped; run again, and report this with the version of both servers',
        },
      );
  }
  await maskIn(database, request.masking, environment, signal);
  return made.how;
}

interface Made {
  readonly how: string;
  readonly facts: DumpFacts | undefined;
}

async function fillByWay(
  request: DatabaseRequest,
  { way, shape, backup }: DatabasePlan,
  { server, working, note }: Working,
  environment: CloneEnvironment & { readonly signal: AbortSignal; readonly failpoint: Failpoint },
): Promise<Made> {
  const { source, on, compare, backups } = request;
  const { emit, failpoint, signal } = environment;
  const database = withDatabase(on, working);
  if (way === 'template') {
    emit({ type: 'phase', phase: 'copy files' });
    const copied = await server.copy(source.connection.database, working, note);
    if (copied !== undefined) return { how: copied.how, facts: undefined };
    emit({
      type: 'notice',
      text: 'somebody connected to the source: its rows are copied instead of its files',
    });
  }
  for (const text of await server.create(working, note, shape))
    emit({ type: 'notice', text: `it does not have the ${text}` });
  failpoint('created');
  const options = { ...request, asCopy: true, noTablespaces: !isSameServer(source, on) };
  const onBytes = (bytes: number, of: number | undefined): void => emit({ type: 'progress', bytes, of });
  if (way === 'backup') {
    emit({ type: 'phase', phase: `restore ${backup === undefined ? 'the backup' : backupText(backup)}` });
    await backups!.restore(database, onBytes, signal);
    return { how: 'backup', facts: undefined };
  }
  if (way === 'dump') {
    emit({ type: 'phase', phase: 'dump and load' });
    await using dump = await prepareDump(source, options, signal);
    for (const text of dump.notices) emit({ type: 'notice', text });
    await using target = await openRestoreTarget(database, { ...options, jobs: 1 });
    const told = (bytes: number): void => onBytes(bytes, dump.bytesEstimate);
    await target.restore(counted(dump.stream(signal), told), dump.format, signal);
    return { how: 'dump', facts: compare ? dump.facts() : undefined };
  }
  const { copyDatabase } = await import('../../../databases/postgres/copy-database.ts');
  const { facts } = await copyDatabase(
    source.connection,
    database.connection,
    { ...options, facts: compare },
    { onPhase: (phase) => emit({ type: 'phase', phase }), onBytes },
    signal,
  );
  return { how: 'copy', facts };
}

/** The same bytes; fails as they do. */
function counted(stream: Readable, onBytes: (bytes: number) => void): Readable {
  let bytes = 0;
  async function* pass(): AsyncGenerator<Buffer> {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      onBytes(bytes);
      yield chunk;
    }
  }
  return Readable.from(pass(), { objectMode: false });
}
