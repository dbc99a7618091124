/** An account of AWS with an Aurora cluster in it, for tests: moto, with a real PostgreSQL behind the clusters' passwords. */

import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { DescribeSecurityGroupsCommand, DescribeSubnetsCommand, EC2Client } from '@aws-sdk/client-ec2';
import {
  CreateDBClusterCommand,
  CreateDBInstanceCommand,
  CreateDBSubnetGroupCommand,
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  DescribeDBSubnetGroupsCommand,
  RDSClient,
} from '@aws-sdk/client-rds';
import { type DatabaseUrl, parseDatabaseUrl } from '../../src/config/database-url.ts';
import { proveLogin } from '../../src/databases/prove-login.ts';
import type { Clock } from '../../src/flow/clock.ts';
import type { Artifact } from '../../src/jobs/clone/artifact.ts';
import { parseArtifactConfig } from '../../src/jobs/clone/artifact-config.ts';
import type { CloneEvent } from '../../src/jobs/clone/events.ts';
import type { CloneEnvironment } from '../../src/jobs/clone/settings.ts';
import { type AwsProxy, startAwsProxy } from './aws-proxy.ts';
import { startMoto } from './moto.ts';
import { postgresServer } from './postgres.ts';

export interface AuroraWorld extends AsyncDisposable {
  readonly proxy: AwsProxy;
  readonly rds: RDSClient;
  /** In three zones. */
  readonly subnetIds: readonly string[];
  /** Everything but the cluster `shop` with one instance is gone, and every fault. */
  reset(): Promise<void>;
  /** As Aurora tells CloudWatch. */
  tellVolume(clusterId: string, bytes: number): Promise<void>;
  /** What is there that a clone is made of: names, sorted. */
  resources(): Promise<string[]>;
  environment(given?: Partial<CloneEnvironment>): CloneEnvironment & { readonly events: CloneEvent[] };
}

export const MASTER = 'master';

export async function startAuroraWorld(): Promise<AuroraWorld> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await postgresServer());
  const moto = stack.use(await startMoto());
  const proxy = stack.use(await startAwsProxy(moto.url));
  const database = await postgres.createDatabase();
  await database.sql(`CREATE ROLE ${MASTER} LOGIN PASSWORD 'of the source'`);
  stack.defer(async () => void (await database.sql(`DROP ROLE ${MASTER}`)));
  const settings = {
    region: 'eu-central-1',
    endpoint: proxy.url,
    credentials: { accessKeyId: 'testing', secretAccessKey: 'testing' },
  };
  const rds = stack.adopt(new RDSClient(settings), (client) => client.destroy());
  const cloudwatch = stack.adopt(new CloudWatchClient(settings), (client) => client.destroy());
  const ec2 = stack.adopt(new EC2Client(settings), (client) => client.destroy());
  let subnetIds: string[] = [];
  proxy.world.passwordSet = async (_, password) =>
    void (await database.sql(`ALTER ROLE ${MASTER} PASSWORD '${password.replaceAll("'", "''")}'`));

  /** Into the one PostgreSQL, whatever the host is called. */
  const login = async (url: DatabaseUrl, signal?: AbortSignal): Promise<void> => {
    const { connection } = parseDatabaseUrl(database.url, {});
    const { user, password } = url.connection;
    await proveLogin({ ...url, connection: { ...connection, user, password } }, signal);
  };
  const disposables = stack.move();
  return {
    proxy,
    rds,
    get subnetIds() {
      return subnetIds;
    },
    async reset() {
      proxy.revive();
      proxy.forget();
      const { errors, rewrites, quotas, deniedActions } = proxy.world;
      for (const faults of [errors, rewrites, quotas, deniedActions]) faults.clear();
      proxy.world.pendingLooks = 1;
      proxy.world.failNextStack = undefined;
      await fetch(`${moto.url}/moto-api/reset`, { method: 'POST' });
      // The default network of an account is made anew, with other ids.
      const { Subnets } = await ec2.send(new DescribeSubnetsCommand({}));
      subnetIds = Subnets!.map(({ SubnetId }) => SubnetId!);
      await rds.send(
        new CreateDBSubnetGroupCommand({
          DBSubnetGroupName: 'shop-subnets',
          DBSubnetGroupDescription: 'of the source',
          SubnetIds: subnetIds,
        }),
      );
      await rds.send(
        new CreateDBClusterCommand({
          DBClusterIdentifier: 'shop',
          Engine: 'aurora-postgresql',
          EngineVersion: '14.6',
          DBSubnetGroupName: 'shop-subnets',
          DatabaseName: 'shop',
          MasterUsername: MASTER,
          MasterUserPassword: 'of the source',
        }),
      );
      await rds.send(
        new CreateDBInstanceCommand({
          DBInstanceIdentifier: 'shop-1',
          DBClusterIdentifier: 'shop',
          DBInstanceClass: 'db.r6g.large',
          Engine: 'aurora-postgresql',
        }),
      );
      proxy.log.length = 0;
    },
    async tellVolume(clusterId, bytes) {
      await cloudwatch.send(
        new PutMetricDataCommand({
          Namespace: 'AWS/RDS',
          MetricData: [
            {
              MetricName: 'VolumeBytesUsed',
              Dimensions: [{ Name: 'DBClusterIdentifier', Value: clusterId }],
              Value: bytes,
              Unit: 'Bytes',
              Timestamp: new Date(Date.now() - 60_000),
            },
          ],
        }),
      );
    },
    async resources() {
      const [clusters, instances, groups, subnetGroups] = await Promise.all([
        rds.send(new DescribeDBClustersCommand({})),
        rds.send(new DescribeDBInstancesCommand({})),
        ec2.send(new DescribeSecurityGroupsCommand({})),
        rds.send(new DescribeDBSubnetGroupsCommand({})),
      ]);
      return [
        ...clusters.DBClusters!.map(({ DBClusterIdentifier: id }) => `cluster ${id}`),
        ...instances.DBInstances!.map(({ DBInstanceIdentifier: id }) => `instance ${id}`),
        ...groups.SecurityGroups!.map(({ Description }) => `security group ${Description}`),
        ...subnetGroups.DBSubnetGroups!.map((one) => `subnet group ${one.DBSubnetGroupDescription}`),
      ].sort();
    },
    environment(given = {}) {
      const events: CloneEvent[] = [];
      return {
        env: {
          AWS_ENDPOINT_URL: proxy.url,
          AWS_ACCESS_KEY_ID: 'testing',
          AWS_SECRET_ACCESS_KEY: 'testing',
          AWS_REGION: 'eu-central-1',
        },
        clock: hastyClock(),
        emit: (event) => events.push(event),
        login,
        callerAddress: async () => '203.0.113.7\n',
        ...given,
        events,
      };
    },
    [Symbol.asyncDispose]: () => disposables.disposeAsync(),
  };
}

export const INI = `[source_db]
source_db_cluster_id = shop
[target_db]
subnet_ids = source
instance_type = db.r6g.large
`;

export function artifactOf(ini = INI): Artifact {
  return {
    reference: 'registry.example/shop-db:latest',
    digest: `sha256:${'ab'.repeat(32)}`,
    contentDigest: `sha256:${'cd'.repeat(32)}`,
    config: parseArtifactConfig(ini, 'artifact-config.ini'),
    changelog: undefined,
    masking: undefined,
  };
}

/** Waits take no time. */
function hastyClock(): Clock {
  let skippedMs = 0;
  return {
    now: () => Date.now() + skippedMs,
    wait: async (ms, signal) => {
      signal?.throwIfAborted();
      skippedMs += ms;
    },
  };
}
