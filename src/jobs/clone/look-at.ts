/** Something that a plan looks at, as a finding. */

import { LongshoreError } from '../../errors.ts';
import type { Finding } from './clone.ts';

/** A problem where it throws. @param look says what is right */
export async function lookAt(look: () => Promise<string>, signal: AbortSignal): Promise<Finding> {
  try {
    return { kind: 'ok', text: await look() };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof LongshoreError)) throw error;
    return { kind: 'problem', text: error.message, hint: error.hint };
  }
}
