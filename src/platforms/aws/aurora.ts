/** Aurora clusters, and what RDS says of where one may run. */

import type { DBCluster } from '@aws-sdk/client-rds';
import type { Secret } from '../../config/secret.ts';
import { isAwsCode } from './aws-error.ts';
import type { AwsSession } from './aws-session.ts';

export interface ClusterState {
  readonly id: string;
  readonly arn: string;
  /** `aurora-postgresql`, `aurora-mysql`; RDS names others too. */
  readonly engine: string;
  readonly engineVersion: string;
  /** `available`, `creating`, `stopped`, … */
  readonly status: string;
  readonly port: number;
  readonly username: string;
  readonly databaseName: string | undefined;
  readonly subnetGroup: string;
  readonly instances: readonly string[];
  /** The same of a cluster and its copy-on-write clones. */
  readonly cloneGroup: string | undefined;
  readonly crossAccountClone: boolean;
  readonly deletionProtection: boolean;
  readonly encrypted: boolean;
  readonly kmsKeyId: string | undefined;
  /** Capacity units of `db.serverless`. */
  readonly capacity: { readonly min: number; readonly max: number } | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** @param cluster its identifier or ARN */
export async function describeCluster(aws: AwsSession, cluster: string): Promise<ClusterState | undefined> {
  const { sdk, client } = await rds(aws);
  try {
    const { DBClusters } = await aws.call('rds:DescribeDBClusters', (options) =>
      client.send(new sdk.DescribeDBClustersCommand({ DBClusterIdentifier: cluster }), options),
    );
    return DBClusters?.[0] && stateOf(DBClusters[0]);
  } catch (error) {
    if (isAwsCode(error, 'DBClusterNotFoundFault')) return undefined;
    throw error;
  }
}

/** All of the region. */
export async function listClusters(aws: AwsSession): Promise<ClusterState[]> {
  const { sdk, client } = await rds(aws);
  const found: ClusterState[] = [];
  let Marker: string | undefined;
  do {
    const page = await aws.call('rds:DescribeDBClusters', (options) =>
      client.send(new sdk.DescribeDBClustersCommand(Marker === undefined ? {} : { Marker }), options),
    );
    found.push(...(page.DBClusters ?? []).map(stateOf));
    Marker = page.Marker || undefined;
  } while (Marker !== undefined);
  return found;
}

/** Of every engine in the region: the quota counts them all. */
export async function countInstances(aws: AwsSession): Promise<number> {
  const { sdk, client } = await rds(aws);
  let count = 0;
  let Marker: string | undefined;
  do {
    const page = await aws.call('rds:DescribeDBInstances', (options) =>
      client.send(new sdk.DescribeDBInstancesCommand(Marker === undefined ? {} : { Marker }), options),
    );
    count += page.DBInstances?.length ?? 0;
    Marker = page.Marker || undefined;
  } while (Marker !== undefined);
  return count;
}

export async function subnetGroupSubnets(aws: AwsSession, name: string): Promise<string[]> {
  const { sdk, client } = await rds(aws);
  const { DBSubnetGroups } = await aws.call('rds:DescribeDBSubnetGroups', (options) =>
    client.send(new sdk.DescribeDBSubnetGroupsCommand({ DBSubnetGroupName: name }), options),
  );
  return (DBSubnetGroups?.[0]?.Subnets ?? []).flatMap(({ SubnetIdentifier }) => SubnetIdentifier ?? []);
}

/** Whether instances of that class can be had for that version of the engine, or for any, in the region. */
export async function isClassOffered(
  aws: AwsSession,
  wanted: {
    readonly engine: string;
    readonly engineVersion: string | undefined;
    readonly instanceClass: string;
  },
): Promise<boolean> {
  const { sdk, client } = await rds(aws);
  let Marker: string | undefined;
  do {
    const command = new sdk.DescribeOrderableDBInstanceOptionsCommand({
      Engine: wanted.engine,
      ...(wanted.engineVersion === undefined ? {} : { EngineVersion: wanted.engineVersion }),
      DBInstanceClass: wanted.instanceClass,
      ...(Marker === undefined ? {} : { Marker }),
    });
    const page = await aws.call('rds:DescribeOrderableDBInstanceOptions', (options) =>
      client.send(command, options),
    );
    const offered = page.OrderableDBInstanceOptions ?? [];
    if (offered.some(({ DBInstanceClass }) => DBInstanceClass === wanted.instanceClass)) return true;
    Marker = page.Marker || undefined;
  } while (Marker !== undefined);
  return false;
}

/** At once, and not in the next maintenance window; a password is in force some time after this resolves. */
export async function modifyCluster(
  aws: AwsSession,
  clusterId: string,
  change: { readonly password?: Secret; readonly deletionProtection?: boolean },
): Promise<void> {
  const { sdk, client } = await rds(aws);
  const command = new sdk.ModifyDBClusterCommand({
    DBClusterIdentifier: clusterId,
    ApplyImmediately: true,
    ...(change.password === undefined ? {} : { MasterUserPassword: change.password.reveal() }),
    ...(change.deletionProtection === undefined ? {} : { DeletionProtection: change.deletionProtection }),
  });
  await aws.call('rds:ModifyDBCluster', (options) => client.send(command, options));
}

export async function tagCluster(
  aws: AwsSession,
  arn: string,
  tags: Readonly<Record<string, string>>,
): Promise<void> {
  const { sdk, client } = await rds(aws);
  const command = new sdk.AddTagsToResourceCommand({
    ResourceName: arn,
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  });
  await aws.call('rds:AddTagsToResource', (options) => client.send(command, options));
}

async function rds(aws: AwsSession) {
  const sdk = await import('@aws-sdk/client-rds');
  return { sdk, client: aws.client('RDS', (settings) => new sdk.RDSClient(settings)) };
}

function stateOf(cluster: DBCluster): ClusterState {
  const capacity = cluster.ServerlessV2ScalingConfiguration;
  return {
    id: cluster.DBClusterIdentifier ?? '',
    arn: cluster.DBClusterArn ?? '',
    engine: cluster.Engine ?? '',
    engineVersion: cluster.EngineVersion ?? '',
    status: cluster.Status ?? '',
    port: cluster.Port ?? 0,
    username: cluster.MasterUsername ?? '',
    databaseName: cluster.DatabaseName || undefined,
    subnetGroup: cluster.DBSubnetGroup ?? '',
    instances: (cluster.DBClusterMembers ?? []).flatMap(({ DBInstanceIdentifier: id }) => id ?? []),
    cloneGroup: cluster.CloneGroupId || undefined,
    crossAccountClone: cluster.CrossAccountClone === true,
    deletionProtection: cluster.DeletionProtection === true,
    encrypted: cluster.StorageEncrypted === true,
    kmsKeyId: cluster.KmsKeyId || undefined,
    capacity:
      capacity?.MinCapacity === undefined || capacity.MaxCapacity === undefined
        ? undefined
        : { min: capacity.MinCapacity, max: capacity.MaxCapacity },
    tags: Object.fromEntries((cluster.TagList ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
  };
}
