/** What a move needs of AWS for S3 Batch Operations: the control plane, and a place for manifests and reports. */

import { DEFAULT_REGION, s3Endpoint, s3Profile, s3Region } from '../../config/s3-environment.ts';
import type { StoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import { DEFAULT_RETRY } from '../../flow/retry.ts';
import { type BatchControl, openBatchControl } from '../../platforms/aws/s3-batch.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { type OpenStoreOptions, openStore } from '../../stores/open-store.ts';
import { credentialChain } from '../../stores/s3/credentials.ts';
import { batchPlace } from './batch-place.ts';
import type { MoveSettings } from './settings.ts';

export interface BatchPlane extends AsyncDisposable {
  /** Whether the buckets are on AWS, or something stands in for its control plane. */
  readonly onAws: boolean;
  /** Opened when it is first asked for. */
  control(): Promise<BatchControl>;
  /** Where manifests and reports lie. */
  readonly store: ObjectStore;
  /** What their keys begin with, the run's name not included; ends in a slash or is empty. */
  readonly prefix: string;
}

/** @throws CONFIG_INVALID where the settings name no account, or a place that is no bucket */
export async function openBatchPlane(
  settings: MoveSettings,
  to: StoreUrl,
  target: ObjectStore,
  options: OpenStoreOptions,
): Promise<BatchPlane> {
  const { batch } = settings;
  if (batch === undefined || to.kind !== 's3') {
    throw new LongshoreError(
      'CONFIG_INVALID',
      `${settings.to} is no bucket that S3 Batch Operations write to`,
      {
        hint: 'leave out --copy-with s3-batch',
      },
    );
  }
  const { env } = options;
  await using stack = new AsyncDisposableStack();
  const place = batchPlace(batch, to);
  const store = batch.prefix === undefined ? target : stack.use(await openStore(place, options)).store;
  const endpoint = env['AWS_ENDPOINT_URL_S3_CONTROL'] || undefined;
  const elsewhere = s3Endpoint(to, env);
  const openControl = (): Promise<BatchControl> =>
    openBatchControl({
      accountId: batch.accountId,
      region: s3Region(to, env) ?? DEFAULT_REGION,
      credentials: credentialChain(env, s3Profile(to, env)),
      endpoint,
      clock: options.clock,
      retry: DEFAULT_RETRY,
    });
  let control: Promise<BatchControl> | undefined;
  stack.defer(async () => (await control)?.[Symbol.dispose]());
  const owned = stack.move();
  return {
    onAws: endpoint !== undefined || !elsewhere || /\.amazonaws\.com(\.cn)?$/.test(hostOf(elsewhere)),
    control: () => {
      control ??= openControl();
      return control;
    },
    store,
    prefix: place.prefix,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : '';
}
