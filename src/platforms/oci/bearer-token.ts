/** Tokens that a registry wants: what its `WWW-Authenticate` asks for, and how it is got from the server of tokens. */

import { Secret } from '../../config/secret.ts';
import { LongshoreError } from '../../errors.ts';
import { basicAuthorization, type RegistryCredentials } from './docker-credentials.ts';

export type Challenge =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'bearer';
      readonly realm: string;
      readonly service: string | undefined;
      readonly scope: string | undefined;
    };

/** Undefined where it asks for something else. RFC 9110, section 11.6.1. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  const bearer = /(?:^|,\s*)Bearer\s+(.*)$/is.exec(header ?? '')?.[1];
  if (bearer === undefined) return /(?:^|,\s*)Basic\b/i.test(header ?? '') ? { scheme: 'basic' } : undefined;
  const values = new Map<string, string>();
  for (const [, key, quoted, plain] of bearer.matchAll(/(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g))
    values.set(key!.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain!);
  const realm = values.get('realm');
  if (realm === undefined) return undefined;
  return { scheme: 'bearer', realm, service: values.get('service'), scope: values.get('scope') };
}

export interface TokenRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/**
 * @param scopes `repository:team/shop-db:pull,push`
 * @param plainHttp whether the registry itself may be spoken to without TLS
 * @throws STORE_RESPONSE where a password would go over the wire as it is
 */
export function tokenRequest(
  { realm, service, scope }: Extract<Challenge, { scheme: 'bearer' }>,
  scopes: readonly string[],
  credentials: RegistryCredentials | undefined,
  plainHttp: boolean,
): TokenRequest {
  const url = URL.parse(realm);
  if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && plainHttp)))
    throw new LongshoreError('STORE_RESPONSE', `cannot ask for a token at ${realm}: it is no https address`);
  const wanted = [...new Set([...(scope?.split(' ') ?? []), ...scopes])];
  if (credentials?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: 'longshore',
      refresh_token: credentials.token.reveal(),
      scope: wanted.join(' '),
      ...(service === undefined ? {} : { service }),
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { method: 'POST', url: url.href, headers, body: form.toString() };
  }
  if (service !== undefined) url.searchParams.set('service', service);
  for (const one of wanted) url.searchParams.append('scope', one);
  const headers =
    credentials?.kind === 'password'
      ? { authorization: basicAuthorization(credentials.user, credentials.password).reveal() }
      : {};
  return { method: 'GET', url: url.href, headers, body: undefined };
}

/** @throws STORE_RESPONSE */
export function tokenOf(body: string, realm: string): Secret {
  try {
    const { token, access_token: accessToken } = JSON.parse(body) as Record<string, unknown>;
    const found = token || accessToken;
    if (typeof found === 'string') return new Secret(found);
  } catch {
    // The same as an answer without one; the error would repeat what was answered.
  }
  throw new LongshoreError('STORE_RESPONSE', `${realm} answers no token`);
}
