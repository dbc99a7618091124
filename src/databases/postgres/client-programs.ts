/** PostgreSQL's own clients on this machine. */

import { clientEnvironment, clientFolders, type FoundProgram, findPrograms } from '../client-programs.ts';
import { CLIENT_FOLDERS } from './client-choice.ts';

/** `pg_dump`, `pg_dumpall` and `pg_restore` of every version. @param clientFolder where alone they are looked for */
export function postgresPrograms(clientFolder: string | undefined): Promise<FoundProgram[]> {
  const folders = clientFolders(clientFolder, process.env, CLIENT_FOLDERS);
  return findPrograms(['pg_dump', 'pg_dumpall', 'pg_restore'], folders, clientEnvironment());
}
