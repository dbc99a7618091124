/** A PostgreSQL database that a dump is restored into, by pg_restore or, for a plain script, over our own connection. */

import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { diskError } from '../../flow/disk-error.ts';
import { openTemporaryFolder } from '../../flow/temporary-folder.ts';
import { utf8Text } from '../../flow/utf8-text.ts';
import { runClient } from '../client-process.ts';
import { type DumpFacts, type DumpFormat, JOBS, type RestoreOptions, type RestoreTarget } from '../dump.ts';
import { canStream, loadArchive } from './archive-load.ts';
import { readArchiveHead } from './archive-rows.ts';
import { chooseRestoreClient, majorOf } from './client-choice.ts';
import { connectionEnvironment } from './client-environment.ts';
import { postgresPrograms } from './client-programs.ts';
import { countLargeObjects, readDumpTables, readObjects, readSequences } from './dump-catalogue.ts';
import { type Doing, postgresError } from './errors.ts';
import { openSession, type Session } from './open-session.ts';
import { restoreRoles } from './restore-roles.ts';
import { runSqlScript } from './run-script.ts';
import { leftOut } from './script-left-out.ts';
import { readTableFacts } from './table-digests.ts';

/** @throws DATABASE_UNREACHABLE, DATABASE_DENIED */
export async function openPostgresTarget(
  connection: DatabaseConnection,
  options: RestoreOptions,
): Promise<RestoreTarget> {
  const { database, user } = connection;
  const doing: Doing = { action: `restore into ${database}`, database, user };
  const session = await openSession(connection, { doing });
  const { client } = session;
  const asked = async <T>(work: () => Promise<T>, action = doing.action): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw postgresError(error, { ...doing, action });
    }
  };
  let version: string;
  try {
    await client.query(`SET search_path = ''`);
    const { rows } = await client.query<{ version: string }>(
      `SELECT current_setting('server_version') AS version`,
    );
    version = rows[0]!.version.split(' ')[0]!;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw postgresError(error, doing);
  }
  return {
    server: { product: 'PostgreSQL', version },
    database,
    contents: () =>
      asked(async () => [
        ...(await readDumpTables(client)).map(({ schema, name }) => `table ${schema}.${name}`),
        ...(await readObjects(client)).filter((object) => !object.startsWith('extension ')),
      ]),
    missingAccounts: (accounts) =>
      asked(async () => {
        const { rows } = await client.query<{ name: string }>(
          'SELECT a.name FROM unnest($1::text[]) a (name) WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = a.name) ORDER BY a.name COLLATE "C"',
          [accounts],
        );
        return rows.map(({ name }) => name);
      }),
    missingExtensions: (extensions) =>
      asked(async () => {
        const names = extensions.map((extension) => extension.slice(0, extension.lastIndexOf(' ')));
        const { rows } = await client.query<{ name: string }>(
          'SELECT e.name FROM unnest($1::text[]) e (name) WHERE NOT EXISTS (SELECT FROM pg_available_extensions a WHERE a.name = e.name) ORDER BY e.name COLLATE "C"',
          [names],
        );
        return rows.map(({ name }) => name);
      }),
    restoreGlobals: async (script, signal) => {
      await using own = await openSession(connection, { doing });
      await restoreRoles(own, script, { ...doing, action: 'bring back the roles' }, signal);
    },
    restore: (dump, format, signal) =>
      format === 'plain'
        ? restoreScript(connection, dump, options, doing, signal)
        : restoreArchive(connection, dump, format, version, options, doing, signal),
    facts: (_like, signal) =>
      asked(() => readFacts(session, connection, options.jobs ?? JOBS, doing, signal)),
    ask: (query) =>
      asked(async () => {
        await client.query('BEGIN READ ONLY; SET LOCAL search_path = public');
        try {
          const { rows } = await client.query<(string | null)[]>({
            text: query,
            rowMode: 'array',
            types: { getTypeParser: () => (text: string) => text },
          } as never);
          return rows[0]?.[0] ?? undefined;
        } finally {
          await client.query('ROLLBACK');
        }
      }, 'run the query'),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

async function readFacts(
  session: Session,
  connection: DatabaseConnection,
  jobs: number,
  doing: Doing,
  signal: AbortSignal,
): Promise<DumpFacts> {
  const tables = await readDumpTables(session.client);
  await using stack = new AsyncDisposableStack();
  const clients = [session.client];
  for (let more = 1; more < Math.min(jobs, tables.length); more++) {
    const { client } = stack.use(await openSession(connection, { doing }));
    await client.query(`SET search_path = ''`);
    clients.push(client);
  }
  return {
    tables: await readTableFacts(clients, tables, signal),
    sequences: Object.fromEntries([...(await readSequences(session.client))].sort()),
    objects: await readObjects(session.client),
    largeObjects: await countLargeObjects(session.client),
  };
}

async function restoreArchive(
  connection: DatabaseConnection,
  dump: Readable,
  format: DumpFormat,
  serverVersion: string,
  options: RestoreOptions,
  doing: Doing,
  signal: AbortSignal,
): Promise<void> {
  const { clientFolder, jobs = JOBS, noOwner = false, asCopy = false, noTablespaces = false } = options;
  using folder = openTemporaryFolder('backup');
  const { path, version } = chooseRestoreClient(serverVersion, await postgresPrograms(clientFolder));
  const env = await connectionEnvironment(connection, folder.path);
  const { action } = doing;
  const flags = [
    ...(noOwner ? ['--no-owner', '--no-acl'] : []),
    ...(asCopy ? ['--no-subscriptions'] : []),
    ...(noTablespaces ? ['--no-tablespaces'] : []),
  ];
  const args = ['--exit-on-error', '--no-password', `--dbname=${onlyName(connection.database)}`, ...flags];
  if (format === 'directory') {
    const directory = join(folder.path, 'directory');
    await mkdir(directory);
    await runClient({ path: 'tar', args: ['-xf', '-', '-C', directory], env, action }, signal, dump);
    const inJobs = ['--format=directory', `--jobs=${jobs}`, directory];
    await runClient({ path, args: [...args, ...inJobs], env, action }, signal);
    return;
  }
  if (jobs === 1) {
    await runClient({ path, args: [...args, '--format=custom'], env, action }, signal, dump);
    return;
  }
  const chunks = dump[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const { head, contents } = await readArchiveHead(chunks);
  if (contents !== undefined && canStream(contents) && majorOf(version) >= STREAMS_FROM_MAJOR) {
    const load = { connection, options, jobs, program: path, flags, env, action, folder: folder.path };
    await loadArchive({ head, contents }, rest(chunks), load, signal);
    return;
  }
  // For pg_restore, several connections need an archive that can be read at any place.
  const archive = join(folder.path, 'archive');
  const whole = async function* (): AsyncGenerator<Buffer> {
    yield head;
    yield* rest(chunks);
  };
  try {
    await pipeline(whole, createWriteStream(archive), { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw diskError(error, 'write', archive);
  }
  await runClient(
    { path, args: [...args, '--format=custom', `--jobs=${jobs}`, archive], env, action },
    signal,
  );
}

/** Earlier ones write scripts to files alone. */
const STREAMS_FROM_MAJOR = 12;

function rest(chunks: AsyncIterator<Buffer>): AsyncIterable<Buffer> {
  return { [Symbol.asyncIterator]: () => chunks };
}

/** A name with an equals sign, or one that begins as a URL, would be read as a whole connection. */
function onlyName(database: string): string {
  return `dbname='${database.replace(/[\\']/g, '\\$&')}'`;
}

async function restoreScript(
  connection: DatabaseConnection,
  dump: Readable,
  options: RestoreOptions,
  doing: Doing,
  signal: AbortSignal,
): Promise<void> {
  await using session = await openSession(connection, { doing });
  await runSqlScript(session, utf8Text(dump), { doing, skip: leftOut(options), signal });
}
