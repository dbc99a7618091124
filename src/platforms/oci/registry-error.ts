/** What a registry refuses, and what a connection to it throws, as errors that say what to do next. */

import { LongshoreError, messageOf } from '../../errors.ts';

/** @param action what was tried on what: `push to registry.example/team/shop-db` */
export function refusal(status: number, body: string, action: string): LongshoreError {
  const said = saidBy(body);
  const message = `cannot ${action}: the registry answers ${status}${said === undefined ? '' : `, ${said}`}`;
  const make = (code: LongshoreError['code'], hint?: string) =>
    new LongshoreError(code, message, { hint, context: { status } });
  if (status === 401)
    return make(
      'STORE_CREDENTIALS',
      'log in with docker login or skopeo login, or name the folder of a Docker config.json with DOCKER_CONFIG',
    );
  if (status === 403)
    return make('STORE_DENIED', 'let whoever is logged in pull from, and to publish push to, the repository');
  if (status === 404) return make('OBJECT_FAILED', 'look at the name of the repository and its tag');
  if (status === 405) return make('STORE_UNSUPPORTED');
  if (status === 408) return make('STORE_TIMEOUT');
  if (status === 429) return make('STORE_SLOW_DOWN', 'log in: registries let known users pull more');
  return make(status >= 500 ? 'STORE_UNAVAILABLE' : 'STORE_RESPONSE');
}

/** Of a connection that did not come about or broke off. */
export function broken(error: unknown, action: string): LongshoreError {
  if (error instanceof LongshoreError) return error;
  const { code = '' } = error as NodeJS.ErrnoException;
  // What OpenSSL says of itself has its source in it.
  const why = /SSL routines:\w*:([^:]+)/.exec(messageOf(error))?.[1] ?? messageOf(error);
  const message = `cannot ${action}: ${why || code}`;
  if (/TIMEOUT|ETIMEDOUT/.test(code)) return new LongshoreError('STORE_TIMEOUT', message, { cause: error });
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/.test(code))
    return new LongshoreError('STORE_UNREACHABLE', message, {
      cause: error,
      hint: 'look at the name of the registry and its port',
    });
  if (/^ERR_(?:SSL|TLS)|CERT|SELF_SIGNED|ISSUER/.test(code))
    return new LongshoreError('STORE_UNSUPPORTED', message, {
      cause: error,
      hint: 'for a registry with a certificate of its own set NODE_EXTRA_CA_CERTS; for one that speaks plain HTTP give --plain-http',
    });
  return new LongshoreError('STORE_UNAVAILABLE', message, { cause: error });
}

const SAID_MAX = 300;

/** `MANIFEST_UNKNOWN: manifest unknown`, as the distribution specification has it. */
function saidBy(body: string): string | undefined {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: string; message?: string }[] };
    const said = errors?.map(({ code, message }) => [code, message].filter(Boolean).join(': ')).join('; ');
    return said?.slice(0, SAID_MAX) || undefined;
  } catch {
    // Anything else comes from what stands before the registry: its status says enough.
    return undefined;
  }
}
