/** Who asks, and what they may do: the IAM actions allowed to each access key. */

import { S3Error } from './s3-error.ts';

/** Allows an action (`s3:GetObject`, `s3:*`) on a resource (`bucket`, `bucket/prefix*`, with or without `arn:aws:s3:::`). */
export interface PolicyStatement {
  readonly action: string;
  readonly resource: string;
}

/** An access key besides the owner's, which may do only what is listed. */
export interface AccessPolicy {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Where given, requests must carry it. */
  readonly sessionToken?: string;
  readonly allow: readonly PolicyStatement[];
}

export interface Principal {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  /** Whether the action is allowed on `bucket` or `bucket/key`. */
  allows(action: string, resource: string): boolean;
}

/** The owner of everything. */
export function owner(accessKeyId: string, secretAccessKey: string): Principal {
  return { accessKeyId, secretAccessKey, allows: () => true };
}

export function limited(policy: AccessPolicy): Principal {
  const rules = policy.allow.map(({ action, resource }) => ({
    action: wildcard(action),
    resource: wildcard(resource.replace(/^arn:aws:s3:::/, '')),
  }));
  return {
    accessKeyId: policy.accessKeyId,
    secretAccessKey: policy.secretAccessKey,
    sessionToken: policy.sessionToken,
    allows: (action, resource) =>
      rules.some((rule) => rule.action.test(action) && rule.resource.test(resource)),
  };
}

/** @throws {S3Error} AccessDenied, naming the action as AWS does */
export function demand(principal: Principal, action: string, resource: string): void {
  if (principal.allows(action, resource)) return;
  throw new S3Error('AccessDenied', {
    message: `User: arn:aws:iam::000000000000:user/${principal.accessKeyId} is not authorized to perform: ${action} on resource: "arn:aws:s3:::${resource}" because no identity-based policy allows the ${action} action`,
  });
}

function wildcard(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '[^]*')
    .replace(/\?/g, '[^]');
  return new RegExp(`^${source}$`);
}
