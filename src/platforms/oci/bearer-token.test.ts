import { expect, test } from 'vitest';
import { Secret } from '../../config/secret.ts';
import { parseChallenge, tokenOf, tokenRequest } from './bearer-token.ts';

test('challenges', () => {
  expect(
    parseChallenge(
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
    ),
  ).toEqual({
    scheme: 'bearer',
    realm: 'https://auth.example/token',
    service: 'registry.example',
    scope: 'repository:a/b:pull,push',
  });
  expect(
    parseChallenge('bearer realm=https://auth.example/token , error="invalid \\"token\\""'),
  ).toMatchObject({
    realm: 'https://auth.example/token',
    scope: undefined,
  });
  expect(parseChallenge('Basic realm="x"')).toEqual({ scheme: 'basic' });
  expect(parseChallenge('Basic realm="x", Bearer realm="https://a.example"')).toMatchObject({
    scheme: 'bearer',
  });
  expect(parseChallenge('Negotiate')).toBeUndefined();
  expect(parseChallenge('Bearer service="x"')).toBeUndefined();
  expect(parseChallenge(undefined)).toBeUndefined();
});

const challenge = {
  scheme: 'bearer',
  realm: 'https://auth.example/token?a=b',
  service: 's',
  scope: 'x:y:pull',
} as const;

test('a token is asked for with a password, with an identity token, or as nobody', () => {
  const scopes = ['x:y:pull', 'z:z:pull'];
  const password = { kind: 'password', user: 'me', password: new Secret('pw') } as const;
  const url = 'https://auth.example/token?a=b&service=s&scope=x%3Ay%3Apull&scope=z%3Az%3Apull';
  expect(tokenRequest(challenge, scopes, password, false)).toMatchObject({
    method: 'GET',
    url,
    headers: { authorization: `Basic ${Buffer.from('me:pw').toString('base64')}` },
  });
  expect(tokenRequest(challenge, scopes, undefined, false)).toEqual({
    method: 'GET',
    url,
    headers: {},
    body: undefined,
  });
  const exchanged = tokenRequest(challenge, scopes, { kind: 'identity', token: new Secret('it') }, false);
  expect(exchanged.method).toBe('POST');
  expect(Object.fromEntries(new URLSearchParams(exchanged.body))).toMatchObject({
    grant_type: 'refresh_token',
    refresh_token: 'it',
    scope: 'x:y:pull z:z:pull',
    service: 's',
  });
  expect(exchanged.url).not.toContain('it=');
});

test('no password goes over the wire as it is', () => {
  const plain = { ...challenge, realm: 'http://auth.example/token' };
  expect(() => tokenRequest(plain, [], undefined, false)).toThrow('it is no https address');
  expect(tokenRequest(plain, [], undefined, true).url).toContain('http://auth.example');
  expect(() => tokenRequest({ ...challenge, realm: 'file:///etc/passwd' }, [], undefined, true)).toThrow(
    'no https',
  );
});

test('answers', () => {
  expect(tokenOf('{"token":"a"}', 'r').reveal()).toBe('a');
  expect(tokenOf('{"access_token":"b"}', 'r').reveal()).toBe('b');
  for (const body of ['{}', 'geheim', '{"token":1}'])
    expect(() => tokenOf(body, 'r')).toThrow('answers no token');
});
