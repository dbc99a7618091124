/** Finds Liquibase on this machine, and says how it is started. */

import { access, constants, glob } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { LongshoreError } from '../../errors.ts';
import { clientEnvironment } from '../client-programs.ts';

export interface LiquibaseProgram {
  readonly path: string;
  /** Before the arguments of Liquibase. */
  readonly flags: readonly string[];
  /** All that it gets of the environment. */
  readonly env: NodeJS.ProcessEnv;
  /** Where it is from, for a person. */
  readonly from: string;
}

export interface FindLiquibaseOptions {
  /** The program, where it is neither on the `PATH` nor at `LIQUIBASE_HOME`. */
  readonly liquibase?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
  /** The package `liquibase` of npm is looked for from here, then from Longshore itself. */
  readonly from?: readonly string[];
}

/** The least work for a program that runs for seconds. */
const QUICK_START = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto'];

/**
 * @param javaOptions of the machine that runs it
 * @throws CHECK_FAILED, saying what to install
 */
export async function findLiquibase(
  javaOptions: readonly string[],
  { liquibase, environment = process.env, from = [process.cwd(), import.meta.dirname] }: FindLiquibaseOptions,
): Promise<LiquibaseProgram> {
  // Set to nothing is not set.
  const JAVA_HOME = environment['JAVA_HOME'] || undefined;
  const LIQUIBASE_HOME = environment['LIQUIBASE_HOME'] || undefined;
  const env: NodeJS.ProcessEnv = {
    ...clientEnvironment(environment),
    ...(JAVA_HOME === undefined ? {} : { JAVA_HOME }),
    LIQUIBASE_ANALYTICS_ENABLED: 'false',
  };
  const script = (path: string): LiquibaseProgram => ({
    path,
    flags: [],
    env: { ...env, JAVA_OPTS: javaOptions.join(' ') },
    from: path,
  });
  if (liquibase !== undefined) {
    if (await isProgram(liquibase)) return script(liquibase);
    throw new LongshoreError('CHECK_FAILED', `Cannot run Liquibase: ${liquibase} is no program`);
  }
  const folders = [LIQUIBASE_HOME, ...(environment['PATH'] ?? '').split(delimiter)];
  const onPath = await firstProgram(folders, process.platform === 'win32' ? 'liquibase.bat' : 'liquibase');
  if (onPath !== undefined) return script(onPath);
  const packaged = await jarsOfPackage(from);
  if (packaged === undefined)
    throw missing(
      'Liquibase was found neither on the PATH, nor at LIQUIBASE_HOME, nor as the package liquibase of npm',
    );
  const java = await firstProgram(
    JAVA_HOME === undefined ? folders : [join(JAVA_HOME, 'bin')],
    process.platform === 'win32' ? 'java.exe' : 'java',
  );
  if (java === undefined)
    throw missing(`Java was not found ${JAVA_HOME === undefined ? 'on the PATH' : `at ${JAVA_HOME}`}`);
  return {
    path: java,
    flags: [...QUICK_START, ...javaOptions, '-cp', packaged.jars.join(delimiter), MAIN],
    env,
    from: packaged.folder,
  };
}

const MAIN = 'liquibase.integration.commandline.LiquibaseCommandLine';

function missing(reason: string): LongshoreError {
  return new LongshoreError('CHECK_FAILED', `Cannot apply the changelog: ${reason}`, {
    hint: 'install Liquibase (https://docs.liquibase.com), or Java 8 or newer (apt-get install default-jre-headless) and `npm install liquibase`',
  });
}

async function jarsOfPackage(
  from: readonly string[],
): Promise<{ jars: string[]; folder: string } | undefined> {
  for (const start of from) {
    const folder = packageFolder(start);
    if (folder === undefined) continue;
    const jars = await Array.fromAsync(
      glob(['dist/liquibase/*.jar', 'dist/liquibase/lib/*.jar', 'dist/drivers/*.jar'], { cwd: folder }),
    );
    if (jars.length > 0) return { jars: jars.sort().map((jar) => join(folder, jar)), folder };
  }
  return undefined;
}

function packageFolder(start: string): string | undefined {
  try {
    return dirname(createRequire(join(start, 'from.js')).resolve('liquibase/package.json'));
  } catch {
    // Not installed there.
    return undefined;
  }
}

async function firstProgram(
  folders: readonly (string | undefined)[],
  name: string,
): Promise<string | undefined> {
  for (const folder of folders) {
    if (!folder) continue;
    const path = join(folder, name);
    if (await isProgram(path)) return path;
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    // Not there, or not for us: either way none that can be run.
    return false;
  }
}
