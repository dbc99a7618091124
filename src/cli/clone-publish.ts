/** `longshore clone publish`: an artifact to a registry. */

import type { Command } from 'commander';
import { parseBytes } from '../config/bytes.ts';
import { type CloneFlags, cloneEmit, environmentOf } from './clone-flags.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface PublishFlags extends CloneFlags {
  readonly mountFrom?: readonly string[];
  readonly chunk?: string;
}

export function registerClonePublish(clone: Command, finish: Finish): void {
  clone
    .command('publish')
    .description('publish an artifact to a registry; what it has already is not sent')
    .argument('<artifact>', 'shop-db:latest, oci:folder[:name] or a tar file')
    .argument('<to>', 'registry.example/team/shop-db:1.4')
    .option('--mount-from <repository...>', 'of the same registry, where layers may be already')
    .option(
      '--chunk <size>',
      'send chunks, e.g. 16MB, where something before the registry takes no larger requests',
    )
    .option('--store <folder>', 'an OCI image layout of all artifacts; .longshore/artifacts')
    .option('--plain-http', 'speak HTTP without TLS; on this machine that is done anyway')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error')
    .action(async (artifact: string, to: string, _: PublishFlags, command: Command) => {
      const { mountFrom, chunk, ...flags } = command.optsWithGlobals<PublishFlags>();
      const json = flags.json === true;
      const [{ publishArtifact }, { publishedText }] = await Promise.all([
        import('../jobs/clone/publish.ts'),
        import('../report/clone-artifact-text.ts'),
      ]);
      const chunkBytes = chunk === undefined ? undefined : parseBytes(chunk);
      const published = await stoppable(
        async (signal) =>
          publishArtifact(
            { artifact, to, mountFrom, chunkBytes },
            { ...environmentOf(flags), signal, emit: await cloneEmit(json) },
          ),
        { json, text: 'run the same command again: what was sent is not sent again' },
      );
      process.stdout.write(`${json ? JSON.stringify(published) : publishedText(published)}\n`);
      finish(0);
    });
}
