/** How far the source of a replication is ahead of what is landed, and what it keeps for that. */

import type pg from 'pg';
import { parseLsn } from '../../databases/postgres/lsn.ts';
import { serverFacts, slotState } from '../../databases/postgres/replication-setup.ts';
import { slotOf } from './surroundings.ts';

export interface SourceProgress {
  /** Bytes of the log that are not landed. */
  readonly lagBytes: number;
  /** Since the last commit that is landed, where more was written since; 0 where nothing was. */
  readonly lagSeconds: number | undefined;
  readonly slot: 'active' | 'idle' | 'lost' | 'absent';
  /** Bytes of the log that the server keeps for the slot. */
  readonly retainedBytes: number;
}

/** @param landed up to which place; undefined where nothing is @throws the errors of the server */
export async function sourceProgress(
  client: pg.Client,
  name: string,
  landed: string | undefined,
  lastCommitMs: number | undefined,
  nowMs: number,
): Promise<SourceProgress> {
  const { walLsn } = await serverFacts(client);
  const slot = await slotState(client, slotOf({ name }));
  const lagBytes = landed === undefined ? 0 : Math.max(0, Number(walLsn - parseLsn(landed)));
  const sinceSeconds = lastCommitMs === undefined ? undefined : Math.max(0, (nowMs - lastCommitMs) / 1000);
  return {
    lagBytes,
    lagSeconds: lagBytes === 0 ? 0 : sinceSeconds,
    slot: slot === undefined ? 'absent' : slot.lost ? 'lost' : slot.active ? 'active' : 'idle',
    retainedBytes: slot?.retainedBytes ?? 0,
  };
}
