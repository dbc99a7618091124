/** The examples that AWS publishes under "Signature Calculations for the Authorization Header" of the S3 API reference. */

import { describe, expect, test } from 'vitest';
import { Secret } from '../../config/secret.ts';
import { EMPTY_SHA256, encodeKey, encodeQuery, Signer, sha256Hex } from './sign.ts';

const CREDENTIALS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: new Secret('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'),
};
const HOST = 'examplebucket.s3.amazonaws.com';
const NOW_MS = Date.UTC(2013, 4, 24);

type Headers = [string, string][];

function signatureOf(
  method: string,
  path: string,
  query: string,
  headers: Headers,
  payload = EMPTY_SHA256,
): string {
  const flat = new Signer(CREDENTIALS, 'us-east-1').sign(method, HOST, path, query, headers, payload, NOW_MS);
  return flat[flat.indexOf('authorization') + 1]!;
}

describe("AWS's examples", () => {
  test('GET Object', () => {
    expect(signatureOf('GET', '/test.txt', '', [['range', 'bytes=0-9']])).toBe(
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    );
  });

  test('PUT Object', () => {
    const headers: Headers = [
      ['date', 'Fri, 24 May 2013 00:00:00 GMT'],
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
    ];
    const signed = signatureOf(
      'PUT',
      `/${encodeKey('test$file.text')}`,
      '',
      headers,
      sha256Hex('Welcome to Amazon S3.'),
    );
    expect(signed).toContain('SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,');
    expect(signed).toContain('Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd');
  });

  test('GET Bucket Lifecycle', () => {
    expect(signatureOf('GET', '/', 'lifecycle=', [])).toContain(
      'Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    );
  });

  test('GET Bucket (List Objects)', () => {
    expect(signatureOf('GET', '/', 'max-keys=2&prefix=J', [])).toContain(
      'Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    );
  });
});

describe('a signer', () => {
  test('signs anew when the second or the day changes, as a new one would', () => {
    const kept = new Signer(CREDENTIALS, 'eu-west-1');
    for (const nowMs of [NOW_MS, NOW_MS + 999, NOW_MS + 1_000, NOW_MS + 86_400_000, NOW_MS]) {
      const fresh = new Signer(CREDENTIALS, 'eu-west-1');
      const args = ['GET', HOST, '/a', '', [], EMPTY_SHA256, nowMs] as const;
      expect(kept.sign(...args)).toEqual(fresh.sign(...args));
    }
  });

  test('sends and signs the session token, and gives the secret to nobody', () => {
    const signer = new Signer({ ...CREDENTIALS, sessionToken: new Secret('the-token') }, 'us-east-1');
    const flat = signer.sign('GET', HOST, '/a', '', [], EMPTY_SHA256, NOW_MS);
    expect(flat[flat.indexOf('x-amz-security-token') + 1]).toBe('the-token');
    expect(flat.at(-1)).toContain('x-amz-security-token');
    expect(flat.join()).not.toContain(CREDENTIALS.secretAccessKey.reveal());
  });

  test('takes runs of spaces in a value for one, as the specification asks', () => {
    const sign = (value: string) => signatureOf('GET', '/', '', [['x-amz-meta-a', value]]);
    expect(sign(' a  b ')).toBe(sign('a b'));
  });
});

describe('encoding', () => {
  test('of keys keeps unreserved characters and the slash', () => {
    expect(encodeKey("a/b c+%é'(~-_.)*!")).toBe('a/b%20c%2B%25%C3%A9%27%28~-_.%29%2A%21');
    expect(encodeKey('😀')).toBe('%F0%9F%98%80');
  });

  test('of query values keeps unreserved characters only', () => {
    expect(encodeQuery('a/b c=&~')).toBe('a%2Fb%20c%3D%26~');
  });
});
