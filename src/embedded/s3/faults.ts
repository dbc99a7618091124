/** Faults on command: which requests go wrong, how, and how often. */

import type { RequestLine } from './exchange.ts';

/** How a request goes wrong. */
export type Fault =
  /** Answers this status and code; the work is not done. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly code: string;
      readonly retryAfterSeconds?: number;
    }
  /** 200, white space, then an error document; the work is not done. */
  | { readonly kind: 'error-in-200'; readonly code: string; readonly spaces?: number }
  /** Does the work and sends half of the answer; then the connection is cut, or the (chunked) body ends in good order. */
  | { readonly kind: 'truncated-200'; readonly end?: 'cut' | 'early' }
  /** 200 with an empty body; does the work only where told. */
  | { readonly kind: 'empty-200'; readonly work?: boolean }
  /** The connection is cut and the work is not done. */
  | { readonly kind: 'reset-before' }
  /** The work is done and the connection is cut. */
  | { readonly kind: 'reset-after' }
  /** The work is done at once and answered after this time. */
  | { readonly kind: 'stall'; readonly ms: number }
  /** 400 ExpiredToken. */
  | { readonly kind: 'expired-token' }
  /** 403 AccessDenied. */
  | { readonly kind: 'denied' };

export interface FaultRule {
  /** All that is given must hold. */
  readonly match?: {
    readonly method?: string;
    /** S3's own name: `CopyObject`, `UploadPartCopy`, … */
    readonly operation?: string;
    readonly bucket?: string;
    /** A pattern, or exactly this key. */
    readonly key?: RegExp | string;
    /** A pattern as text, for rules that come as JSON. */
    readonly keyPattern?: string;
  };
  readonly fault: Fault;
  /** How many requests go wrong before the rule is spent; without end where absent. */
  readonly times?: number;
  /** Of a request that matches, from 0 to 1; 1 where absent. */
  readonly probability?: number;
}

export class Faults {
  #rules: { readonly rule: FaultRule; readonly pattern: RegExp | undefined; left: number }[] = [];
  #random: () => number;
  /** How many requests went wrong so far. */
  injected = 0;

  /** @param random from 0 to below 1; decides rules with a probability */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** The first rule that matches a request is the one that counts. */
  add(rule: FaultRule): void {
    const { key, keyPattern } = rule.match ?? {};
    const pattern =
      key instanceof RegExp ? key : keyPattern === undefined ? undefined : new RegExp(keyPattern);
    this.#rules.push({ rule, pattern, left: rule.times ?? Number.POSITIVE_INFINITY });
  }

  clear(): void {
    this.#rules = [];
  }

  /** Makes the decisions of rules with a probability repeatable. */
  seed(seed: number): void {
    this.#random = seededRandom(seed);
  }

  /** The fault of this request, counted as used. */
  take(line: RequestLine, operation: string | undefined): Fault | undefined {
    if (this.#rules.length === 0) return undefined;
    for (const entry of this.#rules) {
      const { match, probability } = entry.rule;
      if (entry.left <= 0) continue;
      if (match?.method !== undefined && match.method !== line.method) continue;
      if (match?.operation !== undefined && match.operation !== operation) continue;
      if (match?.bucket !== undefined && match.bucket !== line.bucketName) continue;
      if (typeof match?.key === 'string' && match.key !== line.key) continue;
      if (entry.pattern !== undefined && line.key.search(entry.pattern) === -1) continue;
      if (probability !== undefined && this.#random() >= probability) continue;
      entry.left--;
      this.injected++;
      return entry.rule.fault;
    }
    return undefined;
  }
}

/** Mulberry32: the same numbers for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
