/** The flags that say where clones are: on a server, in an account of AWS, or both. */

import type { Command } from 'commander';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { LongshoreError } from '../errors.ts';
import type { ClonePlaces } from '../jobs/clone/keep.ts';
import type { CloneEnvironment } from '../jobs/clone/settings.ts';
import { cloneReporter } from '../report/clone-reporter.ts';

export interface PlaceFlags {
  readonly on?: string;
  readonly aws?: boolean;
  readonly region?: string;
  readonly json?: boolean;
}

export function addPlaceFlags(command: Command): Command {
  return command
    .option('--on <url>', 'clones on a server: postgres://… or mariadb://…')
    .option('--aws', 'clones of Aurora clusters, in the account and region of the AWS tools')
    .option('--region <region>', 'of AWS, instead');
}

/** @throws CONFIG_INVALID where no place is given */
export function placesOf(
  flags: PlaceFlags,
): ClonePlaces & { readonly environment: Pick<CloneEnvironment, 'env' | 'emit'> } {
  const { on, aws = false, region, json = false } = flags;
  const { env } = process;
  if (on === undefined && !aws && region === undefined)
    throw new LongshoreError('CONFIG_INVALID', 'it is not said where the clones are', {
      hint: '--on postgres://user@host/postgres for a server, --aws for Aurora',
    });
  return {
    server: on === undefined ? undefined : parseDatabaseUrl(on, env),
    aws: aws || region !== undefined ? { region } : undefined,
    environment: { env, emit: cloneReporter(json ? 'ndjson' : 'terminal', process.stderr) },
  };
}
