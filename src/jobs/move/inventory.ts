/**
 * Lays a move out by an inventory. An inventory is a day old: it names candidates, and each batch of them is looked
 * up when it is moved. What is gone is skipped; what is new is found by the sweep and by the next pass, which lists.
 */

import { LongshoreError } from '../../errors.ts';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import { compareKeys } from '../../stores/key-order.ts';
import type { ListedObject } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveContext, MoveScope } from './context.ts';
import { type InventoryLocation, inventoryFiles, readInventory } from './inventory-source.ts';
import { InventorySpool, type SpooledKey } from './inventory-spool.ts';
import { type CopySpec, checkTargets, isCandidate, type LayOutOptions, type LayOutSink } from './lay-out.ts';

/** A shard of the copy stage: keys of the spool, after `after`, up to and with `upTo`. Plain data. */
export interface InventorySpec extends CopySpec {
  readonly inventory: true;
}

export function isInventorySpec(spec: CopySpec): spec is InventorySpec {
  return 'inventory' in spec;
}

/** Whether the inventory lays out this pass; later ones list, and find what it did not know. */
export function laidOutByInventory(context: MoveContext, pass: number): boolean {
  return context.settings.by === 'inventory' && pass === 1;
}

/**
 * Checks that the inventory of a move is there and is one of the source, by what its manifest says; the files that it
 * names are not opened. Does nothing for a move without one.
 * @throws CONFIG_INVALID, CHECK_FAILED and the errors of stores, the same that the move would end with
 */
export async function checkInventory(
  scope: Pick<MoveScope, 'inventory' | 'settings' | 'source' | 'retry' | 'clock'>,
  signal: AbortSignal,
): Promise<void> {
  if (scope.settings.by === 'inventory') await inventoryFiles(locationOf(scope), signal);
}

function locationOf({
  inventory,
  settings,
  source,
  retry,
  clock,
}: Parameters<typeof checkInventory>[0]): InventoryLocation {
  if (inventory === undefined || settings.inventory === undefined) {
    throw new LongshoreError('CONFIG_INVALID', 'no inventory is named', { hint: 'give --inventory <url>' });
  }
  return {
    store: inventory,
    url: settings.inventory,
    sourceBucket: source.bucket,
    sourceKind: source.kind,
    retry,
    clock,
  };
}

/**
 * Reads the inventory and cuts it into shards of at most 1,000 keys; the counterpart of `layOut`. Objects that the
 * sink is told of are as the inventory has them: of some nothing but the key.
 * @throws CONFIG_INVALID, CHECK_FAILED and the errors of stores
 */
export async function layOutInventory(
  context: MoveContext,
  options: LayOutOptions,
  sink: LayOutSink,
  signal: AbortSignal,
): Promise<void> {
  const { settings } = context;
  using spool = await readInventory(
    {
      ...locationOf(context),
      folder: context.journal.folder,
      selects: (key) => isCandidate(context, key),
      onSkipped: (count) => sink.onSkipped?.(count),
    },
    signal,
  );
  await forEachConcurrent(withBounds(spool.pages()), settings.listLanes, async ({ after, page }) => {
    signal.throwIfAborted();
    const existing = await existingTargets(context, page, options, sink, signal);
    const spec: InventorySpec = {
      inventory: true,
      prefix: '',
      after,
      upTo: page.at(-1)!.key,
      objects: page.length,
      bytes: page.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      existing,
    };
    const objects = page.map(unseen);
    sink.onObjects?.(objects);
    sink.onShard(spec, objects);
  });
}

/** The objects of a shard that exist now, a thousand at once. */
export async function* inventoryPages(
  context: MoveContext,
  spec: InventorySpec,
  signal: AbortSignal,
): AsyncGenerator<readonly ListedObject[]> {
  using spool = InventorySpool.read(context.journal.folder);
  for (const page of spool.pages(spec)) {
    const keys = page.map(({ key }) => key);
    const found = await observe(context.source, keys, { concurrency: OBSERVE_LANES, signal });
    if (found.size > 0) yield [...found.values()].sort((a, b) => compareKeys(a.key, b.key));
  }
}

function* withBounds(pages: Iterable<SpooledKey[]>): Generator<{ after: string; page: SpooledKey[] }> {
  let after = '';
  for (const page of pages) {
    yield { after, page };
    after = page.at(-1)!.key;
  }
}

/**
 * What is wrong with targets is told to the sink. The source is only asked about objects whose target exists, to
 * tell those that differ; all others are looked up when they are moved.
 * @returns source keys whose target exists; undefined where nobody looked
 */
async function existingTargets(
  context: MoveContext,
  page: readonly SpooledKey[],
  options: LayOutOptions,
  sink: LayOutSink,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  await checkTargets(context, { ...options, lookAtTarget: false }, page.map(unseen), sink, signal);
  if (!options.lookAtTarget) return undefined;
  const lookUp = { concurrency: OBSERVE_LANES, signal };
  const targetOf = (key: string): string => context.rules.targetOf(key)!;
  const onTarget = await observe(
    context.target,
    page.map(({ key }) => targetOf(key)),
    lookUp,
  );
  const keys = page.map(({ key }) => key).filter((key) => onTarget.has(targetOf(key)));
  if (keys.length === 0) return [];
  const found = await observe(context.source, keys, lookUp);
  const objects = keys.flatMap((key) => found.get(key) ?? []);
  return checkTargets(context, { lookAtTarget: true }, objects, { onCollision: differing(sink) }, signal);
}

/** Only what differs: what is wrong with the keys themselves was told before. */
function differing(sink: LayOutSink): LayOutSink['onCollision'] {
  return (collision) => {
    if (collision.why === 'target-differs') sink.onCollision(collision);
  };
}

function unseen({ key, sizeBytes }: SpooledKey): ListedObject {
  return { key, sizeBytes, etag: '', lastModifiedMs: 0, storageClass: 'STANDARD' };
}
