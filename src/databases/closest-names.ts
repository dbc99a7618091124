/** Finds the names that someone who mistyped one may have meant. */

/** At most three of `candidates` that differ from `wanted` by capitals or by a few letters, closest first. */
export function closestNames(wanted: string, candidates: Iterable<string>): string[] {
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  const close: { name: string; distance: number }[] = [];
  for (const name of new Set(candidates)) {
    const distance = editDistance(wanted.toLowerCase(), name.toLowerCase(), limit);
    if (distance <= limit) close.push({ name, distance });
  }
  close.sort((left, right) => left.distance - right.distance || (left.name < right.name ? -1 : 1));
  return close.slice(0, 3).map(({ name }) => name);
}

/** ` (did you mean "a" or "b"?)`, or nothing. */
export function didYouMean(names: readonly string[]): string | undefined {
  return names.length === 0 ? undefined : `did you mean ${names.map((name) => `"${name}"`).join(' or ')}?`;
}

/** Levenshtein's distance; gives up with `limit + 1` where the lengths alone differ by more. */
function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) > limit) return limit + 1;
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const replaced = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}
