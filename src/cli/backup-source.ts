/** Backups as what a clone can be made from: the two jobs meet here alone. */

import type { BackupSource } from '../jobs/clone/database/request.ts';

/** @param from `s3://bucket/prefix/` @param identity of age, for backups that are encrypted */
export function backupSource(
  from: string,
  env: Readonly<Record<string, string | undefined>>,
  options: {
    readonly identity?: string | undefined;
    readonly clientFolder?: string | undefined;
    readonly noOwner?: boolean | undefined;
  },
): BackupSource {
  let newest: string | undefined;
  return {
    async newest({ dialect, connection: { database } }, signal) {
      const { listBackups } = await import('../jobs/backup/list.ts');
      const { backups } = await listBackups(from, { env, signal });
      const found = backups.findLast(
        ({ drill, missing, dump }) =>
          drill?.ok === true &&
          missing.length === 0 &&
          dump?.database === database &&
          (dump.product === 'PostgreSQL') === (dialect === 'postgres'),
      );
      newest = found?.key;
      if (found?.dump === undefined) return undefined;
      return { key: found.key, takenAt: found.takenAt, source: found.dump.source };
    },
    async restore(into, onBytes, signal) {
      const { restoreBackup } = await import('../jobs/backup/restore.ts');
      await restoreBackup(
        { ...options, from: `${from.replace(/\/?$/, '/')}${newest}`, to: into, asCopy: true },
        {
          env,
          signal,
          emit: (event) => {
            if (event.type === 'progress') onBytes(event.bytes, event.of);
          },
        },
      );
    },
  };
}
