/** One account and region of AWS: its clients share credentials, are made when they are first needed, and end together. */

import { LongshoreError } from '../../errors.ts';
import { credentialChain } from '../../stores/s3/credentials.ts';
import { awsError } from './aws-error.ts';
import { sdkCredentials } from './sdk-credentials.ts';

export interface AwsSession extends Disposable {
  readonly region: string;
  /**
   * A client of one service, the same each time.
   * @param service as in `AWS_ENDPOINT_URL_…`: `RDS`, `SERVICE_QUOTAS`
   */
  client<T extends Destroyable>(service: string, make: (settings: ClientSettings) => T): T;
  /**
   * Throttling and what fails in passing was tried again by the SDK before this rejects.
   * @param action the IAM action that is needed
   * @throws STORE_DENIED, which names the action; STORE_CREDENTIALS, STORE_UNREACHABLE, …
   */
  call<T>(action: string, send: (options: SendOptions) => Promise<T>): Promise<T>;
}

export interface SendOptions {
  readonly abortSignal?: AbortSignal;
}

interface Destroyable {
  destroy(): void;
}

/** What every client is made with. */
export interface ClientSettings {
  readonly region: string;
  readonly credentials: () => Promise<{
    accessKeyId: string;
    secretAccessKey: string;
    sessionToken?: string;
    expiration?: Date;
  }>;
  readonly endpoint?: string;
  readonly maxAttempts: number;
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Credentials by the standard chain, endpoints by `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<service>`.
 * @param options.region goes before that of the environment, and that before the profile's
 * @throws CONFIG_INVALID where no region is known
 */
export async function openAwsSession(options: {
  readonly env: Env;
  readonly region?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}): Promise<AwsSession> {
  const { env, signal } = options;
  const profile = env['AWS_ACCESS_KEY_ID'] ? undefined : env['AWS_PROFILE'] || undefined;
  const region =
    options.region || env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || (await regionOf(profile));
  const credentials = sdkCredentials(credentialChain(env, profile));
  const clients = new Map<string, Destroyable>();
  return {
    region,
    client<T extends Destroyable>(service: string, make: (settings: ClientSettings) => T): T {
      const made = clients.get(service) as T | undefined;
      if (made !== undefined) return made;
      const endpoint = env[`AWS_ENDPOINT_URL_${service}`] || env['AWS_ENDPOINT_URL'];
      const client = make({
        region,
        credentials,
        maxAttempts: ATTEMPTS,
        ...(endpoint ? { endpoint } : {}),
      });
      clients.set(service, client);
      return client;
    },
    async call(action, send) {
      signal?.throwIfAborted();
      try {
        return await send(signal === undefined ? {} : { abortSignal: signal });
      } catch (error) {
        signal?.throwIfAborted();
        throw awsError(action, error);
      }
    },
    [Symbol.dispose]() {
      for (const client of clients.values()) client.destroy();
    },
  };
}

/** With full jitter from half a second, as the SDK waits after throttling: about half a minute in all. */
const ATTEMPTS = 7;

/** As `~/.aws/config` has it. */
async function regionOf(profile: string | undefined): Promise<string> {
  const { STSClient } = await import('@aws-sdk/client-sts');
  const client = new STSClient(profile === undefined ? {} : { profile });
  try {
    return await client.config.region();
  } catch (error) {
    const where = profile === undefined ? '' : `: the profile ${profile} has none, or is not there`;
    throw new LongshoreError('CONFIG_INVALID', `no region of AWS is known${where}`, {
      cause: error,
      hint: 'set AWS_REGION, or region in the artifact’s [source_db], or region in the profile',
    });
  } finally {
    client.destroy();
  }
}
