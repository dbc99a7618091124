/** Who one is to a registry, from where Docker keeps it: `config.json`, or one of its credential helpers. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { Secret } from '../../config/secret.ts';
import { LongshoreError } from '../../errors.ts';

export type RegistryCredentials =
  | { readonly kind: 'password'; readonly user: string; readonly password: Secret }
  /** Exchanged for tokens by OAuth. */
  | { readonly kind: 'identity'; readonly token: Secret }
  /** Sent as it is. */
  | { readonly kind: 'bearer'; readonly token: Secret };

type Env = Readonly<Record<string, string | undefined>>;

/** Undefined where there are none for that registry. @throws STORE_CREDENTIALS where they cannot be read */
export async function dockerCredentials(
  registry: string,
  env: Env,
  helperMsMax: number = HELPER_MS_MAX,
): Promise<RegistryCredentials | undefined> {
  const path = join(env['DOCKER_CONFIG'] || join(env['HOME'] || homedir(), '.docker'), 'config.json');
  const config = await readConfig(path);
  if (config === undefined) return undefined;
  const helper = config.credHelpers?.[registry] ?? config.credsStore;
  if (helper) {
    const found = await askHelper(helper, keyOf(registry), env, helperMsMax);
    if (found !== undefined) return found;
  }
  const entry = Object.entries(config.auths ?? {}).find(([key]) => hostOf(key) === hostOf(keyOf(registry)));
  return entry === undefined ? undefined : credentialsOf(entry[1], path);
}

const configShape = z.looseObject({
  auths: z
    .record(
      z.string(),
      z.looseObject({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
        registrytoken: z.string().optional(),
      }),
    )
    .optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});
type DockerConfig = z.infer<typeof configShape>;
type DockerAuth = NonNullable<DockerConfig['auths']>[string];

const helperShape = z.looseObject({ Username: z.string(), Secret: z.string() });

/** Docker knows its own registry by an older address. */
const keyOf = (registry: string): string =>
  registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry;

/** Keys may be written as URLs. */
const hostOf = (key: string): string => key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');

async function readConfig(path: string): Promise<DockerConfig | undefined> {
  try {
    return configShape.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    // What a parser says may repeat what it read.
    const why = (error as NodeJS.ErrnoException).code ?? 'it is not as Docker writes it';
    throw new LongshoreError('STORE_CREDENTIALS', `cannot read ${path}: ${why}`, {
      hint: 'correct it, or name the folder of another one with DOCKER_CONFIG',
    });
  }
}

function credentialsOf(entry: DockerAuth, path: string): RegistryCredentials | undefined {
  if (entry.identitytoken) return { kind: 'identity', token: new Secret(entry.identitytoken) };
  if (entry.registrytoken) return { kind: 'bearer', token: new Secret(entry.registrytoken) };
  if (entry.username && entry.password)
    return { kind: 'password', user: entry.username, password: new Secret(entry.password) };
  // An entry without anything says that a helper has it.
  if (!entry.auth) return undefined;
  const [user, ...password] = Buffer.from(entry.auth, 'base64').toString('utf8').split(':');
  if (!user || password.length === 0)
    throw new LongshoreError(
      'STORE_CREDENTIALS',
      `cannot read an entry of auths in ${path}: it is not user:password in base64`,
      {
        hint: 'run docker login, skopeo login or the like again',
      },
    );
  return { kind: 'password', user, password: new Secret(password.join(':')) };
}

const HELPER_MS_MAX = 60_000;

async function askHelper(
  name: string,
  key: string,
  env: Env,
  msMax: number,
): Promise<RegistryCredentials | undefined> {
  const program = `docker-credential-${name}`;
  const failed = (why: string, hint: string): LongshoreError =>
    new LongshoreError('STORE_CREDENTIALS', `cannot get credentials from ${program}: ${why}`, { hint });
  if (!/^[\w.-]+$/.test(name)) throw failed('that is no name of a program', "correct Docker's config.json");
  const { code, stdout } = await new Promise<{ code: string | number; stdout: string }>((resolve, reject) => {
    // One that hangs may not listen to less.
    const limits = { timeout: msMax, killSignal: 'SIGKILL' } as const;
    const child = execFile(program, ['get'], { env, ...limits }, (error, stdout) => {
      if (error === null) resolve({ code: 0, stdout });
      else if (error.killed === true && error.signal === 'SIGKILL')
        reject(failed(`it did not answer within ${msMax / 1000} s`, `run: echo ${key} | ${program} get`));
      else if (error.code === 'ENOENT')
        reject(failed('it is not there', "put it on the PATH, or correct Docker's config.json"));
      else resolve({ code: error.code ?? 'killed', stdout });
    });
    // One that ends without reading is told by its exit.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(key);
  });
  if (code !== 0) {
    if (/credentials not found/i.test(stdout)) return undefined;
    throw failed(`it ended with ${code}`, `run: echo ${key} | ${program} get`);
  }
  let answer: z.infer<typeof helperShape>;
  try {
    answer = helperShape.parse(JSON.parse(stdout));
  } catch {
    // The error would repeat the secret.
    throw failed('it does not answer as a credential helper', `run: echo ${key} | ${program} get`);
  }
  const secret = new Secret(answer.Secret);
  return answer.Username === '<token>'
    ? { kind: 'identity', token: secret }
    : { kind: 'password', user: answer.Username, password: secret };
}

/** The value of an `Authorization` header. */
export function basicAuthorization(user: string, password: Secret): Secret {
  return new Secret(`Basic ${Buffer.from(`${user}:${password.reveal()}`).toString('base64')}`);
}
