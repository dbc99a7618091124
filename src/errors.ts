/** The one error class of Longshore, its stable codes, and what each code means for retry and exit. */

/** Which exit code an error that ends a program maps to; see {@link exitCodeOf}. */
type ExitClass = 'usage' | 'check' | 'failed';

/** What the engine does with an error: try again with back-off, or leave the work undone and list it. */
type RetryClass = 'retry' | 'never';

/**
 * Every code, in one table: how a program that ends with it exits, and whether the work is tried again.
 * Documentation of the codes is `docs/errors.md`.
 */
export const ERROR_CODES = {
  /** An option, a URL or the configuration file cannot be understood. */
  CONFIG_INVALID: { exit: 'usage', retry: 'never' },
  /** A store or database URL is malformed. */
  URL_INVALID: { exit: 'usage', retry: 'never' },
  /** The source and the target of a move name, or contain, one another. */
  LOCATIONS_OVERLAP: { exit: 'usage', retry: 'never' },
  /** A run of that name does not exist under `.longshore/`. */
  RUN_NOT_FOUND: { exit: 'usage', retry: 'never' },
  /** Another process works on the same run. */
  RUN_LOCKED: { exit: 'check', retry: 'never' },
  /** The journal belongs to another job or other options. */
  JOURNAL_FOREIGN: { exit: 'check', retry: 'never' },
  /** The journal was written by a newer Longshore. */
  JOURNAL_NEWER: { exit: 'check', retry: 'never' },
  /** The journal cannot be written: the disk is full or the folder may not be written to. */
  JOURNAL_UNWRITABLE: { exit: 'failed', retry: 'never' },
  /** Two objects would land on one key, or the target holds other content. */
  TARGET_COLLISION: { exit: 'check', retry: 'never' },
  /** The bucket or folder does not exist. */
  BUCKET_NOT_FOUND: { exit: 'check', retry: 'never' },
  /** The bucket is in another region than the one configured. */
  BUCKET_REGION: { exit: 'check', retry: 'never' },
  /** The store refuses an action; names the IAM action. */
  STORE_DENIED: { exit: 'check', retry: 'never' },
  /** The store's credentials are missing, wrong or expired. */
  STORE_CREDENTIALS: { exit: 'check', retry: 'never' },
  /** The store cannot be reached at all. */
  STORE_UNREACHABLE: { exit: 'check', retry: 'retry' },
  /** The store cannot do what the job needs. */
  STORE_UNSUPPORTED: { exit: 'check', retry: 'never' },
  /** The store asks for fewer requests (503 SlowDown, 429, ThrottlingException). */
  STORE_SLOW_DOWN: { exit: 'failed', retry: 'retry' },
  /** The store failed or broke off (5xx, reset, truncated answer, error inside a 200). */
  STORE_UNAVAILABLE: { exit: 'failed', retry: 'retry' },
  /** The store did not answer in time; the request may have succeeded. */
  STORE_TIMEOUT: { exit: 'failed', retry: 'retry' },
  /** The store answered what its protocol does not allow. */
  STORE_RESPONSE: { exit: 'failed', retry: 'never' },
  /** The object is in an archived storage class and must be restored first. */
  OBJECT_ARCHIVED: { exit: 'failed', retry: 'never' },
  /** An object cannot be read, written or deleted, for a reason of its own. */
  OBJECT_FAILED: { exit: 'failed', retry: 'never' },
  /** The database cannot be reached or broke off. */
  DATABASE_UNREACHABLE: { exit: 'check', retry: 'retry' },
  /** The database refuses: wrong password, missing grant. */
  DATABASE_DENIED: { exit: 'check', retry: 'never' },
  /** A deadlock, serialization failure or lock time-out; the transaction was rolled back. */
  DATABASE_CONFLICT: { exit: 'failed', retry: 'retry' },
  /** The database failed a statement for a reason of its own (constraint, trigger, type). */
  DATABASE_FAILED: { exit: 'failed', retry: 'never' },
  /** The table does not exist or is not visible to the role. */
  TABLE_NOT_FOUND: { exit: 'check', retry: 'never' },
  /** The column does not exist. */
  COLUMN_NOT_FOUND: { exit: 'check', retry: 'never' },
  /** A check found something that keeps the job from starting. */
  CHECK_FAILED: { exit: 'check', retry: 'never' },
  /** The run ended and not everything is where it should be. */
  RUN_INCOMPLETE: { exit: 'failed', retry: 'never' },
} as const satisfies Record<string, { exit: ExitClass; retry: RetryClass }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** What else an error is about: bucket, key, table, row, action. Never a secret, never a cell's value. */
export type ErrorContext = Readonly<Record<string, string | number | boolean>>;

/**
 * An error with a stable code, a message that names what failed on what and why, and a hint: what to do next.
 */
export class LongshoreError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly context: ErrorContext;

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string | undefined; cause?: unknown; context?: ErrorContext } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'LongshoreError';
    this.code = code;
    this.hint = options.hint;
    this.context = options.context ?? {};
  }
}

/** Whether doing the same again may succeed. Errors without a code are bugs and are not retried. */
export function isRetryable(error: unknown): boolean {
  return error instanceof LongshoreError && ERROR_CODES[error.code].retry === 'retry';
}

/** The exit code of a program that ends with this error: 1 failed, 2 usage or configuration, 3 a check failed. */
export function exitCodeOf(error: unknown): 1 | 2 | 3 {
  if (!(error instanceof LongshoreError)) return 1;
  const exit = ERROR_CODES[error.code].exit;
  // A check that fails in the middle of a run is a failure of the run.
  if (exit === 'check' && error.context['changed'] === true) return 1;
  return exit === 'usage' ? 2 : exit === 'check' ? 3 : 1;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
