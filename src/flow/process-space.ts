/** Where a process's number means the same process: two machines, or containers, may have one name. */

import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

/** The boot and the space of process numbers where the system tells them; the name of the machine elsewhere. */
export async function processSpace(): Promise<string> {
  if (process.platform !== 'linux') return hostname();
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    return `${boot.trim()} ${await readlink('/proc/self/ns/pid')}`;
  } catch (error) {
    // Some sandboxes hide both.
    if (typeof (error as NodeJS.ErrnoException).code === 'string') return hostname();
    throw error;
  }
}
