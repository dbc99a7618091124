/** `longshore clone converge`: makes a copy of a database from its artifact. */

import { type Command, Option } from 'commander';
import { LongshoreError } from '../errors.ts';
import { killingFailpoint } from '../flow/failpoint.ts';
import type { ConvergedClone } from '../jobs/clone/clone.ts';
import { WAYS, type Way } from '../jobs/clone/database/choose-way.ts';
import { lifeOf } from '../jobs/clone/settings.ts';
import { backupSource } from './backup-source.ts';
import { addCopyFlags, type CloneFlags, cloneEmit, environmentOf } from './clone-flags.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface ConvergeFlags extends CloneFlags {
  readonly mode?: 'clone' | 'create';
  readonly name?: string;
  readonly ttl?: string;
  readonly owner?: string;
  readonly stackName?: string;
  readonly clientCidr?: string;
  readonly username?: string;
  readonly on?: string;
  readonly how?: Way;
  readonly backups?: string;
  readonly identity?: string;
  readonly jobs?: string;
  readonly clientFolder?: string;
  /** Commander's word for `--no-owners`. */
  readonly owners: boolean;
  readonly compare?: boolean;
  readonly pool?: string;
  readonly plan?: boolean;
}

export function registerCloneConverge(clone: Command, finish: Finish): void {
  addCopyFlags(
    clone
      .command('converge')
      .description('make a copy of a database from its artifact; asked again, it is the same one')
      .argument('<artifact>', 'shop-db:latest, registry.example/team/shop-db:1.4, oci:folder or a tar file')
      .addOption(
        new Option(
          '--mode <mode>',
          'clone, with the rows; create: empty, with the changelog applied',
        ).choices(['clone', 'create']),
      )
      .option('--name <name>', 'of the clone; made of the name of the artifact')
      .option('--ttl <duration>', 'how long it lives; that of the artifact, else 8h; 0 until it is dropped')
      .option('--owner <owner>', 'who answers for it; user@host')
      .option('--stack-name <name>', 'of CloudFormation')
      .option('--client-cidr <range>', 'who may connect to an Aurora clone; the address of this machine')
      .option('--username <name>', 'the master user of an empty Aurora cluster')
      .option('--on <url>', 'the server that the clone is made on, where the source is no Aurora cluster')
      .addOption(new Option('--how <way>', 'instead of the fastest way').choices([...WAYS])),
  )
    .option('--pool <n>', 'keep so many more ready, so that the next one is there at once; of PostgreSQL')
    .option('--store <folder>', 'an OCI image layout of all artifacts; .longshore/artifacts')
    .option('--plain-http', 'speak HTTP without TLS to the registry')
    .option('--plan', 'say what would be done, what it takes and costs, and change nothing')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error')
    .action((artifact: string, _: unknown, command: Command) =>
      run(artifact, command.optsWithGlobals<ConvergeFlags>(), finish),
    );
}

async function run(reference: string, flags: ConvergeFlags, finish: Finish): Promise<void> {
  const json = flags.json === true;
  const [{ openArtifact }, { converge, planConverge }, { convergedText }] = await Promise.all([
    import('../jobs/clone/open-artifact.ts'),
    import('../jobs/clone/converge.ts'),
    import('../report/clone-text.ts'),
  ]);
  const { mode = 'clone', ttl, jobs, how, backups, identity, clientFolder, owners, plan = false } = flags;
  const { name, owner, stackName, clientCidr, username, on, compare } = flags;
  const options = {
    ...{ mode, name, owner, stackName, clientCidr, username, on, way: how, clientFolder, compare },
    ttlMs: ttl === undefined ? undefined : lifeOf(ttl),
    jobs: countOf('--jobs', jobs, 1),
    pool: countOf('--pool', flags.pool, 0),
    noOwner: !owners,
    backups:
      backups === undefined
        ? undefined
        : backupSource(backups, process.env, { identity, clientFolder, noOwner: !owners }),
  };
  const emit = await cloneEmit(json);
  const stop = { json, text: 'run the same command again to go on where it stopped' };
  const artifact = await stoppable(
    (signal) => openArtifact(reference, { ...environmentOf(flags), signal }),
    stop,
  );
  if (plan) {
    const { clonePlanText } = await import('../report/clone-plan-text.ts');
    const planned = await stoppable((signal) => planConverge(artifact, options, { signal, emit }), stop);
    process.stdout.write(`${json ? JSON.stringify(planned) : clonePlanText(planned)}\n`);
    finish(planned.findings.some(({ kind }) => kind === 'problem') ? 3 : 0);
    return;
  }
  const failpoint = killingFailpoint(process.env['LONGSHORE_KILL_AT']);
  // Before the pool is filled up: it is ready, and may be used.
  const say = (made: ConvergedClone): void => void process.stdout.write(`${convergedText(made)}\n`);
  const early = !json && options.pool !== undefined;
  const clone = await stoppable(
    (signal) =>
      converge(artifact, { ...options, onClone: early ? say : undefined }, { signal, emit, failpoint }),
    stop,
  );
  if (json) process.stdout.write(`${JSON.stringify(clone)}\n`);
  else if (!early) say(clone);
  finish(0);
}

/** @throws CONFIG_INVALID for what is no whole number, or less than `least` */
function countOf(flag: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (Number.isInteger(count) && count >= least) return count;
  throw new LongshoreError('CONFIG_INVALID', `${flag} has to be a whole number from ${least} on: ${text}`);
}
