/** The flag that names the server of clones. */

import { LongshoreError } from '../errors.ts';

/** @throws CONFIG_INVALID where it was left out */
export function serverGiven(on: string | undefined): string {
  if (on !== undefined) return on;
  throw new LongshoreError('CONFIG_INVALID', 'the server of the clones is not given', {
    hint: '--on postgres://user@host/postgres, or mariadb://…',
  });
}
