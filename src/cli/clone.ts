/** `longshore clone`: makes a copy of a database, and keeps the copies that were made. */

import type { Command } from 'commander';
import { readJob } from '../config/config-file.ts';
import { killingFailpoint } from '../flow/failpoint.ts';
import type { ConvergedClone } from '../jobs/clone/clone.ts';
import type { CloneOptions } from '../jobs/clone/options.ts';
import { backupSource } from './backup-source.ts';
import { registerCloneBuild } from './clone-build.ts';
import { registerCloneConverge } from './clone-converge.ts';
import { registerCloneDiff } from './clone-diff.ts';
import { registerCloneDrop } from './clone-drop.ts';
import { addCopyFlags } from './clone-flags.ts';
import { registerCloneInspect } from './clone-inspect.ts';
import { registerCloneList } from './clone-list.ts';
import { registerClonePublish } from './clone-publish.ts';
import { registerCloneSweep } from './clone-sweep.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

/** Flags that are no settings of the job. */
const NOT_SETTINGS = new Set(['config', 'plan', 'json', 'identity', 'owners']);

export function registerClone(program: Command, finish: Finish): void {
  const clone = program.command('clone');
  addCopyFlags(
    clone
      .description('make a copy of a database in minutes, from its URL or from an artifact')
      .argument('[job]', 'a job of longshore.yaml')
      .option('--from <url>', 'the source: postgres://…/database or mariadb://…/database')
      .option('--on <url>', 'the server that the clone is made on; that of the source')
      .option('--name <name>', 'of the clone')
      .option('--mode <mode>', 'clone, with the rows, or create: empty, with the changelog applied')
      .option('--ttl <duration>', 'how long it lives; 8h; 0 until it is dropped')
      .option('--owner <owner>', 'who answers for it; user@host')
      .option('--how <way>', 'template, copy, dump or backup instead of the fastest way')
      .option('--changelog <file>', 'of Liquibase, for --mode create')
      .option('--masking <file>', 'rules, applied before anyone can connect'),
  )
    .option('--pool <n>', 'keep so many more ready, so that the next one is there at once')
    .option('--config <file>', 'where jobs are described', 'longshore.yaml')
    .option('--plan', 'say what would be done, and change nothing')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error')
    .action((job: string | undefined, flags: Record<string, unknown>) => run(job, flags, finish));
  for (const register of [
    registerCloneBuild,
    registerClonePublish,
    registerCloneInspect,
    registerCloneDiff,
    registerCloneConverge,
    registerCloneList,
    registerCloneSweep,
    registerCloneDrop,
  ])
    register(clone, finish);
}

async function run(job: string | undefined, flags: Record<string, unknown>, finish: Finish): Promise<void> {
  const json = flags['json'] === true;
  const [{ cloneDatabase, planClone }, { convergedText, pooledText }, { cloneReporter }] = await Promise.all([
    import('../jobs/clone/clone-database.ts'),
    import('../report/clone-text.ts'),
    import('../report/clone-reporter.ts'),
  ]);
  const options = optionsOf(job, flags);
  const { backups: place, clientFolder, noOwner } = options;
  const identity = flags['identity'] as string | undefined;
  const backups =
    place === undefined ? undefined : backupSource(place, process.env, { identity, clientFolder, noOwner });
  if (flags['plan'] === true) {
    const { clonePlanText } = await import('../report/clone-plan-text.ts');
    const plan = await stoppable((signal) => planClone(options, { signal, backups }), {
      json,
      text: 'nothing was changed',
    });
    process.stdout.write(`${json ? JSON.stringify(plan) : clonePlanText(plan)}\n`);
    finish(plan.findings.some(({ kind }) => kind === 'problem') ? 3 : 0);
    return;
  }
  const emit = cloneReporter(json ? 'ndjson' : 'terminal', process.stderr);
  const failpoint = killingFailpoint(process.env['LONGSHORE_KILL_AT']);
  const say = (text: string): void => void (text !== '' && process.stdout.write(`${text}\n`));
  const onClone = json ? undefined : (clone: ConvergedClone) => say(convergedText(clone));
  const done = await stoppable(
    (signal) => cloneDatabase(options, { signal, emit, failpoint, backups, onClone }),
    {
      json,
      text: 'what is not whole is dropped',
    },
  );
  say(json ? JSON.stringify(done) : pooledText(done));
  finish(0);
}

function optionsOf(job: string | undefined, flags: Record<string, unknown>): CloneOptions {
  const given = Object.entries(flags).filter(
    ([flag, value]) => value !== undefined && !NOT_SETTINGS.has(flag),
  );
  const byFlags: Record<string, unknown> = Object.fromEntries(given);
  if (flags['owners'] === false) byFlags['noOwner'] = true;
  const isWhole = job === undefined && byFlags['from'] !== undefined;
  const byFile = isWhole ? {} : (readJob(String(flags['config']), 'clone', job, process.env) ?? {});
  return { ...byFile, ...byFlags } as CloneOptions;
}
