/** Where S3 credentials come from: the environment, else the AWS SDK's provider chain, loaded only when needed. */

import { Secret } from '../../config/secret.ts';
import { LongshoreError } from '../../errors.ts';
import type { SigningCredentials } from './sign.ts';

/** Gives credentials; asked again shortly before they expire. */
export interface CredentialSource {
  get(): Promise<{ credentials: SigningCredentials; expiresMs?: number | undefined }>;
}

export function staticCredentials(
  accessKeyId: string,
  secretAccessKey: string,
  sessionToken?: string,
): CredentialSource {
  const credentials = {
    accessKeyId,
    secretAccessKey: new Secret(secretAccessKey),
    ...(sessionToken === undefined ? {} : { sessionToken: new Secret(sessionToken) }),
  };
  return { get: async () => ({ credentials }) };
}

/**
 * The standard chain: environment, SSO, profiles, processes, web identity, containers, instance metadata.
 * @param profile of `~/.aws/config`; with it, the environment's keys are not used
 */
export function credentialChain(
  env: Readonly<Record<string, string | undefined>>,
  profile?: string,
): CredentialSource {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = env;
  if (profile === undefined && id && secret) return staticCredentials(id, secret, token || undefined);
  let provider: (() => Promise<SdkCredentials>) | undefined;
  return {
    async get() {
      try {
        if (provider === undefined) {
          const { defaultProvider } = await import('@aws-sdk/credential-provider-node');
          provider = defaultProvider(profile === undefined ? {} : { profile });
        }
        const found = await provider();
        return {
          credentials: {
            accessKeyId: found.accessKeyId,
            secretAccessKey: new Secret(found.secretAccessKey),
            ...(found.sessionToken === undefined ? {} : { sessionToken: new Secret(found.sessionToken) }),
          },
          expiresMs: found.expiration?.getTime(),
        };
      } catch (error) {
        const named = profile ?? env['AWS_PROFILE'];
        const where = named ? ` in the profile ${named}` : '';
        throw new LongshoreError('STORE_CREDENTIALS', `no AWS credentials found${where}`, {
          cause: error,
          hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role',
        });
      }
    },
  };
}

interface SdkCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}
