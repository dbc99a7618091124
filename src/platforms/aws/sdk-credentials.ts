/** Credentials as the clients of the AWS SDK ask for them. */

import type { CredentialSource } from '../../stores/s3/credentials.ts';

/** Asked again when they expire. */
export function sdkCredentials(source: CredentialSource) {
  return async () => {
    const { credentials, expiresMs } = await source.get();
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    return {
      accessKeyId,
      secretAccessKey: secretAccessKey.reveal(),
      ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
      ...(expiresMs === undefined ? {} : { expiration: new Date(expiresMs) }),
    };
  };
}
