/** The program within an artifact's image: converges the artifact that lies beside it, as its environment says. */

import { fileURLToPath } from 'node:url';
import { exitCodeOf, LongshoreError, messageOf } from '../errors.ts';
import type { CloneMode } from '../jobs/clone/clone.ts';
import { converge } from '../jobs/clone/converge.ts';
import { openArtifactFolder } from '../jobs/clone/open-artifact.ts';
import { cloneReporter } from '../report/clone-reporter.ts';
import { endpointText } from '../report/clone-text.ts';
import { Stopped, stoppable } from './signals.ts';

const HELP = `Makes a copy of the database that this image describes.

  docker run --rm -v ~/.aws/credentials:/root/.aws/credentials:ro \\
    -e AWS_PROFILE=… -e DB_PASSWORD=… -e CREATE_MODE=clone IMAGE

  CREATE_MODE  clone: with the rows of the source; create: empty, with the changelog applied
  DB_PASSWORD  that the copy gets
  DB_USERNAME  of an empty database; a clone keeps that of its source
  CLONE_NAME   of the copy; made of its source where it is left out
  AWS_PROFILE  of the credentials; or what else the tools of AWS read
`;

type Env = Readonly<Record<string, string | undefined>>;

process.exitCode = await main(process.argv.slice(2), process.env);

async function main(argv: readonly string[], env: Env): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    const settings = settingsOf(argv, env);
    const artifact = await openArtifactFolder(fileURLToPath(new URL('artifact', import.meta.url)));
    const clone = await stoppable(
      (signal) =>
        converge(artifact, settings, {
          env,
          signal,
          emit: cloneReporter('terminal', process.stderr),
        }),
      { text: 'run the same again to go on where it stopped' },
    );
    process.stdout.write(`${endpointText(clone)}\n`);
    return 0;
  } catch (error) {
    if (error instanceof Stopped) return 130;
    const { code, hint } = error instanceof LongshoreError ? error : { code: 'BUG', hint: undefined };
    process.stderr.write(
      `longshore: ${messageOf(error)} [${code}]${hint === undefined ? '' : ` → ${hint}`}\n`,
    );
    return exitCodeOf(error);
  }
}

/** Everything that is wrong is told at once. */
function settingsOf(
  argv: readonly string[],
  env: Env,
): { mode: CloneMode; username: string | undefined; name: string | undefined } {
  const { CREATE_MODE: mode, DB_PASSWORD: password, DB_USERNAME: user, CLONE_NAME: name } = env;
  const problems: string[] = [];
  if (argv.length > 0) problems.push(`there are no arguments: ${argv.join(' ')}`);
  if (mode !== 'clone' && mode !== 'create')
    problems.push(`CREATE_MODE must be clone or create${mode ? `, it is ${mode}` : ', it is not set'}`);
  if (!password) problems.push('DB_PASSWORD is not set');
  if (mode === 'create' && !user) problems.push('DB_USERNAME is not set, which an empty database needs');
  if (problems.length > 0)
    throw new LongshoreError('CONFIG_INVALID', problems.join('; '), {
      hint: 'run it with --help for what it reads',
    });
  return { mode: mode as CloneMode, username: user || undefined, name: name || undefined };
}
