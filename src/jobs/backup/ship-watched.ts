/**
 * One look at a folder that another program writes dumps into: what is whole is shipped and deleted, what is not is left
 * alone, and each attempt is a line in the log.
 */

import { basename, dirname } from 'node:path';
import { folderPrefix, parseStoreUrl } from '../../config/store-url.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { LOG_MESSAGES, logAttempt } from './daily-log.ts';
import { DEFAULT_TEMPLATE, parseTemplate } from './dated-keys.ts';
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

export interface WatchEnvironment {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
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
  { env = process.env, clock = systemClock, signal = new AbortController().signal, notice }: WatchEnvironment,
  moment: RunMoment,
  log: (message: string) => Promise<void>,
): Promise<WatchResult> {
  const { watch, to, key = DEFAULT_TEMPLATE, settle = SETTLE_MS } = options;
  const template = parseTemplate(key);
  const url = parseStoreUrl(to);
  await using opened = await openStore(url, { env, clock });
  const target = { store: opened.store, prefix: folderPrefix(url.prefix), template, moment };
  const shipped: ShippedFile[] = [];
  const ship = async (file: WholeFile): Promise<void> => {
    if (shipped.length === 0) for (const text of (await opened.makeBucket(signal)).notices) notice?.(text);
    const done = await shipFile(file, watch, target, signal);
    // Another process may look at the same time.
    if (done === undefined) return;
    shipped.push(done);
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
