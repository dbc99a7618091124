import { expect, test } from 'vitest';
import { credentialsIn } from './find-credentials.ts';

test.each([
  ['key = AKIAIOSFODNN7EXAMPLE', 'an access key of AWS'],
  ['-----BEGIN RSA PRIVATE KEY-----', 'a private key'],
  ['url = postgres://me:geheim@db/shop', 'a URL with a password'],
  ['url = https://b.s3.amazonaws.com/c.yaml?X-Amz-Signature=abc', 'a URL with a signature or token'],
  ['url = https://git.example/c.yaml?ref=main&private_token=x', 'a URL with a signature or token'],
  ['x: ghp_0123456789abcdefghij', 'a token'],
  ['url = https://b.s3.amazonaws.com/c.yaml?X-Amz-Security-Token=abc', 'a URL with a signature or token'],
  ['url = jdbc:sqlserver://db;user=me;password=geheim', 'a URL with a signature or token'],
  ['aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'a secret key of AWS'],
  ["CREATE ROLE app LOGIN PASSWORD 'geheim';", 'a password of a user'],
  ["create user 'app'@'%' identified by 'geheim'", 'a password of a user'],
])('%s', (line, what) => {
  for (const isConfig of [true, false])
    expect(credentialsIn(`a\r\n${line}`, isConfig)).toEqual([`line 2: ${what}`]);
});

test.each(['password = x', '; db_password=x', '# DB_PWD: x', 'aws_secret_access_key = x', 'Token = x'])(
  '%s is one in a configuration, and may be a column in a changelog',
  (line) => {
    expect(credentialsIn(line, true)).toEqual(['line 1: a password, key or token']);
    expect(credentialsIn(line, false)).toEqual([]);
  },
);

test.each([
  'source_db_cluster_id = shop',
  'kms_key_id = arn:aws:kms:eu-central-1:123456789012:key/abc',
  'password =',
  '; the password: see the vault',
  'url = postgres://reader@db.example/shop',
  'url = https://example.test/c.yaml?version=2',
  "create role app login password '${app_password}'",
  "create user app identified by '${app_password}'",
  'ALTER TABLE users ADD password varchar(80)',
])('%s is none', (line) => {
  expect(credentialsIn(line, true)).toEqual([]);
});
