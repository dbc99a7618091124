import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dockerCredentials } from './docker-credentials.ts';

let folder: string;
let env: Record<string, string>;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-docker-'));
  mkdirSync(join(folder, 'bin'));
  env = { DOCKER_CONFIG: folder, PATH: `${join(folder, 'bin')}${delimiter}${process.env['PATH']}` };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const config = (value: unknown): void => writeFileSync(join(folder, 'config.json'), JSON.stringify(value));

function helper(name: string, script: string): void {
  const path = join(folder, 'bin', `docker-credential-${name}`);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

async function found(registry: string): Promise<unknown> {
  const credentials = await dockerCredentials(registry, env);
  if (credentials === undefined) return undefined;
  return credentials.kind === 'password'
    ? [credentials.user, credentials.password.reveal()]
    : [credentials.kind, credentials.token.reveal()];
}

const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });

test('auths of config.json, however their keys are written', async () => {
  expect(await found('registry.example')).toBeUndefined();
  config({
    auths: {
      'registry.example:5000': auth('me:a:b'),
      'https://other.example/v1/': { username: 'you', password: 'x' },
      'https://index.docker.io/v1/': { ...auth('hub:h'), email: 'a@b' },
      'token.example': { identitytoken: 'it', auth: '' },
      'bearer.example': { registrytoken: 'rt' },
      'empty.example': {},
      'broken.example': auth('nothing'),
    },
  });
  expect(await found('registry.example:5000')).toEqual(['me', 'a:b']);
  expect(await found('registry.example')).toBeUndefined();
  expect(await found('other.example')).toEqual(['you', 'x']);
  expect(await found('docker.io')).toEqual(['hub', 'h']);
  expect(await found('token.example')).toEqual(['identity', 'it']);
  expect(await found('bearer.example')).toEqual(['bearer', 'rt']);
  expect(await found('empty.example')).toBeUndefined();
  await expect(found('broken.example')).rejects.toThrow('not user:password in base64');
});

test('helpers are asked with the host on standard input, one of a registry before that of all', async () => {
  config({ auths: { 'c.example': auth('c:c') }, credsStore: 'all', credHelpers: { 'b.example': 'one' } });
  helper(
    'all',
    `read host; [ "$1" = get ] || exit 9
case "$host" in
  a.example) echo '{"ServerURL":"a","Username":"a","Secret":"all"}';;
  https://index.docker.io/v1/) echo '{"Username":"hub","Secret":"h"}';;
  t.example) echo '{"Username":"<token>","Secret":"t"}';;
  d.example) echo broken geheim; exit 0;;
  e.example) echo geheim; exit 3;;
  *) echo 'credentials not found in native keychain'; exit 1;;
esac`,
  );
  helper('one', `echo '{"Username":"b","Secret":"one"}'`);
  expect(await found('a.example')).toEqual(['a', 'all']);
  expect(await found('b.example')).toEqual(['b', 'one']);
  expect(await found('docker.io')).toEqual(['hub', 'h']);
  expect(await found('t.example')).toEqual(['identity', 't']);
  // What the helper does not know may be in the file.
  expect(await found('c.example')).toEqual(['c', 'c']);
  expect(await found('x.example')).toBeUndefined();
  for (const [registry, message] of [
    ['d.example', 'does not answer as a credential helper'],
    ['e.example', 'it ended with 3'],
  ] as const) {
    await expect(found(registry)).rejects.toThrow(message);
    await expect(found(registry)).rejects.not.toThrow('geheim');
  }
});

test('what cannot be read is told without repeating it', async () => {
  config({ credsStore: 'nobody-has-this' });
  await expect(found('a.example')).rejects.toThrow('docker-credential-nobody-has-this: it is not there');
  config({ credsStore: '../sh' });
  await expect(found('a.example')).rejects.toThrow('no name of a program');
  writeFileSync(join(folder, 'config.json'), '{"auths": geheim');
  await expect(found('a.example')).rejects.toThrow('it is not as Docker writes it');
  await expect(found('a.example')).rejects.not.toThrow('geheim');
});

test('a helper that hangs, and does not listen to being told to end, is ended', async () => {
  config({ credsStore: 'deaf' });
  helper('deaf', `trap '' TERM\nwhile :; do sleep 1; done`);
  await expect(dockerCredentials('a.example', env, 200)).rejects.toThrow(
    'docker-credential-deaf: it did not answer within 0.2 s',
  );
});
