/** PostgreSQL's own clients on this machine. */

import {
  checkClientFolder,
  clientEnvironment,
  clientFolders,
  type FoundProgram,
  findPrograms,
} from '../client-programs.ts';
import { CLIENT_FOLDERS } from './client-choice.ts';

const NAMES = ['pg_dump', 'pg_dumpall', 'pg_restore'];

/**
 * `pg_dump`, `pg_dumpall` and `pg_restore` of every version.
 * @param clientFolder where alone they are looked for
 * @throws CHECK_FAILED where it holds none
 */
export async function postgresPrograms(clientFolder: string | undefined): Promise<FoundProgram[]> {
  const folders = clientFolders(clientFolder, process.env, CLIENT_FOLDERS);
  const found = await findPrograms(NAMES, folders, clientEnvironment());
  checkClientFolder(clientFolder, NAMES, found);
  return found;
}
