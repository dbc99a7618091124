/** Tells a URL that a backup failed. The URL may hold a token: it is in no message. */

import { LongshoreError, messageOf } from '../../errors.ts';

export interface FailureNote {
  /** What was backed up, without password. */
  readonly job: string;
  readonly message: string;
  /** Of `docs/errors.md`; `BUG` for what has none. */
  readonly code: string;
  /** In ISO 8601 and UTC. */
  readonly at: string;
}

const TIMEOUT_MS = 10_000;

/** What is told of an error. */
export function failureNote(job: string, error: unknown, atMs: number): FailureNote {
  const code = error instanceof LongshoreError ? error.code : 'BUG';
  return { job, message: messageOf(error), code, at: new Date(atMs).toISOString() };
}

/** @throws CONFIG_INVALID for what is no http or https URL, or one with a user in it, which `fetch` does not take */
export function checkWebhook(url: string): void {
  const parsed = URL.parse(url);
  if (parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.username + parsed.password === '')
    return;
  throw new LongshoreError('CONFIG_INVALID', 'the webhook is no URL', {
    hint: 'write it as https://host/path, without a user',
  });
}

/**
 * Posts the note as JSON, once. It never throws: what failed first is what is told.
 * @returns why it was not taken, as a sentence; undefined where it was
 */
export async function notifyFailure(
  url: string,
  note: FailureNote,
  signal: AbortSignal,
): Promise<string | undefined> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(note),
      // A redirection would turn it into another request.
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
    });
    await response.body?.cancel();
    return response.ok ? undefined : `the webhook answered ${response.status}`;
  } catch (error) {
    if (timeout.aborted) return `the webhook did not answer in ${TIMEOUT_MS / 1000} s`;
    return `the webhook was not reached${reasonOf(error)}`;
  }
}

/** The code alone: messages of the network name hosts, and those of URLs the URL. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : undefined;
  const code = (cause as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? `: ${code}` : '';
}
