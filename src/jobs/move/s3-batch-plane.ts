/** What a move needs of AWS for S3 Batch Operations: the control plane, and a place for manifests and reports. */

import { DEFAULT_REGION, s3Endpoint, s3Profile, s3Region } from '../../config/s3-environment.ts';
import { formatStoreUrl, parseStoreUrl, type StoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import { DEFAULT_RETRY } from '../../flow/retry.ts';
import { type BatchControl, openBatchControl } from '../../platforms/aws/s3-batch.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { type OpenedStore, type OpenStoreOptions, openStore } from '../../stores/open-store.ts';
import { credentialChain } from '../../stores/s3/credentials.ts';
import { batchPlace } from './batch-place.ts';
import { settingsRules } from './key-rules.ts';
import type { MoveSettings } from './settings.ts';

type S3Url = Extract<StoreUrl, { kind: 's3' }>;

/** Where jobs are. Plain data. */
export interface BatchAccount {
  readonly accountId: string;
  readonly region: string;
}

export interface BatchPlane extends AsyncDisposable {
  /** Whether the buckets are on AWS, or something stands in for its control plane. */
  readonly onAws: boolean;
  /** Where the settings make jobs. */
  readonly account: BatchAccount;
  /** That of an account, opened when it is first asked for: a job is asked about where it was made. */
  control(account: BatchAccount): Promise<BatchControl>;
  /** Where manifests and reports go. */
  readonly store: ObjectStore;
  /** What their keys begin with, the run's name not included; ends in a slash or is empty. */
  readonly prefix: string;
  /** The URL of that place, for {@link storeAt}. */
  readonly place: string;
  /** The store of a place that other settings named. */
  storeAt(place: string): Promise<ObjectStore>;
}

/** @throws CONFIG_INVALID where the settings name no account, a place that is no bucket, or one inside the source */
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
  checkOutsideSource(settings, to, place, env);
  const store = batch.prefix === undefined ? target : stack.use(await openStore(place, options)).store;
  const endpoint = env['AWS_ENDPOINT_URL_S3_CONTROL'] || undefined;
  const elsewhere = s3Endpoint(to, env);
  const openControl = ({ accountId, region }: BatchAccount): Promise<BatchControl> =>
    openBatchControl({
      accountId,
      region,
      credentials: credentialChain(env, s3Profile(to, env)),
      endpoint,
      clock: options.clock,
      retry: DEFAULT_RETRY,
    });
  const controls = new Map<string, Promise<BatchControl>>();
  const stores = new Map<string, Promise<OpenedStore>>();
  stack.defer(async () => {
    for (const opened of await Promise.allSettled(controls.values())) {
      if (opened.status === 'fulfilled') opened.value[Symbol.dispose]();
    }
    for (const opened of await Promise.allSettled(stores.values())) {
      if (opened.status === 'fulfilled') await opened.value[Symbol.asyncDispose]();
    }
  });
  const named = batch.prefix ?? settings.to;
  const owned = stack.move();
  return {
    onAws: endpoint !== undefined || !elsewhere || /\.amazonaws\.com(\.cn)?$/.test(hostOf(elsewhere)),
    account: { accountId: batch.accountId, region: s3Region(to, env) ?? DEFAULT_REGION },
    control: (account) => {
      const name = `${account.accountId} ${account.region}`;
      const control = controls.get(name) ?? openControl(account);
      controls.set(name, control);
      return control;
    },
    store,
    prefix: place.prefix,
    place: named,
    storeAt: async (url) => {
      if (url === named) return store;
      if (url === settings.to) return target;
      const opened = stores.get(url) ?? openStore(parseStoreUrl(url), options);
      stores.set(url, opened);
      return (await opened).store;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Manifests and reports in the source would be moved with it. */
function checkOutsideSource(
  settings: MoveSettings,
  to: S3Url,
  place: S3Url,
  env: OpenStoreOptions['env'],
): void {
  const from = parseStoreUrl(settings.from);
  if (from.kind !== 's3' || from.bucket !== place.bucket) return;
  if (s3Endpoint(from, env) !== s3Endpoint(place, env)) return;
  const { sourcePrefixes } = settingsRules(settings.rules, from.prefix, to.prefix);
  const inside = sourcePrefixes.find((prefix) => place.prefix.startsWith(prefix));
  if (inside === undefined) return;
  throw new LongshoreError(
    'CONFIG_INVALID',
    `the manifests and reports of jobs would lie in ${formatStoreUrl(place)}, inside what is moved: ${formatStoreUrl({ ...from, prefix: inside })}`,
    { hint: 'give --batch-prefix s3://bucket/prefix/ outside of it' },
  );
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : '';
}
