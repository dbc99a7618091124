/** The roles of a server as a script, by pg_dumpall; and how PostgreSQL's programs are called for a dump. */

import { buffer } from 'node:stream/consumers';
import { clientOutput } from '../client-process.ts';
import type { FoundProgram } from '../client-programs.ts';
import type { DumpOptions, DumpProgram } from '../dump.ts';
import { chooseClient } from './client-choice.ts';
import { damaged } from './dump-content.ts';

/** @returns the script that makes the roles; undefined where the server does not let them be read at all */
export async function dumpGlobals(
  call: DumpCall,
  programs: readonly FoundProgram[],
  serverVersion: string,
  { rolePasswords = true }: DumpOptions,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const { path } = chooseClient('pg_dumpall', serverVersion, programs);
  const attempt = async (args: readonly string[]): Promise<Buffer> => {
    const pieces: Buffer[] = [];
    const output = clientOutput(
      call.of(['--globals-only', '--no-password', ...args], path),
      {
        push: (chunk) => void pieces.push(Buffer.from(chunk)),
        end: () => {
          if (!Buffer.concat(pieces).includes('-- PostgreSQL database cluster dump complete'))
            throw damaged('the roles of it do not end');
        },
      },
      signal,
    );
    return buffer(output);
  };
  if (rolePasswords) {
    try {
      return await attempt([]);
    } catch (error) {
      // Managed services let nobody read them.
      if (!/pg_authid/.test((error as Error).message)) throw error;
    }
  }
  return attempt(['--no-role-passwords']);
}

/** How the client is called for one database. */
export class DumpCall {
  readonly #client: DumpProgram;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #action: string;

  constructor(client: DumpProgram, env: Readonly<Record<string, string | undefined>>, action: string) {
    this.#client = client;
    this.#env = env;
    this.#action = action;
  }

  of(args: readonly string[], path = this.#client.path) {
    return { path, args, env: this.#env, action: this.#action };
  }
}
