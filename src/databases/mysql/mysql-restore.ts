/** Brings a dump back into a MySQL or MariaDB database with the client program that fits its server. */

import type { Readable } from 'node:stream';
import type { DatabaseUrl } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import type { DumpFacts, DumpFormat, RestoreOptions, RestoreTarget } from '../dump.ts';
import { feedProgram } from '../program-input.ts';
import { ClientAccess } from './client-access.ts';
import { knowsSandbox } from './client-choice.ts';
import { clientError } from './client-error.ts';
import { readCatalogue } from './dump-catalogue.ts';
import { runDump } from './dump-run.ts';
import { checkFormat } from './mysql-dump.ts';
import { RestoreScript } from './restore-script.ts';

/**
 * The database exists. A script is loaded by one connection: {@link RestoreOptions.jobs} changes nothing.
 * @throws the errors of connections
 */
export async function openMysqlRestoreTarget(
  url: DatabaseUrl,
  options: RestoreOptions,
): Promise<RestoreTarget> {
  const access = await ClientAccess.open(url, options.clientFolder);
  return {
    server: access.server,
    database: access.database,
    contents: () => contents(access),
    missingAccounts: (accounts) => missingAccounts(access, accounts),
    missingExtensions: () => Promise.resolve([]),
    restoreGlobals: () => Promise.resolve(),
    restore: (dump, format, signal) => restore(access, dump, format, options, signal),
    facts: (_like, signal) => facts(access, signal),
    async ask(query, signal) {
      const [row] = await access.use('run the query', signal, (client) => client.rows(query));
      // The driver gives some types as what they are.
      const value = row?.[0] as unknown;
      return value === undefined || value === null ? undefined : String(value);
    },
    [Symbol.asyncDispose]: () => access[Symbol.asyncDispose](),
  };
}

async function contents(access: ClientAccess): Promise<string[]> {
  const { tables, objects } = await access.use('look at what is there', undefined, (client) =>
    readCatalogue(client, access.database),
  );
  const own = objects.filter((name) => !/^(index|trigger|check|foreign key) /.test(name));
  return [...tables.map((name) => `table ${name}`), ...own];
}

async function missingAccounts(access: ClientAccess, accounts: readonly string[]): Promise<string[]> {
  try {
    const rows = await access.use('look at the accounts', undefined, (client) =>
      client.rows("SELECT CONCAT(User, '@', Host) FROM mysql.user"),
    );
    const there = new Set(rows.map(([name]) => name));
    return accounts.filter((name) => !there.has(name));
  } catch (error) {
    // Few may look. The restore names the first that it needs.
    if (error instanceof LongshoreError && error.code === 'DATABASE_DENIED') return [];
    throw error;
  }
}

async function restore(
  access: ClientAccess,
  dump: Readable,
  format: DumpFormat,
  { asCopy = false }: RestoreOptions,
  signal: AbortSignal,
): Promise<void> {
  checkFormat(format);
  const client = await access.client('restore');
  using call = access.call(client);
  const script = new RestoreScript(access.database, knowsSandbox(client), asCopy);
  const flags = [
    call.defaultsFlag,
    '--batch',
    // Line breaks of routines stay as they are, and a script runs no commands of the client.
    '--binary-mode',
    '--local-infile=0',
    // Comments in routines stay.
    '--comments',
    '--default-character-set=utf8mb4',
    // A new connection would not have the settings that the script began with.
    '--skip-reconnect',
    `--database=${access.database}`,
  ];
  const end = await feedProgram({ path: client.path, flags, env: call.env, input: [dump, script], signal });
  if (end.code === 0 && end.readAll) return;
  const error = clientError(end.said);
  const ended =
    end.signal === null
      ? end.code === 0
        ? 'stopped reading'
        : `ended with code ${end.code}`
      : `was ended by ${end.signal}`;
  const reason = error?.message ?? `${client.name} ${ended}${end.said === '' ? '' : `: ${end.said}`}`;
  throw new LongshoreError(
    'DATABASE_FAILED',
    access.withoutPassword(`Cannot restore into ${access.url.name}: ${reason}`),
    { hint: error?.hint, context: { database: access.url.name } },
  );
}

/** Dumps what is there once more, and reads that. Views are not asked: their definer may be missing. */
async function facts(access: ClientAccess, signal: AbortSignal): Promise<DumpFacts> {
  const client = await access.client('dump');
  const catalogue = await access.use('look at what is there', signal, (connection) =>
    readCatalogue(connection, access.database),
  );
  const run = runDump(access, client, catalogue, 'rows', signal);
  for await (const piece of run.stream as AsyncIterable<Buffer>) run.stream.giveBack(piece);
  return run.facts();
}
