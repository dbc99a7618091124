/**
 * One look at a folder that another program writes dumps into: what is whole is shipped and deleted, what is not is left
 * alone, and each attempt is a line in the log.
 */

import { basename, dirname } from 'node:path';
import { LongshoreError, messageOf } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { LOG_MESSAGES, logAttempt } from './daily-log.ts';
import { DEFAULT_TEMPLATE, parseTemplate } from './dated-keys.ts';
import { type Attempt, noteAttempt } from './last-attempt.ts';
import { type OpenedPlace, openPlace, type PlaceEnvironment } from './open-place.ts';
import { localTimeZone, momentOf, type RunMoment } from './run-moment.ts';
import { type ShippedFile, shipFile, type TakenFile, takenFiles } from './ship-file.ts';
import { lookAtFile, type WholeFile } from './waiting-file.ts';

export interface WatchOptions {
  /** The file that is looked for. */
  readonly watch: string;
  /** `s3://bucket/prefix/` or `file:///folder/`; made where it does not exist. */
  readonly to: string;
  /** Of the keys below it; see `dated-keys.ts`. */
  readonly key?: string | undefined;
  /** As IANA names it; that of the machine where it is left out. */
  readonly timeZone?: string | undefined;
  /** The folder of the log. */
  readonly log: string;
  /** Milliseconds in which the file may not change. */
  readonly settle?: number | undefined;
}

export interface WatchEnvironment extends PlaceEnvironment {
  /** What is no failure and should be known. */
  readonly notice?: ((text: string) => void) | undefined;
}

export interface WatchResult {
  readonly shipped: readonly ShippedFile[];
  /** Why what is there was left alone; undefined where nothing was. */
  readonly left: string | undefined;
}

const SETTLE_MS = 2_000;

/**
 * @throws CONFIG_INVALID, URL_INVALID, JOURNAL_UNWRITABLE; the errors of the store, which the log has too
 */
export async function shipWatched(
  options: WatchOptions,
  environment: WatchEnvironment = {},
): Promise<WatchResult> {
  const { clock = systemClock } = environment;
  const moment = momentOf(clock.now(), options.timeZone ?? localTimeZone());
  const log = (message: string): Promise<void> => logAttempt(options.log, moment, message);
  try {
    return await look(options, environment, moment, log);
  } catch (error) {
    if (!(error instanceof LongshoreError && error.code === 'JOURNAL_UNWRITABLE'))
      await log(messageOf(error));
    throw error;
  }
}

async function look(
  options: WatchOptions,
  environment: WatchEnvironment,
  moment: RunMoment,
  log: (message: string) => Promise<void>,
): Promise<WatchResult> {
  const { clock = systemClock, signal = new AbortController().signal, notice } = environment;
  const { watch, to, key = DEFAULT_TEMPLATE, settle = SETTLE_MS } = options;
  const template = parseTemplate(key);
  await using place = await openPlace(to, environment);
  const target = { store: place.store, prefix: place.prefix, template, moment };
  const shipped: ShippedFile[] = [];
  const at = new Date(moment.atMs).toISOString();
  const ship = async (file: WholeFile): Promise<void> => {
    let done: ShippedFile | undefined;
    try {
      if (shipped.length === 0) for (const text of (await place.makeBucket(signal)).notices) notice?.(text);
      done = await shipFile(file, watch, target, signal);
    } catch (error) {
      // What is stopped has not failed: the next look goes on with it.
      if (!signal.aborted) await note(place, { at, ended: 'failed', what: messageOf(error) }, notice);
      throw error;
    }
    // Another process may look at the same time.
    if (done === undefined) return;
    shipped.push(done);
    await note(place, { at, ended: 'done', what: done.key }, notice);
    await log(LOG_MESSAGES.uploaded);
  };
  for (const taken of await before(watch)) {
    if (taken.heldBy === undefined) await ship(taken);
    else notice?.(`${basename(watch)} is being shipped by ${taken.heldBy}: ${taken.path}`);
  }
  const found = await lookAtFile(watch, settle, clock, signal);
  if (found.kind === 'whole') await ship(found.file);
  const left = found.kind === 'unfinished' ? `${basename(watch)} ${found.why}` : undefined;
  if (left !== undefined) await log(left);
  else if (shipped.length === 0) await log(LOG_MESSAGES.nothing);
  return { shipped, left };
}

/** A note that cannot be put changes nothing of how the attempt ended. */
async function note(place: OpenedPlace, attempt: Attempt, notice?: (text: string) => void): Promise<void> {
  try {
    await noteAttempt(place, attempt);
  } catch (error) {
    notice?.(`how this attempt ended is not noted: ${messageOf(error)}`);
  }
}

async function before(watch: string): Promise<TakenFile[]> {
  try {
    return await takenFiles(watch);
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot look into ${dirname(watch)}: ${messageOf(error)}`, {
      cause: error,
      hint: 'name a file in a folder that is there with --watch',
    });
  }
}
