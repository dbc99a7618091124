/** A process that takes a backup each time it is told to, for those that race one another. */

import { takeBackup } from '../../src/jobs/backup/take-backup.ts';

process.on('message', (options) => {
  takeBackup(options as Parameters<typeof takeBackup>[0]).then(
    ({ key }) => process.send!({ key }),
    (error: Error) => process.send!({ error: error.message }),
  );
});
process.on('disconnect', () => process.exit());
