/** Backups as what a clone can be made from: the two jobs meet here alone. */

import { parseDatabaseUrl } from '../config/database-url.ts';
import { isSameServer } from '../databases/clone-server.ts';
import type { BackupSource, FoundBackup } from '../jobs/clone/database/request.ts';

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
    async newest(of, signal) {
      const { dialect, connection } = of;
      const { listBackups } = await import('../jobs/backup/list.ts');
      const { backups } = await listBackups(from, { env, signal });
      const good = backups.flatMap(({ key, takenAt, drill, missing, dump }): FoundBackup[] => {
        const isGood = drill?.ok === true && missing.length === 0;
        const isOfIt =
          dump?.database === connection.database &&
          (dump.product === 'PostgreSQL') === (dialect === 'postgres');
        if (!isGood || !isOfIt) return [];
        const { source } = dump;
        return [{ key, takenAt, source, sameServer: isSameServer(parseDatabaseUrl(source, {}), of) }];
      });
      const found = good.findLast(({ sameServer }) => sameServer) ?? good.at(-1);
      newest = found?.key;
      return found;
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
