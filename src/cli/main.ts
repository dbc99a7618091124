/** The program: reads the command line, runs one command, maps its end to an exit code. */

import { Command, CommanderError } from 'commander';
import { exitCodeOf, LongshoreError, messageOf } from '../errors.ts';
import { registerAudit } from './audit.ts';
import { registerBackup } from './backup.ts';
import { registerCheck } from './check.ts';
import { registerClone } from './clone.ts';
import { registerDemo } from './demo.ts';
import { registerDrill } from './drill.ts';
import { registerGrants } from './grants.ts';
import { registerInfra } from './infra.ts';
import { registerInit } from './init.ts';
import { registerMove } from './move.ts';
import { registerReplicate } from './replicate.ts';
import { registerRestore } from './restore.ts';
import { registerSeed } from './seed.ts';
import { Stopped } from './signals.ts';
import { registerStatus } from './status.ts';
import { registerUndo } from './undo.ts';
import { registerVerify } from './verify.ts';
import { VERSION } from './version.ts';

const EXIT_CODES = `
Exit codes:
  0    done and proven
  1    ended with failures, listed
  2    usage or configuration
  3    a check failed before anything changed
  130  stopped by a signal, resumable`;

/** @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command('longshore')
    .description('Moves data between databases and object stores, and never loses any of it.')
    .version(VERSION)
    .option('--verbose', 'print stack traces')
    .addHelpText('after', EXIT_CODES)
    .exitOverride();
  const finish = (code: number): void => {
    exitCode = code;
  };
  for (const register of [
    registerDemo,
    registerMove,
    registerReplicate,
    registerBackup,
    registerRestore,
    registerDrill,
    registerClone,
    registerCheck,
    registerVerify,
    registerUndo,
    registerStatus,
    registerAudit,
    registerGrants,
    registerInfra,
    registerSeed,
    registerInit,
  ]) {
    register(program, finish);
  }
  warnOfPasswords(argv);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof Stopped) return 130;
    const verbose = program.opts<{ verbose?: boolean }>().verbose === true;
    if (argv.includes('--json')) printJsonError(error);
    else printError(error, verbose);
    if (verbose && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return exitCodeOf(error);
  }
}

/** Whoever may list processes reads the arguments. Programs that call this one know what they do. */
function warnOfPasswords(argv: readonly string[]): void {
  if (!process.stderr.isTTY || !argv.some((argument) => WITH_PASSWORD.test(argument))) return;
  process.stderr.write(
    'note: a URL on the command line holds a password, which the list of processes shows: put it into the environment, ~/.pgpass, ~/.my.cnf or longshore.yaml\n',
  );
}

const WITH_PASSWORD = /^(?:--[a-z-]+=)?(?:postgres(?:ql)?|mysql|mariadb):\/\/[^/?#@]*:[^/?#]+@/i;

/** What a command is registered with: sets the exit code of a run that did not throw. */
export type Finish = (exitCode: number) => void;

/** One line: what failed, and what to do. */
function printError(error: unknown, verbose: boolean): void {
  const known = error instanceof LongshoreError;
  const code = known ? ` [${error.code}]` : '';
  const bug = verbose ? undefined : 'this is a bug; run again with --verbose for the stack trace';
  const hint = known ? error.hint : bug;
  process.stderr.write(`longshore: ${messageOf(error)}${code}${hint === undefined ? '' : ` → ${hint}`}\n`);
}

/** The last line of the events on standard error. */
function printJsonError(error: unknown): void {
  const known = error instanceof LongshoreError ? { code: error.code, hint: error.hint } : { code: 'BUG' };
  process.stderr.write(`${JSON.stringify({ type: 'error', message: messageOf(error), ...known })}\n`);
}
