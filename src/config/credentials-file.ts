/**
 * One file with the key of a store: key id, secret, and where wanted the bucket. Lines of `name = value` or `name: value`,
 * or an object of JSON. Nothing of what it holds is ever in an error but the names.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { LongshoreError, messageOf } from '../errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface StoreSettings {
  readonly to: string;
  /** For `openStore`. */
  readonly env: Environment;
}

/**
 * Where a store is and with what it is opened: the credentials file goes before the environment, `--to` before its bucket.
 * @throws CONFIG_INVALID
 */
export async function storeSettings(
  flags: { readonly to?: string | undefined; readonly credentials?: string | undefined },
  env: Environment,
): Promise<StoreSettings> {
  const { to, credentials } = flags;
  if (credentials === undefined) {
    if (to !== undefined) return { to, env };
    throw new LongshoreError('CONFIG_INVALID', 'nothing says where the backups are', {
      hint: 'give --to s3://bucket/prefix/, or --credentials with a file that names a bucket',
    });
  }
  const file = await readCredentialsFile(credentials);
  const target = to ?? (file.bucket === undefined ? undefined : `s3://${file.bucket}/`);
  if (target === undefined) {
    throw new LongshoreError('CONFIG_INVALID', `${credentials} names no bucket`, {
      hint: 'give --to s3://bucket/prefix/, or add a line bucket = … to the file',
    });
  }
  if (/[?&]profile=/.test(target)) {
    throw new LongshoreError(
      'CONFIG_INVALID',
      'a profile and a credentials file are two keys for one store',
      {
        hint: 'leave profile= out of --to, or --credentials',
      },
    );
  }
  // What belongs to another key, or would be asked before what the file says.
  const { AWS_SESSION_TOKEN, AWS_PROFILE, ...others } = env;
  const { AWS_ENDPOINT_URL_S3, ...elsewhere } = others;
  return {
    to: target,
    env: { ...(file.env['AWS_ENDPOINT_URL'] === undefined ? others : elsewhere), ...file.env },
  };
}

/** By what they are for: the variable of the AWS tools, and the names that it has in files. */
const NAMES: Readonly<Record<string, string>> = {
  aws_access_key_id: 'AWS_ACCESS_KEY_ID',
  access_key_id: 'AWS_ACCESS_KEY_ID',
  key_id: 'AWS_ACCESS_KEY_ID',
  aws_secret_access_key: 'AWS_SECRET_ACCESS_KEY',
  secret_access_key: 'AWS_SECRET_ACCESS_KEY',
  secret_key: 'AWS_SECRET_ACCESS_KEY',
  aws_session_token: 'AWS_SESSION_TOKEN',
  session_token: 'AWS_SESSION_TOKEN',
  region: 'AWS_REGION',
  aws_region: 'AWS_REGION',
  endpoint_url: 'AWS_ENDPOINT_URL',
  aws_endpoint_url: 'AWS_ENDPOINT_URL',
  bucket: 'bucket',
  bucket_name: 'bucket',
};

const NEEDED = { AWS_ACCESS_KEY_ID: 'aws_access_key_id', AWS_SECRET_ACCESS_KEY: 'aws_secret_access_key' };

/**
 * @returns variables of the AWS tools, and the bucket
 * @throws CONFIG_INVALID for a file that others can read, and for all that is missing or unknown in it at once
 */
export async function readCredentialsFile(
  path: string,
): Promise<{ env: Record<string, string>; bucket: string | undefined }> {
  const { pairs, problems } = parse(await readPrivate(path));
  const found = new Map<string, string>();
  for (const { name, value, where } of pairs) {
    const known = NAMES[name.toLowerCase()];
    if (known === undefined) problems.push(`${shownName(name) ?? where} is unknown`);
    else if (found.has(known)) problems.push(`${name.toLowerCase()} is there twice`);
    else if (value === '') problems.push(`${name.toLowerCase()} is empty`);
    found.set(known ?? `unknown ${name}`, value);
  }
  for (const [variable, name] of Object.entries(NEEDED))
    if (!found.has(variable)) problems.push(`${name} is missing`);
  if (problems.length > 0) {
    throw new LongshoreError('CONFIG_INVALID', `the credentials file ${path}: ${problems.join(', ')}`, {
      hint: 'write lines aws_access_key_id = …, aws_secret_access_key = …, and where wanted bucket, region, endpoint_url, aws_session_token',
    });
  }
  const { bucket, ...env } = Object.fromEntries(found);
  return { env, bucket };
}

/** A key that stands in the place of a name is not shown. */
function shownName(name: string): string | undefined {
  return /^[A-Za-z][A-Za-z_.-]{0,40}$/.test(name) ? name : undefined;
}

interface Parsed {
  readonly pairs: readonly { readonly name: string; readonly value: string; readonly where: string }[];
  readonly problems: string[];
}

function parse(text: string): Parsed {
  const whole = text.replace(/^\uFEFF/, '');
  return /^\s*\{/.test(whole) ? parseJson(whole) : parseLines(whole);
}

function parseJson(text: string): Parsed {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    // The parser's own message shows what stands there.
    return { pairs: [], problems: ['it is no JSON'] };
  }
  const problems: string[] = [];
  const pairs = Object.entries(given as object).flatMap(([name, value], at) => {
    const where = `name ${at + 1}`;
    if (typeof value === 'string') return [{ name, value, where }];
    problems.push(`${shownName(name) ?? where} is no text`);
    return [];
  });
  return { pairs, problems };
}

function parseLines(text: string): Parsed {
  const pairs: { name: string; value: string; where: string }[] = [];
  const problems: string[] = [];
  let sections = 0;
  for (const [at, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    if (/^\[[^\]]*\]$/.test(line)) {
      if (++sections === 2) problems.push(`line ${at + 1} begins a second section`);
      continue;
    }
    const [, name, value] = /^([^=:\s]+)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    if (name === undefined) problems.push(`line ${at + 1} is no name = value`);
    else
      pairs.push({
        name,
        value: value!.replace(/^(['"])(.*)\1$/, '$2'),
        where: `the name in line ${at + 1}`,
      });
  }
  return { pairs, problems };
}

/** @throws CONFIG_INVALID where there is none, or others can read it */
async function readPrivate(path: string): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path);
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    const { mode } = await file.stat();
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new LongshoreError('CONFIG_INVALID', `the credentials file ${path} is open to others`, {
        hint: `run chmod 600 ${quoted(path)}`,
      });
    }
    return await file.readFile('utf8');
  } catch (error) {
    throw error instanceof LongshoreError ? error : unreadable(path, error);
  } finally {
    await file.close();
  }
}

function unreadable(path: string, error: unknown): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', `cannot read the credentials file: ${messageOf(error)}`, {
    cause: error,
    hint: `look at ${path}: --credentials names a file that this user can read`,
  });
}

function quoted(path: string): string {
  return /^[\w./+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
