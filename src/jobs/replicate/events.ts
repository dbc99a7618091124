/** What a replication tells while it works; progress, logs and the summary all listen to these. */

export type ReplicateEvent =
  /** Something the user should know, once. */
  | { readonly type: 'notice'; readonly text: string }
  | { readonly type: 'load-started'; readonly tables: number; readonly chunks: number }
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
  | { readonly type: 'run-finished'; readonly seconds: number };

export type ReplicateListener = (event: ReplicateEvent) => void;
