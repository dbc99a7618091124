/** `longshore clone inspect`: what is in an artifact. */

import type { Command } from 'commander';
import { type CloneFlags, environmentOf } from './clone-flags.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerCloneInspect(clone: Command, finish: Finish): void {
  clone
    .command('inspect')
    .description('show what is in an artifact: configuration, changelog, layers, labels')
    .argument(
      '<artifact>',
      'shop-db:latest, registry.example/team/shop-db:1.4, oci:folder[:name] or a tar file',
    )
    .option('--store <folder>', 'an OCI image layout of all artifacts; .longshore/artifacts')
    .option('--plain-http', 'speak HTTP without TLS to the registry')
    .option('--json', 'as JSON')
    .action(async (artifact: string, _: CloneFlags, command: Command) => {
      const flags = command.optsWithGlobals<CloneFlags>();
      const json = flags.json === true;
      const [{ inspectArtifact }, { inspectedText }] = await Promise.all([
        import('../jobs/clone/inspect.ts'),
        import('../report/clone-artifact-text.ts'),
      ]);
      const inspected = await stoppable(
        (signal) => inspectArtifact(artifact, { ...environmentOf(flags), signal }),
        { json, text: 'nothing was changed' },
      );
      process.stdout.write(`${json ? JSON.stringify(inspected) : inspectedText(inspected)}\n`);
      finish(0);
    });
}
