/** Who asks, what they may, and what they may still make: read-only. */

import { isAwsCode } from './aws-error.ts';
import type { AwsSession } from './aws-session.ts';

export interface Caller {
  readonly account: string;
  readonly arn: string;
}

export interface Subnet {
  readonly id: string;
  readonly vpcId: string;
  /** `euc1-az2`: of a place. The names of zones, `eu-central-1a`, are other places in every account. */
  readonly zoneId: string;
  readonly freeAddresses: number;
}

/** @throws STORE_CREDENTIALS where there are none, or they are no longer good */
export async function callerIdentity(aws: AwsSession): Promise<Caller> {
  const sdk = await import('@aws-sdk/client-sts');
  const client = aws.client('STS', (settings) => new sdk.STSClient(settings));
  const { Account, Arn } = await aws.call('sts:GetCallerIdentity', (options) =>
    client.send(new sdk.GetCallerIdentityCommand({}), options),
  );
  return { account: Account ?? '', arn: Arn ?? '' };
}

/** Those of them that exist. */
export async function describeSubnets(aws: AwsSession, ids: readonly string[]): Promise<Subnet[]> {
  const sdk = await import('@aws-sdk/client-ec2');
  const client = aws.client('EC2', (settings) => new sdk.EC2Client(settings));
  // A filter, since by id one that is missing fails them all.
  const command = new sdk.DescribeSubnetsCommand({ Filters: [{ Name: 'subnet-id', Values: [...ids] }] });
  const { Subnets } = await aws.call('ec2:DescribeSubnets', (options) => client.send(command, options));
  return (Subnets ?? []).map((subnet) => ({
    id: subnet.SubnetId ?? '',
    vpcId: subnet.VpcId ?? '',
    zoneId: subnet.AvailabilityZoneId ?? '',
    freeAddresses: subnet.AvailableIpAddressCount ?? 0,
  }));
}

/** Undefined where the service has none of that name. @param code `L-952B80B8` */
export async function serviceQuota(
  aws: AwsSession,
  service: string,
  code: string,
): Promise<number | undefined> {
  const sdk = await import('@aws-sdk/client-service-quotas');
  const client = aws.client('SERVICE_QUOTAS', (settings) => new sdk.ServiceQuotasClient(settings));
  const command = new sdk.GetServiceQuotaCommand({ ServiceCode: service, QuotaCode: code });
  try {
    const { Quota } = await aws.call('servicequotas:GetServiceQuota', (options) =>
      client.send(command, options),
    );
    return Quota?.Value;
  } catch (error) {
    if (isAwsCode(error, 'NoSuchResourceException')) return undefined;
    throw error;
  }
}

/** As KMS names it: `Enabled`, `Disabled`, `PendingDeletion`; undefined where there is no such key. */
export async function keyState(aws: AwsSession, keyId: string): Promise<string | undefined> {
  const sdk = await import('@aws-sdk/client-kms');
  const client = aws.client('KMS', (settings) => new sdk.KMSClient(settings));
  try {
    const { KeyMetadata } = await aws.call('kms:DescribeKey', (options) =>
      client.send(new sdk.DescribeKeyCommand({ KeyId: keyId }), options),
    );
    return KeyMetadata?.KeyState;
  } catch (error) {
    if (isAwsCode(error, 'NotFoundException')) return undefined;
    throw error;
  }
}

/** Actions on one resource, as a policy would be asked. */
export interface ActionsAsked {
  readonly actions: readonly string[];
  readonly resource: string;
  /** Keys of conditions: `aws:RequestTag/…`. */
  readonly context: Readonly<Record<string, string>>;
}

/**
 * Those of the actions that the caller's own policies do not allow; those of an organisation are not asked.
 * @throws STORE_DENIED where the caller may not ask it
 */
export async function deniedActions(
  aws: AwsSession,
  caller: Caller,
  asked: readonly ActionsAsked[],
): Promise<string[]> {
  if (caller.arn.endsWith(':root')) return [];
  const sdk = await import('@aws-sdk/client-iam');
  const client = aws.client('IAM', (settings) => new sdk.IAMClient(settings));
  const PolicySourceArn = await principalOf(aws, caller);
  const denied = await Promise.all(
    asked.map(async ({ actions, resource, context }) => {
      const command = new sdk.SimulatePrincipalPolicyCommand({
        PolicySourceArn,
        ActionNames: [...actions],
        ResourceArns: [resource],
        ContextEntries: Object.entries(context).map(([ContextKeyName, value]) => ({
          ContextKeyName,
          ContextKeyValues: [value],
          ContextKeyType: 'string' as const,
        })),
      });
      const { EvaluationResults } = await aws.call('iam:SimulatePrincipalPolicy', (options) =>
        client.send(command, options),
      );
      return (EvaluationResults ?? [])
        .filter(({ EvalDecision }) => EvalDecision !== 'allowed')
        .flatMap(({ EvalActionName }) => EvalActionName ?? []);
    }),
  );
  return [...new Set(denied.flat())];
}

/** The ARN of a session leaves out the path of its role. */
async function principalOf(aws: AwsSession, caller: Caller): Promise<string> {
  const role = /:assumed-role\/([^/]+)\//.exec(caller.arn)?.[1];
  if (role === undefined) return caller.arn;
  const sdk = await import('@aws-sdk/client-iam');
  const client = aws.client('IAM', (settings) => new sdk.IAMClient(settings));
  const { Role } = await aws.call('iam:GetRole', (options) =>
    client.send(new sdk.GetRoleCommand({ RoleName: role }), options),
  );
  return Role?.Arn ?? caller.arn;
}
