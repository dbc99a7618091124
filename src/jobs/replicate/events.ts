/** What a replication tells while it works; progress, logs and the summary all listen to these. */

export type ReplicateEvent =
  /** Something the user should know, once. */
  | { readonly type: 'notice'; readonly text: string }
  | {
      readonly type: 'load-started';
      readonly tables: number;
      /** That are left to load. */
      readonly chunks: number;
      /** Loaded by a process that died. */
      readonly chunksKept: number;
    }
  | {
      readonly type: 'chunk-loaded';
      readonly schema: string;
      readonly table: string;
      readonly rows: number;
      readonly bytes: number;
    }
  | { readonly type: 'load-finished'; readonly lsn: string; readonly rows: number; readonly files: number }
  | { readonly type: 'following'; readonly fromLsn: string }
  /** An epoch is durable and confirmed to the server. */
  | {
      readonly type: 'epoch-landed';
      readonly epoch: number;
      readonly toLsn: string;
      readonly changes: number;
      readonly files: number;
      readonly bytes: number;
      /** Bytes of the server's log behind which the replica is now. */
      readonly lagBytes: number;
    }
  /** What the server keeps of its log for the slot, from time to time. */
  | {
      readonly type: 'wal-retained';
      readonly bytes: number;
      /** How fast the server writes it. */
      readonly bytesPerSecond: number;
      /** Until the server gives the slot up, or the job's limit is reached; undefined where neither is near. */
      readonly secondsLeft: number | undefined;
    }
  | { readonly type: 'run-finished'; readonly seconds: number };

export type ReplicateListener = (event: ReplicateEvent) => void;
