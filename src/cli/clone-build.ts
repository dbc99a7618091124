/** `longshore clone build`: an artifact from an INI file. */

import { type Command, Option } from 'commander';
import { type CloneFlags, cloneEmit, environmentOf } from './clone-flags.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface BuildFlags extends CloneFlags {
  readonly tag: string;
  readonly base?: string;
  readonly node?: 'own' | 'base';
  readonly output?: string;
}

export function registerCloneBuild(clone: Command, finish: Finish): void {
  clone
    .command('build')
    .description('build a database artifact, an OCI image, without a Docker daemon')
    .argument('<config>', 'an INI file: artifact-config.ini')
    .requiredOption('--tag <name>', 'how it is called: shop-db:latest')
    .option('--base <image>', 'puts it on top of another image, e.g. one with Java for CREATE_MODE=create')
    .addOption(
      new Option(
        '--node <which>',
        'own: that of this machine, if it is Linux; base: that of the image of --base',
      ).choices(['own', 'base']),
    )
    .option('--output <file>', 'writes a tar file for docker load, too')
    .option('--store <folder>', 'an OCI image layout of all artifacts; .longshore/artifacts')
    .option('--plain-http', 'speak HTTP without TLS to the registry of --base')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error')
    .action(async (config: string, _: BuildFlags, command: Command) => {
      const { tag, base, node, output, ...flags } = command.optsWithGlobals<BuildFlags>();
      const json = flags.json === true;
      const [{ buildArtifact }, { builtText }] = await Promise.all([
        import('../jobs/clone/build.ts'),
        import('../report/clone-artifact-text.ts'),
      ]);
      const built = await stoppable(
        async (signal) =>
          buildArtifact(
            { config, tag, base, node, output },
            { ...environmentOf(flags), signal, emit: await cloneEmit(json) },
          ),
        { json, text: 'nothing has the tag yet' },
      );
      process.stdout.write(`${json ? JSON.stringify(built) : builtText(built)}\n`);
      finish(0);
    });
}
