/** Credentials files in all their forms, and that nothing of a secret is told of one that is refused. */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { LongshoreError } from '../errors.ts';
import { readCredentialsFile, storeSettings } from './credentials-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-credentials-'));
  path = join(folder, 'credentials');
  return () => rmSync(folder, { recursive: true, force: true });
});

const ID = 'AKIAEXAMPLE12345';
const SECRET = 'wJalr/K7MDENG+bPx#Rfi=CY:KEY';

function written(text: string, mode = 0o600): string {
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return path;
}

async function refusal(reading: Promise<unknown>): Promise<LongshoreError> {
  const error = await reading.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof LongshoreError)) throw new Error('it was not refused');
  for (const secret of [ID, SECRET])
    expect(`${error.message} ${error.hint} ${error.stack}`).not.toContain(secret);
  expect(error.code).toBe('CONFIG_INVALID');
  return error;
}

const both = { AWS_ACCESS_KEY_ID: ID, AWS_SECRET_ACCESS_KEY: SECRET };

test.each([
  [
    'of the AWS tools',
    `[default]\naws_access_key_id = ${ID}\naws_secret_access_key=${SECRET}\n`,
    {},
    undefined,
  ],
  [
    'with a bucket',
    `# of shop\nKey_ID: ${ID}\nSECRET_KEY : "${SECRET}"\r\n\nbucket_name: shop\n`,
    {},
    'shop',
  ],
  [
    'with all of it',
    `access_key_id=${ID}\nsecret_access_key=${SECRET}\naws_session_token=t\nregion=eu-west-1\nendpoint_url=https://s3.example:9000\nbucket=b`,
    { AWS_SESSION_TOKEN: 't', AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL: 'https://s3.example:9000' },
    'b',
  ],
  ['of JSON', JSON.stringify({ key_id: ID, secret_key: SECRET, bucket: 'shop' }), {}, 'shop'],
])('one %s', async (_, text, more, bucket) => {
  expect(await readCredentialsFile(written(text))).toEqual({ env: { ...both, ...more }, bucket });
});

describe('refused', () => {
  test.each([0o640, 0o604, 0o644, 0o660])('one that others can read: %o', async (mode) => {
    const { message, hint } = await refusal(
      readCredentialsFile(written(`key_id=${ID}\nsecret_key=${SECRET}`, mode)),
    );
    expect(message).toContain('is open to others');
    expect(hint).toBe(`run chmod 600 ${path}`);
  });

  test('all that is missing and unknown at once, without a value', async () => {
    const { message } = await refusal(
      readCredentialsFile(
        written(`bukket = ${SECRET}\n${ID}:${SECRET}\n${SECRET.replace(/[=:]/g, '')}\nkey_id=\nkey_id=x`),
      ),
    );
    expect(message).toMatch(
      /: line 3 is no name = value, bukket is unknown, the name in line 2 is unknown, key_id is empty, key_id is there twice, aws_secret_access_key is missing$/,
    );
  });

  test.each([
    ['half an object', `{"key_id": "${ID}", "secret_key": "${SECRET}`, 'it is no JSON'],
    ['a number', `{"key_id": 1, "secret_key": "${SECRET}"}`, 'key_id is no text'],
    ['two sections', `[a]\nkey_id=${ID}\n[b]\nsecret_key=${SECRET}`, 'line 3 begins a second section'],
    ['nothing', '', 'aws_access_key_id is missing, aws_secret_access_key is missing'],
  ])('%s', async (_, text, why) => {
    expect((await refusal(readCredentialsFile(written(text)))).message).toContain(why);
  });

  test('one that is not there', async () => {
    expect((await refusal(readCredentialsFile(join(folder, 'none')))).message).toContain('ENOENT');
  });
});

describe('the settings of a store', () => {
  const env = {
    HOME: '/home/me',
    AWS_ACCESS_KEY_ID: 'other',
    AWS_SESSION_TOKEN: 'of the other',
    AWS_PROFILE: 'p',
    AWS_ENDPOINT_URL_S3: 'http://elsewhere',
  };

  test('the file goes before the environment, and nothing of another key stays', async () => {
    const credentials = written(`key_id=${ID}\nsecret_key=${SECRET}\nbucket=shop`);
    expect(await storeSettings({ credentials }, env)).toEqual({
      to: 's3://shop/',
      env: { HOME: '/home/me', AWS_ENDPOINT_URL_S3: 'http://elsewhere', ...both },
    });
    expect((await storeSettings({ credentials, to: 's3://other/a/' }, env)).to).toBe('s3://other/a/');
    written(`key_id=${ID}\nsecret_key=${SECRET}\nbucket=shop\nendpoint_url=http://here`);
    expect((await storeSettings({ credentials }, env)).env).toEqual({
      HOME: '/home/me',
      AWS_ENDPOINT_URL: 'http://here',
      ...both,
    });
  });

  test('without a file, all is as it was', async () => {
    expect(await storeSettings({ to: 's3://b/' }, env)).toEqual({ to: 's3://b/', env });
  });

  test('nothing says where', async () => {
    expect((await refusal(storeSettings({}, env))).hint).toContain('--to');
    const credentials = written(`key_id=${ID}\nsecret_key=${SECRET}`);
    expect((await refusal(storeSettings({ credentials }, env))).message).toContain('names no bucket');
    await refusal(storeSettings({ credentials, to: 's3://b/?profile=p' }, env));
  });
});
