/** Finds out that source and target are one place, whatever it is called on either side. */

import { randomUUID } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { s3Endpoint } from '../../config/s3-environment.ts';
import { formatStoreUrl, type StoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import type { KeyRules } from './key-rules.ts';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Compares what the two are called. Pure, but for links in the file system.
 * @throws LOCATIONS_OVERLAP
 */
export function checkNamesApart(from: StoreUrl, to: StoreUrl, rules: KeyRules, env: Env): void {
  const what = `${formatStoreUrl(from)} and ${formatStoreUrl(to)} overlap`;
  if (from.kind === 's3' && to.kind === 's3') {
    const same = from.bucket === to.bucket && hostOf(s3Endpoint(from, env)) === hostOf(s3Endpoint(to, env));
    if (same) checkPrefixesApart(rules.sourcePrefixes, rules.targetPrefixes, what);
  } else if (from.kind === 'files' && to.kind === 'files') {
    const under = (folder: string, prefixes: readonly string[]): string[] =>
      prefixes.map((prefix) => realFolder(folder) + prefix);
    checkPrefixesApart(
      under(from.folder, rules.sourcePrefixes),
      under(to.folder, rules.targetPrefixes),
      what,
    );
  }
}

/**
 * Asks the stores, where their prefixes would overlap if they were one: a marker that is written under one name is
 * then seen under the other. Where no marker may be written or seen, the first object of the source tells: under
 * another name of the bucket it is the very same one.
 * @throws LOCATIONS_OVERLAP
 */
export async function checkStoresApart(
  from: StoreUrl,
  to: StoreUrl,
  rules: KeyRules,
  stores: { readonly source: ObjectStore; readonly target: ObjectStore; readonly markers: boolean },
  signal: AbortSignal,
): Promise<void> {
  if (from.kind !== 's3' || to.kind !== 's3') return;
  if (!overlap(rules.sourcePrefixes, rules.targetPrefixes)) return;
  const seen = stores.markers ? await markerIsSeen(to.prefix, stores, signal) : undefined;
  if (seen ?? (await firstObjectIsSame(from.prefix, stores, signal))) {
    throw overlapError(`${formatStoreUrl(from)} and ${formatStoreUrl(to)} are one bucket under two names`);
  }
}

/** @returns undefined where the source may not be listed under the target's prefix */
async function markerIsSeen(
  prefix: string,
  { source, target }: { readonly source: ObjectStore; readonly target: ObjectStore },
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const key = `${prefix}.longshore-probe-${randomUUID()}`;
  const body = Buffer.from('longshore');
  await target.put(
    { key, body, sizeBytes: body.byteLength, attributes: { metadata: {} }, ifAbsent: false },
    signal,
  );
  try {
    return (await source.list({ prefix: key, limit: 1 }, signal)).objects.length > 0;
  } catch (error) {
    if (error instanceof LongshoreError && error.code === 'STORE_DENIED') return undefined;
    throw error;
  } finally {
    await target.delete([{ key }]);
  }
}

async function firstObjectIsSame(
  prefix: string,
  { source, target }: { readonly source: ObjectStore; readonly target: ObjectStore },
  signal: AbortSignal,
): Promise<boolean> {
  const first = (await source.list({ prefix, limit: 1 }, signal)).objects[0];
  if (first === undefined) return false;
  const twin = (await target.list({ prefix: first.key, limit: 1 }, signal)).objects[0];
  return twin?.key === first.key && twin.etag === first.etag && twin.lastModifiedMs === first.lastModifiedMs;
}

/** In one place no target may itself look like a source, or what was moved would be moved again. */
function checkPrefixesApart(sources: readonly string[], targets: readonly string[], what: string): void {
  if (overlap(sources, targets)) throw overlapError(what);
}

function overlap(sources: readonly string[], targets: readonly string[]): boolean {
  return sources.some((source) =>
    targets.some((target) => source.startsWith(target) || target.startsWith(source)),
  );
}

function overlapError(what: string): LongshoreError {
  return new LongshoreError('LOCATIONS_OVERLAP', what, {
    hint: 'choose prefixes of which none contains the other',
  });
}

/** Host and port; spellings that only the network can tell to be the same are left to the marker. */
function hostOf(endpoint: string | undefined): string {
  return endpoint !== undefined && URL.canParse(endpoint) ? new URL(endpoint).host : 'aws';
}

/** Without links, and with a slash at the end; as it is named where it does not exist yet. */
function realFolder(folder: string): string {
  try {
    return `${realpathSync(folder).replace(/\/$/, '')}/`;
  } catch {
    const up = folder.replace(/[^/]+\/?$/, '');
    return up === folder || up === '' ? folder : realFolder(up) + folder.slice(up.length);
  }
}
