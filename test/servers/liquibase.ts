/** Whether Liquibase can be run here: it is a development dependency, and Java is of the machine. */

import { execFileSync } from 'node:child_process';

/** When not, prints what to install. For `describe.skipIf(!liquibaseAvailable())`. */
export function liquibaseAvailable(): boolean {
  try {
    execFileSync('java', ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('skipped: no Java for Liquibase; apt-get install default-jre-headless');
    return false;
  }
}
