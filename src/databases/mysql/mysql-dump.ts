/** Dumps a MySQL or MariaDB database with the client program that fits its server. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import type { DumpOptions, PreparedDump } from '../dump.ts';
import { ClientAccess } from './client-access.ts';
import { checkSeesTables, readCatalogue } from './dump-catalogue.ts';
import { type DumpRun, runDump } from './dump-run.ts';
import { watchLocks } from './lock-watch.ts';

/**
 * Asks the server what it is and what the database holds, and chooses the program. Of the roles there is no script: which
 * accounts the dump needs is in {@link PreparedDump.accounts}.
 *
 * @throws CONFIG_INVALID for a format other than `plain`; CHECK_FAILED where no program fits; the errors of connections
 */
export async function prepareMysqlDump(
  url: DatabaseUrl,
  options: DumpOptions,
  signal: AbortSignal,
): Promise<PreparedDump> {
  checkFormat(options.format);
  const access = await ClientAccess.open(url, options.clientFolder, signal);
  try {
    const client = await access.client('dump');
    const catalogue = await access.use(`look at ${url.name}`, signal, async (connection) => {
      await checkSeesTables(connection, access.database);
      return await readCatalogue(connection, access.database);
    });
    let run: DumpRun | undefined;
    return {
      server: access.server,
      client: { name: client.name, path: client.path, version: client.version },
      database: access.database,
      format: 'plain',
      extension: '.sql',
      accounts: catalogue.accounts,
      extensions: [],
      notices: catalogue.notices,
      bytesEstimate: catalogue.bytesEstimate,
      stream(streamSignal) {
        if (run !== undefined) throw new TypeError('a dump is streamed once');
        run = runDump(access, client, catalogue, 'everything', streamSignal);
        if (options.lockWaitMs !== undefined) watchLocks(access, run.stream, options.lockWaitMs);
        return run.stream;
      },
      facts() {
        if (run === undefined) throw new TypeError('the dump was not streamed');
        return run.facts();
      },
      globals: () => Promise.resolve(undefined),
      async [Symbol.asyncDispose]() {
        const stream = run?.stream;
        if (stream !== undefined && !stream.closed) {
          const closed = new Promise((resolve) => stream.once('close', resolve));
          stream.destroy();
          await closed;
        }
        await access[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await access[Symbol.asyncDispose]();
    throw error;
  }
}

/** @throws CONFIG_INVALID */
export function checkFormat(format: string | undefined): void {
  if (format === undefined || format === 'plain') return;
  throw new LongshoreError('CONFIG_INVALID', `Cannot use the format ${format} with MySQL or MariaDB`, {
    hint: 'leave it out: their dumps are SQL scripts, the format plain',
  });
}
