/**
 * The number of a backup, claimed before its dump begins: an upload has its key from the start, and two that begin in the
 * same second must not find out at the end. A claim is an object that is put where nothing is; it goes when the backup is
 * there, or has failed.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { LongshoreError } from '../../errors.ts';
import { processSpace } from '../../flow/process-space.ts';
import { deleteObjects, listKeys } from '../../stores/list-keys.ts';
import { type KeyTemplate, keyOf, nextIndex } from './dated-keys.ts';
import { CLAIMS, clearDeadClaims } from './dead-claims.ts';
import { type BackupPlace, putNew } from './repository.ts';
import type { RunMoment } from './run-moment.ts';

export interface Claim extends AsyncDisposable {
  /** `2026-11-20/datadump4`, without extension. */
  readonly base: string;
}

/** As many others may take the next number first. */
const ATTEMPTS_MAX = 1000;

/** @throws the errors of the store; OBJECT_FAILED where no number is free */
export async function claimNumber(
  place: BackupPlace,
  template: KeyTemplate,
  moment: RunMoment,
  signal: AbortSignal,
): Promise<Claim> {
  const { store, prefix } = place;
  const at = new Date(moment.atMs).toISOString();
  const mine = { host: hostname(), space: await processSpace(), pid: process.pid, at, run: randomUUID() };
  const body = Buffer.from(JSON.stringify(mine));
  await clearDeadClaims(place, signal);
  for (let attempt = 0, tried = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const keys = await keysOfDay(place, template, moment, signal);
    // A number that was just refused may not be listed yet.
    tried = Math.max(nextIndex(template, moment, keys), tried + 1);
    const base = keyOf(template, moment, tried, '');
    const key = `${CLAIMS}${base}`;
    const etag = await putNew(place, key, { body, contentType: 'application/json' }, signal);
    if (etag === undefined) continue;
    const release = (): Promise<void> => deleteObjects(store, [{ key: prefix + key, etag }]);
    // Who had the number may have ended between the listing and the claim.
    const now = await keysOfDay(place, template, moment, signal, false);
    if (nextIndex(template, moment, now) > tried) {
      await release();
      continue;
    }
    return { base, [Symbol.asyncDispose]: release };
  }
  throw new LongshoreError(
    'OBJECT_FAILED',
    `no number of ${moment.date} is free below ${store.name}/${prefix}`,
    {
      hint: 'look who else writes there',
    },
  );
}

/** Keys below the prefix that begin as those of the day do, and claims as if they were there. */
export async function keysOfDay(
  { store, prefix }: BackupPlace,
  template: KeyTemplate,
  moment: RunMoment,
  signal: AbortSignal,
  withClaims = true,
): Promise<string[]> {
  const before = template.before(moment);
  const keys: string[] = [];
  for await (const key of listKeys(store, prefix + before, signal)) keys.push(key.slice(prefix.length));
  if (!withClaims) return keys;
  const claims = prefix + CLAIMS;
  for await (const key of listKeys(store, claims + before, signal)) keys.push(key.slice(claims.length));
  return keys;
}
