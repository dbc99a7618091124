/** How much the volumes of Aurora clusters hold, as CloudWatch has it. */

import type { AwsSession } from './aws-session.ts';

/** Aurora tells it every five minutes, and takes some time for a cluster that is new. */
const PERIOD_SECONDS = 300;
const LOOK_BACK_MS = 3 * 3_600_000;
/** Of one call. */
const QUERIES_MAX = 500;

/**
 * Bytes by the identifier of the cluster, without those that CloudWatch knows nothing of. It is what AWS bills as storage.
 * @param nowMs milliseconds since the epoch
 * @throws STORE_DENIED where the caller may not ask it
 * @see Metric VolumeBytesUsed in the Amazon Aurora user guide
 */
export async function volumeBytes(
  aws: AwsSession,
  clusterIds: readonly string[],
  nowMs: number,
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  if (clusterIds.length === 0) return found;
  const sdk = await import('@aws-sdk/client-cloudwatch');
  const client = aws.client('CLOUDWATCH', (settings) => new sdk.CloudWatchClient(settings));
  for (let from = 0; from < clusterIds.length; from += QUERIES_MAX) {
    const ids = clusterIds.slice(from, from + QUERIES_MAX);
    const command = new sdk.GetMetricDataCommand({
      StartTime: new Date(nowMs - LOOK_BACK_MS),
      EndTime: new Date(nowMs),
      ScanBy: 'TimestampDescending',
      MetricDataQueries: ids.map((id, i) => ({
        Id: `q${i}`,
        MetricStat: {
          Metric: {
            Namespace: 'AWS/RDS',
            MetricName: 'VolumeBytesUsed',
            Dimensions: [{ Name: 'DBClusterIdentifier', Value: id }],
          },
          Period: PERIOD_SECONDS,
          Stat: 'Average',
        },
      })),
    });
    const { MetricDataResults } = await aws.call('cloudwatch:GetMetricData', (options) =>
      client.send(command, options),
    );
    for (const { Id, Values } of MetricDataResults ?? []) {
      const [newest] = Values ?? [];
      const id = ids[Number(Id?.slice(1))];
      if (id !== undefined && newest !== undefined) found.set(id, Math.round(newest));
    }
  }
  return found;
}
