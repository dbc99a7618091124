/**
 * The lock and the memory of a schedule that several hosts have: one object in the bucket, which says up to which time it
 * was run, and who runs now.
 *
 * running → done or failed, by its holder; running → running of another one, who saw it not renewed for longer than a
 * holder goes on without. Each step is a put on the condition that nobody made another one meanwhile; no clock of one host
 * is compared with that of another.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Clock, monotonicMs } from '../../flow/clock.ts';
import { isAlive } from '../../flow/is-alive.ts';
import { type NoteCondition, putNote, readNote } from './note.ts';
import { type BackupPlace, NOTES_PREFIX } from './repository.ts';

const memory = z.object({
  /** The newest time that was run, or passed while it was; in ISO 8601 and UTC. */
  slot: z.iso.datetime(),
  state: z.enum(['running', 'done', 'failed']),
  host: z.string(),
  pid: z.number(),
  /** Where the number of the process means the same one. */
  space: z.string(),
  /** Of one schedule of a process. */
  id: z.string(),
  /** Counts renewals, so that each is another object. */
  beat: z.number(),
});

export type ScheduleMemory = z.output<typeof memory>;

export interface Holder {
  readonly host: string;
  readonly pid: number;
  readonly space: string;
  readonly id: string;
}

/** How long a put into a folder takes at most, once it has compared. */
const SETTLE_MS = 1_000;
/** How often a holder renews. */
const BEAT_MS = 20_000;
/** How long it waits after a renewal that failed, and how long one may take. */
const AGAIN_MS = 5_000;
const RENEWAL_MS = 15_000;
/** Without a renewal it gives up after this time, … */
const HOLD_MS = 70_000;
/** … and another one takes over after this one. */
export const STALE_MS = 90_000;

/** @param source what is backed up, without password */
export function scheduleKey(source: string): string {
  const hash = createHash('sha256').update(source).digest('hex').slice(0, 16);
  return `${NOTES_PREFIX}schedule-${hash}.json`;
}

/** Undefined where it was never run. @throws the errors of the store; OBJECT_FAILED for what is no memory */
export function readMemory(
  place: BackupPlace,
  key: string,
  signal: AbortSignal,
): Promise<{ readonly value: ScheduleMemory; readonly etag: string } | undefined> {
  return readNote(place, key, memory, signal);
}

/** Whether it is known without waiting that nobody runs. */
export function isAbandoned(value: ScheduleMemory, mine: Holder): boolean {
  if (value.id === mine.id) return true;
  return value.space === mine.space && value.pid !== mine.pid && !isAlive(value.pid);
}

/** A time that is this schedule's to run. */
export class HeldSlot {
  readonly #place: BackupPlace;
  readonly #key: string;
  readonly #clock: Clock;
  #value: ScheduleMemory;
  #etag = '';
  /** Before it was renewed last, by the monotonic clock. */
  #sureMs: number;

  private constructor(place: BackupPlace, key: string, clock: Clock, value: ScheduleMemory) {
    this.#place = place;
    this.#key = key;
    this.#clock = clock;
    this.#value = value;
    this.#sureMs = monotonicMs(clock);
  }

  /**
   * @param etag of the memory that was read; undefined where there was none
   * @returns undefined where somebody else was first
   */
  static async take(
    { place, key, clock }: { place: BackupPlace; key: string; clock: Clock },
    slotMs: number,
    holder: Holder,
    etag: string | undefined,
    signal: AbortSignal,
  ): Promise<HeldSlot | undefined> {
    const slot = new Date(slotMs).toISOString();
    const held = new HeldSlot(place, key, clock, { slot, state: 'running', ...holder, beat: 0 });
    const condition = etag === undefined ? { ifAbsent: true } : { ifTargetEtag: etag };
    if ((await held.#put(held.#value, condition, signal)) !== 'ours') return undefined;
    // A folder compares right before it puts: of two that came in between, the second one is there.
    if (place.store.kind === 'files') {
      await clock.wait(SETTLE_MS, signal);
      if ((await readMemory(place, key, signal))?.etag !== held.#etag) return undefined;
    }
    return held;
  }

  /**
   * Renews until it is stopped.
   * @returns whether it was lost: somebody else may run now
   */
  async renewUntil(signal: AbortSignal): Promise<boolean> {
    for (let waitMs = BEAT_MS; ; ) {
      try {
        await this.#clock.wait(waitMs, signal);
        const begunMs = monotonicMs(this.#clock);
        const value = { ...this.#value, beat: this.#value.beat + 1 };
        if (!(await within(this.#clock, RENEWAL_MS, signal, (both) => this.#replace(value, both))))
          return true;
        this.#sureMs = begunMs;
        waitMs = BEAT_MS;
      } catch {
        // Stopped; or the store cannot be reached, which passes or ends the hold.
        if (signal.aborted) return false;
        if (monotonicMs(this.#clock) - this.#sureMs >= HOLD_MS) return true;
        waitMs = AGAIN_MS;
      }
    }
  }

  /** @returns whether it was held to the end */
  finish(slotMs: number, state: 'done' | 'failed', signal: AbortSignal): Promise<boolean> {
    const { beat } = this.#value;
    return this.#replace(
      { ...this.#value, slot: new Date(slotMs).toISOString(), state, beat: beat + 1 },
      signal,
    );
  }

  async #replace(value: ScheduleMemory, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      const whose = await this.#put(value, { ifTargetEtag: this.#etag }, signal);
      if (whose !== 'ours before') return whose === 'ours';
    }
  }

  /** An answer that was lost is told from another holder by what is there. */
  async #put(
    value: ScheduleMemory,
    condition: NoteCondition,
    signal: AbortSignal,
  ): Promise<'ours' | 'ours before' | 'of another'> {
    const etag = await putNote(this.#place, this.#key, value, condition, signal);
    const now = etag === undefined ? await readMemory(this.#place, this.#key, signal) : { value, etag };
    if (now?.value.id !== value.id) return 'of another';
    // Of the take: what this schedule left there before is not the time that is taken now.
    const isNew =
      now.value.slot === value.slot && now.value.beat === value.beat && now.value.state === value.state;
    if (!isNew && this.#etag === '') return 'of another';
    this.#etag = now.etag;
    if (!isNew) return 'ours before';
    this.#value = value;
    return 'ours';
  }
}

/** Ends the work after that time by its signal. */
async function within<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const both = AbortSignal.any([signal, over.signal]);
  const timer = clock.wait(ms, both).then(
    () => over.abort(new Error(`no answer in ${ms} ms`)),
    () => undefined,
  );
  try {
    return await work(both);
  } finally {
    over.abort();
    await timer;
  }
}
