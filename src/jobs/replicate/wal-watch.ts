/** Watches how much of its log the server keeps for a slot, while tables are loaded and changes are followed. */

import type pg from 'pg';
import { formatBytes } from '../../config/bytes.ts';
import { formatDuration } from '../../config/duration.ts';
import { slotState } from '../../databases/postgres/replication-setup.ts';
import { LongshoreError } from '../../errors.ts';
import type { ReplicateListener } from './events.ts';

export interface WalLimits {
  readonly walWarning: number;
  readonly walLimit?: number | undefined;
  readonly walLimitAction: 'stop' | 'drop';
}

interface Seen {
  readonly atMs: number;
  readonly walLsn: bigint;
}

const WATCH_MS = 10_000;

export class WalWatch implements Disposable {
  readonly #client: pg.ClientBase;
  readonly #slot: string;
  readonly #limits: WalLimits;
  readonly #emit: ReplicateListener;
  readonly #nowMs: () => number;
  readonly #timer: NodeJS.Timeout;
  readonly #ended = new AbortController();
  #before: Seen | undefined;
  #warned = false;
  #looking = false;
  #limitReached = false;
  /** A server that stops waits for those who follow it; that it stops is seen on any other session. */
  readonly #onEnd = (): void =>
    this.#ended.abort(
      new LongshoreError('DATABASE_UNREACHABLE', 'the server ended a session', {
        hint: 'check that it runs and can be reached',
      }),
    );

  /** @param client that may be asked at any time */
  constructor(
    client: pg.ClientBase,
    slot: string,
    limits: WalLimits,
    emit: ReplicateListener,
    nowMs: () => number,
    everyMs = WATCH_MS,
  ) {
    this.#client = client;
    this.#slot = slot;
    this.#limits = limits;
    this.#emit = emit;
    this.#nowMs = nowMs;
    this.#timer = setInterval(() => void this.#look(), everyMs);
    client.on('end', this.#onEnd);
  }

  /** Aborted, with the error, when the limit is reached, or the server has given the slot up or does not answer. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Whether the job's limit was reached. */
  get limitReached(): boolean {
    return this.#limitReached;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#client.off('end', this.#onEnd);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#check();
    } catch (error) {
      this.#ended.abort(error);
    } finally {
      this.#looking = false;
    }
  }

  async #check(): Promise<void> {
    const state = await slotState(this.#client, this.#slot);
    if (state === undefined || state.lost) {
      throw new LongshoreError('CHECK_FAILED', `the server has given up the slot ${this.#slot}`, {
        hint: "`--resync '*.*'` loads every table again; raise max_slot_wal_keep_size on the server",
      });
    }
    const { walWarning, walLimit, walLimitAction } = this.#limits;
    const { retainedBytes: bytes, safeBytes, walLsn } = state;
    const now: Seen = { atMs: this.#nowMs(), walLsn };
    const seconds = this.#before === undefined ? 0 : (now.atMs - this.#before.atMs) / 1000;
    const rate = seconds > 0 ? Number(walLsn - this.#before!.walLsn) / seconds : 0;
    this.#before = now;
    const room = Math.min(safeBytes ?? Infinity, walLimit === undefined ? Infinity : walLimit - bytes);
    const secondsLeft = rate > 0 && Number.isFinite(room) ? Math.max(0, room / rate) : undefined;
    this.#emit({ type: 'wal-retained', bytes, bytesPerSecond: rate, secondsLeft });
    if (walLimit !== undefined && bytes >= walLimit) {
      this.#limitReached = true;
      throw new LongshoreError(
        'RUN_INCOMPLETE',
        `the server keeps ${formatBytes(bytes)} of its log for the slot ${this.#slot}; the limit is ${formatBytes(walLimit)}`,
        {
          hint:
            walLimitAction === 'drop'
              ? "the slot is dropped; `--resync '*.*'` loads every table again"
              : 'the slot keeps the log until the job goes on, with a higher --wal-limit, or is dropped',
        },
      );
    }
    const soon = secondsLeft !== undefined && secondsLeft < SOON_SECONDS;
    if ((bytes >= walWarning || soon) && !this.#warned) {
      const left =
        secondsLeft === undefined ? '' : `; at this rate it lasts ${formatDuration(secondsLeft * 1000)}`;
      this.#emit({
        type: 'notice',
        text: `the server keeps ${formatBytes(bytes)} of its log for the slot ${this.#slot}${left}`,
      });
    }
    this.#warned = bytes >= walWarning || soon;
  }
}

/** A forecast nearer than this is told. */
const SOON_SECONDS = 30 * 60;
