/** What goes into an artifact: the INI file, and the changelog and the masking rules that it names. */

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { LongshoreError } from '../../errors.ts';
import { parseArtifactConfig } from './artifact-config.ts';
import type { ArtifactInput } from './artifact-files.ts';
import { credentialsIn } from './find-credentials.ts';
import { readChangelog } from './read-changelog.ts';

/** @throws CONFIG_INVALID, also where something looks like a credential */
export async function readInput(path: string, signal: AbortSignal | undefined): Promise<ArtifactInput> {
  const ini = await textOf(path, 'name the INI file of an artifact');
  // Before it is parsed: a message about a key might repeat it.
  refuseCredentials(path, ini, true);
  const config = parseArtifactConfig(ini, path);
  const folder = dirname(path);
  const changelog =
    config.changelog === undefined ? undefined : await readChangelog(config.changelog, folder, signal);
  for (const file of changelog?.files ?? [])
    refuseCredentials(file.path, file.bytes.toString('latin1'), false);
  let masking: string | undefined;
  if (config.maskingPath !== undefined) {
    const maskingPath = resolve(folder, config.maskingPath);
    masking = await textOf(maskingPath, 'correct masking_path, which is relative to the INI file');
    refuseCredentials(maskingPath, masking, false);
  }
  return { ini, config, changelog, masking };
}

function refuseCredentials(path: string, text: string, isConfig: boolean): void {
  const found = credentialsIn(text, isConfig);
  if (found.length === 0) return;
  throw new LongshoreError(
    'CONFIG_INVALID',
    `cannot build an artifact with ${path}, which seems to hold credentials: ${found.join('; ')}`,
    {
      hint: 'take them out: whoever pulls the artifact could read them; they are given when it is converged',
    },
  );
}

async function textOf(path: string, hint: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'it is not there'
        : String((error as NodeJS.ErrnoException).code);
    throw new LongshoreError('CONFIG_INVALID', `cannot read ${path}: ${why}`, { cause: error, hint });
  }
}
