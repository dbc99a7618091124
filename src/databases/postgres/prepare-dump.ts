/**
 * Dumps of a PostgreSQL database by its own pg_dump, under a snapshot that a session of ours holds: what the catalogue
 * says there is under that snapshot has to be in the dump.
 */

import type { DatabaseConnection } from '../../config/database-url.ts';
import { openTemporaryFolder } from '../../flow/temporary-folder.ts';
import { clientOutput, type DumpReader } from '../client-process.ts';
import type { DumpFacts, DumpFormat, DumpOptions, PreparedDump } from '../dump.ts';
import { chooseClient } from './client-choice.ts';
import { connectionEnvironment } from './client-environment.ts';
import { postgresPrograms } from './client-programs.ts';
import { DumpArchive } from './dump-archive.ts';
import { DumpContent, damaged } from './dump-content.ts';
import { directoryStream } from './dump-directory.ts';
import { DumpCall, dumpGlobals } from './dump-globals.ts';
import { DumpScript } from './dump-script.ts';
import { type DumpSnapshot, LOCK_WAIT_MS, takeDumpSnapshot } from './dump-snapshot.ts';

const EXTENSIONS: Readonly<Record<DumpFormat, string>> = {
  custom: '.dump',
  plain: '.sql',
  directory: '.tar',
};

/** @throws CHECK_FAILED where no client serves the server; DATABASE_UNREACHABLE, DATABASE_DENIED, DATABASE_CONFLICT */
export async function preparePostgresDump(
  connection: DatabaseConnection,
  options: DumpOptions,
): Promise<PreparedDump> {
  const { format = 'custom', clientFolder, lockWaitMs, asCopy = false } = options;
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
      ...(asCopy ? ['--no-subscriptions'] : []),
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
        if (format === 'directory')
          return directoryStream(call, args, folder, content, () => checkComplete(content, snapshot), signal);
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
