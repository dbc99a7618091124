/** What a move tells while it works; progress, logs and the summary all listen to these. */

import type { Tally } from './tally.ts';

export type MoveEvent =
  /** The run began, or goes on where it stopped. */
  | { readonly type: 'run-started'; readonly run: string; readonly folder: string; readonly resumed: boolean }
  /** Something the user should know, once: a fallback, an assumption, a limit. */
  | { readonly type: 'notice'; readonly text: string }
  /** The source is being listed and the target looked at; totals so far. */
  | { readonly type: 'planning'; readonly objects: number; readonly bytes: number }
  | { readonly type: 'pass-started'; readonly pass: number }
  | {
      readonly type: 'stage-started';
      readonly stage: MoveStage;
      readonly pass: number;
      readonly shards: number;
      /** Objects the shards hold, where known. */
      readonly objects: number | undefined;
    }
  /** A shard is recorded; `tally` is what it did beside its parts. */
  | {
      readonly type: 'shard-finished';
      readonly stage: MoveStage;
      readonly tally: Tally;
      readonly objects: number;
    }
  /** A part of a shard is recorded, before its end; `tally` is what it did. */
  | { readonly type: 'recorded'; readonly tally: Tally }
  | { readonly type: 'shard-failed'; readonly stage: MoveStage; readonly message: string }
  /** Something is tried again. */
  | { readonly type: 'retry'; readonly what: 'request' | 'shard' | 'rows'; readonly message: string }
  /** Nothing to do until then. */
  | { readonly type: 'waiting'; readonly forWhat: 'grace' | 'traffic' | 'rows'; readonly untilMs: number }
  | { readonly type: 'run-finished'; readonly tally: Tally; readonly seconds: number };

export type MoveStage = 'copy' | 'sweep' | 'delete' | 'undo-objects' | 'undo-rows' | 'undo-delete';

export type MoveListener = (event: MoveEvent) => void;
