/**
 * Decides which key a reference means where it can be read in more than one way: a key that looks encoded is taken as
 * it stands, unless only the decoded one names an object.
 */

import type { ObjectStore } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { Reference } from './references.ts';

/** The source keys that a reference may mean, the likeliest first. */
export function sourceKeysOf(reference: Reference): string[] {
  return readingsOf(reference).map(({ sourceKey }) => sourceKey);
}

function readingsOf(reference: Reference): Reference[] {
  return [reference, ...(reference.alternatives ?? [])];
}

/**
 * @param target looked at for what the source has not; left out where keys stay what they are
 * @returns for each reference the reading that names an object; the likeliest where none does
 */
export async function settleReadings(
  references: readonly Reference[],
  { source, target }: { readonly source: ObjectStore; readonly target?: ObjectStore },
  signal: AbortSignal,
): Promise<(reference: Reference) => Reference> {
  const ambiguous = references.filter(({ alternatives }) => alternatives !== undefined).flatMap(readingsOf);
  if (ambiguous.length === 0) return (reference) => reference;
  const lookUp = { concurrency: OBSERVE_LANES, signal };
  const found = await observe(
    source,
    ambiguous.map(({ sourceKey }) => sourceKey),
    lookUp,
  );
  const targetKeys = ambiguous.map(({ targetKey }) => targetKey);
  const onTarget = target === undefined ? undefined : await observe(target, targetKeys, lookUp);
  return (reference) => {
    if (reference.alternatives === undefined) return reference;
    const candidates = readingsOf(reference);
    return (
      candidates.find(({ sourceKey }) => found.has(sourceKey)) ??
      candidates.find(({ targetKey }) => onTarget?.has(targetKey)) ??
      reference
    );
  };
}
