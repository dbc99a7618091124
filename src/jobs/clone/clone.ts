/** What a clone is to the user, wherever it was made: what will be done, what came out, what is there. */

import type { Secret } from '../../config/secret.ts';

/** `clone` copies the source with its rows; `create` makes an empty database and applies the changelog. */
export type CloneMode = 'clone' | 'create';

export interface Finding {
  /** A problem keeps the clone from being made. */
  readonly kind: 'ok' | 'warning' | 'problem';
  readonly text: string;
  readonly hint?: string | undefined;
}

/** What converging would do. */
export interface ClonePlan {
  readonly mode: CloneMode;
  readonly name: string;
  /** The way that was chosen: `template copy`, `Aurora clone`. */
  readonly how: string;
  /** Why this one, and not a faster one. */
  readonly why: string;
  /** In order, as a person reads it. */
  readonly makes: readonly string[];
  /** Undefined where nobody can know it. */
  readonly estimateMs: number | undefined;
  /** US dollars; 0 on a server that runs anyway; of what is paid by its use, when it does little. */
  readonly costADay: number | undefined;
  readonly findings: readonly Finding[];
}

/** A clone that was made, or was there already. */
export interface ConvergedClone {
  readonly mode: CloneMode;
  readonly name: string;
  readonly how: string;
  /** Whether it was there before. */
  readonly existed: boolean;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** Without the password. */
  readonly url: string;
  readonly stackName: string | undefined;
  readonly owner: string;
  /** ISO 8601; undefined where it lives until it is dropped. */
  readonly expiresAt: string | undefined;
  readonly tookMs: number;
  /** Of the user in `url`, where it was made up here: nobody else knows it. */
  readonly password?: Secret | undefined;
}

/** A clone as `list` shows it. */
export interface CloneEntry {
  readonly name: string;
  /** A database on a server, or a stack of CloudFormation. */
  readonly kind: 'database' | 'stack';
  readonly source: string;
  readonly mode: CloneMode;
  readonly owner: string;
  /** `making` is one that whoever made it left behind, or still makes. */
  readonly state: 'making' | 'ready' | 'pooled' | 'failed';
  /** ISO 8601. */
  readonly madeAt: string;
  readonly expiresAt: string | undefined;
  readonly bytes: number | undefined;
  /** US dollars since it was made. */
  readonly costSoFar: number | undefined;
}
