/**
 * Dumps of a PostgreSQL database by its own pg_dump, under a snapshot that a session of ours holds: what the catalogue
 * says there is under that snapshot has to be in the dump.
 */

import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import { openTemporaryFolder } from '../../flow/temporary-folder.ts';
import { clientOutput, type DumpReader, runClient } from '../client-process.ts';
import { clientEnvironment, clientFolders, type FoundProgram, findPrograms } from '../client-programs.ts';
import type { DumpFacts, DumpFormat, DumpOptions, PreparedDump } from '../dump.ts';
import { readContents } from './archive-contents.ts';
import { CLIENT_FOLDERS, chooseClient } from './client-choice.ts';
import { connectionEnvironment } from './client-environment.ts';
import { CopyLines } from './copy-lines.ts';
import { DumpArchive } from './dump-archive.ts';
import {
  type CatalogueTable,
  countLargeObjects,
  readDumpTables,
  readExtensions,
  readObjects,
  readRoles,
  readSequencePositions,
  type SequencePosition,
} from './dump-catalogue.ts';
import { DumpContent, damaged } from './dump-content.ts';
import { DumpCall, dumpGlobals } from './dump-globals.ts';
import { DumpScript } from './dump-script.ts';
import { type Doing, postgresError } from './errors.ts';
import { checkNotRewritten, lockTables, tablesLockedByOthers } from './lock-tables.ts';
import { openSession, type Session } from './open-session.ts';

export const LOCK_WAIT_MS = 60_000;

const EXTENSIONS: Readonly<Record<DumpFormat, string>> = {
  custom: '.dump',
  plain: '.sql',
  directory: '.tar',
};

/** A snapshot, and what the catalogue says of it. */
export interface DumpSnapshot extends AsyncDisposable {
  /** Good for `pg_dump --snapshot` until it is disposed. */
  readonly name: string;
  readonly session: Session;
  readonly version: string;
  readonly tables: readonly CatalogueTable[];
  readonly objects: readonly string[];
  readonly sequences: readonly SequencePosition[];
  readonly roles: readonly string[];
  readonly extensions: readonly string[];
  readonly largeObjects: number;
}

/**
 * Locks every table, so that none is dropped or truncated before pg_dump has it.
 * @throws DATABASE_CONFLICT where a table is locked by somebody else for longer than that
 */
export async function takeDumpSnapshot(
  connection: DatabaseConnection,
  doing: Doing,
  lockWaitMs: number = LOCK_WAIT_MS,
): Promise<DumpSnapshot> {
  const session = await openSession(connection, { doing });
  const { client } = session;
  try {
    await client.query(`SET search_path = ''`);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    // The size of a table is not told either while somebody has locked it.
    await client.query(`SET LOCAL lock_timeout = ${lockWaitMs}`);
    const { rows } = await client.query<{ name: string; version: string }>(
      `SELECT pg_export_snapshot() AS name, current_setting('server_version') AS version`,
    );
    const tables = await readDumpTables(client);
    await lockTables(client, tables, lockWaitMs);
    await checkNotRewritten(
      client,
      tables.map(({ oid }) => oid),
    );
    return {
      name: rows[0]!.name,
      version: rows[0]!.version.split(' ')[0]!,
      session,
      tables,
      objects: await readObjects(client),
      sequences: await readSequencePositions(client),
      roles: await readRoles(client),
      extensions: await readExtensions(client),
      largeObjects: await countLargeObjects(client),
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    };
  } catch (error) {
    await using _ = session;
    const failed = postgresError(error, doing);
    if (failed.context['lockTimeout'] === true) throw await locked(failed, session, doing, lockWaitMs);
    throw failed;
  }
}

/** A lock that was not had, with the table and who has it. */
async function locked(
  cause: LongshoreError,
  { client }: Session,
  { action }: Doing,
  waitMs: number,
): Promise<LongshoreError> {
  await client.query('ROLLBACK');
  const tables = await tablesLockedByOthers(client);
  const which = tables.length === 0 ? 'a table' : tables.join(', ');
  return new LongshoreError(
    'DATABASE_CONFLICT',
    `Cannot ${action}: ${which} was locked by another session for more than ${waitMs / 1000} s`,
    { cause, hint: 'end what holds the lock, or let the dump wait longer', context: cause.context },
  );
}

/** @throws CHECK_FAILED where no client serves the server; DATABASE_UNREACHABLE, DATABASE_DENIED, DATABASE_CONFLICT */
export async function preparePostgresDump(
  connection: DatabaseConnection,
  options: DumpOptions,
): Promise<PreparedDump> {
  const { format = 'custom', clientFolder, lockWaitMs } = options;
  const doing = {
    action: `back up ${connection.database}`,
    database: connection.database,
    user: connection.user,
  };
  const stack = new AsyncDisposableStack();
  try {
    const folder = stack.use(openTemporaryFolder('backup')).path;
    const snapshot = stack.use(await takeDumpSnapshot(connection, doing, lockWaitMs));
    const programs = await postgresPrograms(clientFolder);
    const client = chooseClient('pg_dump', snapshot.version, programs);
    const call = new DumpCall(client, await connectionEnvironment(connection, folder), doing.action);
    const content = new DumpContent();
    const args = [
      `--snapshot=${snapshot.name}`,
      `--lock-wait-timeout=${lockWaitMs ?? LOCK_WAIT_MS}`,
      '--encoding=UTF8',
      '--no-password',
    ];
    return {
      server: { product: 'PostgreSQL', version: snapshot.version },
      client,
      database: connection.database,
      format,
      extension: EXTENSIONS[format],
      accounts: snapshot.roles,
      extensions: snapshot.extensions,
      notices: [],
      bytesEstimate: snapshot.tables.reduce((sum, { bytes }) => sum + bytes, 0),
      stream(signal) {
        if (format === 'directory') return directoryStream(call, args, folder, content, snapshot, signal);
        const reader = format === 'custom' ? new DumpArchive(content) : new DumpScript(content);
        const form = format === 'custom' ? ['--format=custom', '--compress=0'] : ['--format=plain'];
        return clientOutput(call.of([...args, ...form]), completeOnly(reader, content, snapshot), signal);
      },
      facts: () => factsOf(content, snapshot),
      globals: (signal) => dumpGlobals(call, programs, snapshot.version, options, signal),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

export function postgresPrograms(clientFolder: string | undefined): Promise<FoundProgram[]> {
  const folders = clientFolders(clientFolder, process.env, CLIENT_FOLDERS);
  return findPrograms(['pg_dump', 'pg_dumpall', 'pg_restore'], folders, clientEnvironment());
}

/** The facts of a dump that is over. */
export function factsOf(content: DumpContent, snapshot: DumpSnapshot): DumpFacts {
  return {
    tables: snapshot.tables.map(({ schema, name }) => {
      const digest = content.table({ schema, name });
      return { schema, name, rows: digest.rows, digest: String(digest) };
    }),
    sequences: Object.fromEntries([...content.sequences].sort()),
    objects: snapshot.objects,
    largeObjects: snapshot.largeObjects,
  };
}

/** Also that nothing is missing of what there was under the snapshot. */
function completeOnly(reader: DumpReader, content: DumpContent, snapshot: DumpSnapshot): DumpReader {
  return {
    push: (chunk) => reader.push(chunk),
    end: () => {
      reader.end();
      checkComplete(content, snapshot);
    },
  };
}

function checkComplete(content: DumpContent, snapshot: DumpSnapshot): void {
  const missing = snapshot.tables.find((table) => !content.has(table));
  if (missing !== undefined) throw damaged(`the table ${missing.schema}.${missing.name} is not in it`);
  const sequence = snapshot.sequences.find(({ schema, name }) => !content.sequences.has(`${schema}.${name}`));
  if (sequence !== undefined) throw damaged(`the sequence ${sequence.schema}.${sequence.name} is not in it`);
}

/** Through the disk, as pg_dump writes this form; then as one archive of tar. */
function directoryStream(
  call: DumpCall,
  args: readonly string[],
  parent: string,
  content: DumpContent,
  snapshot: DumpSnapshot,
  signal: AbortSignal,
): Readable {
  const folder = join(parent, 'directory');
  const through = async function* (): AsyncGenerator<Buffer> {
    await runClient(
      call.of([...args, '--format=directory', '--compress=0', '--jobs=2', `--file=${folder}`]),
      signal,
    );
    await readDirectory(folder, content);
    checkComplete(content, snapshot);
    const untold: DumpReader = { push: () => undefined, end: () => undefined };
    yield* clientOutput(call.of(['-cf', '-', '-C', folder, '.'], 'tar'), untold, signal);
  };
  return Readable.from(through(), { objectMode: false });
}

/** Reads the rows in the files of a dump in directory form. */
async function readDirectory(folder: string, content: DumpContent): Promise<void> {
  const { contents } = readContents(await readFile(join(folder, 'toc.dat')));
  for (const statement of contents.setvals) content.setval(statement);
  const files = new Set(await readdir(folder));
  for (const { schema, name, file } of contents.tables()) {
    const lines = new CopyLines(content.table({ schema, name }));
    if (file === undefined || !files.has(file)) throw damaged(`the rows of ${schema}.${name} are not in it`);
    for await (const chunk of createReadStream(join(folder, file)))
      lines.push(chunk as Buffer, 0, (chunk as Buffer).byteLength);
    if (!lines.ended) throw damaged(`the rows of ${schema}.${name} do not end`);
  }
}
