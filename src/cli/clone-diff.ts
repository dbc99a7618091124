/** `longshore clone diff`: in what two artifacts differ. */

import type { Command } from 'commander';
import { type CloneFlags, environmentOf } from './clone-flags.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerCloneDiff(clone: Command, finish: Finish): void {
  clone
    .command('diff')
    .description('show in what two artifacts differ: configuration, changelog, masking rules, program')
    .argument('<left>', 'shop-db:1.3, registry.example/team/shop-db:1.3, oci:folder[:name] or a tar file')
    .argument('<right>', 'the same')
    .option('--store <folder>', 'an OCI image layout of all artifacts; .longshore/artifacts')
    .option('--plain-http', 'speak HTTP without TLS to the registry')
    .option('--json', 'as JSON')
    .action(async (left: string, right: string, _: CloneFlags, command: Command) => {
      const flags = command.optsWithGlobals<CloneFlags>();
      const json = flags.json === true;
      const [{ diffArtifacts }, { differenceText }] = await Promise.all([
        import('../jobs/clone/diff.ts'),
        import('../report/clone-artifact-text.ts'),
      ]);
      const difference = await stoppable(
        (signal) => diffArtifacts([left, right], { ...environmentOf(flags), signal }),
        { json, text: 'nothing was changed' },
      );
      process.stdout.write(`${json ? JSON.stringify(difference) : differenceText(difference)}\n`);
      finish(0);
    });
}
