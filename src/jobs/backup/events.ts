/** What a backup, a restore or a drill tells of itself while it runs. */

export type BackupEvent =
  | { readonly type: 'started'; readonly what: string }
  /** @property of about so many; undefined where nobody knows */
  | { readonly type: 'progress'; readonly bytes: number; readonly of: number | undefined }
  /** What is no failure and should be known. */
  | { readonly type: 'notice'; readonly text: string };

export type EmitBackup = (event: BackupEvent) => void;
