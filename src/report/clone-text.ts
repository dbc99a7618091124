/** Clones that were made, and those that are there, as a person reads them. */

import { formatBytes } from '../config/bytes.ts';
import { formatDuration } from '../config/duration.ts';
import type { CloneEntry, ConvergedClone } from '../jobs/clone/clone.ts';
import type { ClonedDatabase } from '../jobs/clone/clone-database.ts';
import type { SweptClone } from '../jobs/clone/keep.ts';

export function convergedText(clone: ConvergedClone): string {
  const { name, existed, how, tookMs, url, stackName, expiresAt, owner, password } = clone;
  const until = expiresAt === undefined ? 'until it is dropped' : `until ${minute(expiresAt)}`;
  return [
    existed ? `${name} is there already (${how})` : `${name} is ready: ${how}, in ${formatDuration(tookMs)}`,
    `  connect  ${url}`,
    // The only time that it is shown: nobody keeps it.
    ...(password === undefined ? [] : [`  password ${password.reveal()}`]),
    ...(stackName === undefined ? [] : [`  stack    ${stackName}`]),
    `  lives    ${until}, for ${shown(owner)}`,
  ].join('\n');
}

/** Of the program in an image; the first two lines are those that scripts read. */
export function endpointText(clone: ConvergedClone): string {
  return [
    `endpoint: ${clone.host}:${clone.port}`,
    ...(clone.stackName === undefined ? [] : [`CloudFormation stack: ${clone.stackName}`]),
    convergedText(clone),
  ].join('\n');
}

export function pooledText({ clone, pooled }: ClonedDatabase): string {
  if (pooled > 0)
    return `${pooled} more ${pooled === 1 ? 'clone was' : 'clones were'} made for the pool: it is full`;
  return clone === undefined ? 'the pool is full' : '';
}

export function cloneListText(entries: readonly CloneEntry[], nowMs: number): string {
  if (entries.length === 0) return 'there are no clones';
  const head = ['name', 'state', 'source', 'owner', 'age', 'cost', 'size', 'expires'];
  const rows = entries.map((entry) => [
    shown(entry.name),
    entry.state,
    shown(entry.source),
    shown(entry.owner),
    formatDuration(Math.max(0, nowMs - Date.parse(entry.madeAt))),
    entry.costSoFar === undefined ? '?' : entry.costSoFar === 0 ? '–' : `$${entry.costSoFar.toFixed(2)}`,
    entry.bytes === undefined ? '?' : formatBytes(entry.bytes),
    expiry(entry, nowMs),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]!.length)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function expiry({ expiresAt }: CloneEntry, nowMs: number): string {
  if (expiresAt === undefined) return 'never';
  const left = Date.parse(expiresAt) - nowMs;
  return left <= 0 ? 'expired' : `in ${formatDuration(left)}`;
}

export function sweptText(swept: readonly SweptClone[], plan: boolean): string {
  if (swept.length === 0) return 'nothing has expired';
  return swept
    .map(({ name, why, failed }) =>
      failed === undefined
        ? `${plan ? 'would drop' : 'dropped'} ${name}: ${why}`
        : `✗ ${name} has ${why}, and is still there: ${failed}`,
    )
    .join('\n');
}

/** Whoever made a clone wrote it: a terminal is to obey nobody. */
function shown(text: string): string {
  return text.replace(/\p{Cc}/gu, '\ufffd');
}

/** `2026-11-22 10:34 UTC` */
function minute(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}
