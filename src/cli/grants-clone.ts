/** `longshore grants clone`: the least IAM policies, or SQL grants, that clones need. */

import type { Command } from 'commander';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { LongshoreError } from '../errors.ts';
import type { Finish } from './main.ts';

interface GrantsFlags {
  readonly cluster?: string;
  readonly from?: string;
  readonly on?: string;
  readonly role?: string;
  readonly json?: boolean;
}

export function registerGrantsClone(grants: Command, finish: Finish): void {
  grants
    .command('clone')
    .description('print the IAM policies for build, converge and sweep, or the SQL grants')
    .option('--cluster <arn>', 'of the Aurora cluster that is cloned')
    .option('--from <url>', 'instead, the database that is cloned')
    .option('--on <url>', 'the server that clones are made on; that of the source')
    .option('--role <name>', 'the database role', 'longshore')
    .option('--json', 'as JSON')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<GrantsFlags>();
      const found = await grantsOf(flags);
      const lines = [
        ...Object.entries(found.policies ?? {}).flatMap(([what, policy]) => [
          `-- to ${what}`,
          JSON.stringify(policy, undefined, 2),
        ]),
        ...found.sql.flatMap(({ on, statements }) => [`-- ${on}`, ...statements]),
      ];
      process.stdout.write(`${flags.json === true ? JSON.stringify(found) : lines.join('\n')}\n`);
      finish(0);
    });
}

async function grantsOf({ cluster, from, on, role = 'longshore' }: GrantsFlags) {
  const [{ auroraGrants, databaseGrants }, { checkSides }] = await Promise.all([
    import('../jobs/clone/grants.ts'),
    import('../jobs/clone/options.ts'),
  ]);
  if (cluster !== undefined) return auroraGrants(cluster);
  if (from === undefined)
    throw new LongshoreError('CONFIG_INVALID', 'it is not said what is cloned', {
      hint: '--cluster arn:aws:rds:… for Aurora, --from postgres://… for a database',
    });
  const source = parseDatabaseUrl(from, process.env);
  const target = on === undefined ? source : parseDatabaseUrl(on, process.env);
  checkSides(source, target);
  return databaseGrants(source, target, role);
}
