/**
 * Masks a database by its rules: reads what is there, checks that every rule fits, changes the rows, and proves that it held.
 * Nobody else may reach the database meanwhile, and whoever calls it takes the database away where this throws.
 */

import { createHash, randomBytes } from 'node:crypto';
import type { DatabaseUrl } from '../../../config/database-url.ts';
import type { Secret } from '../../../config/secret.ts';
import type { MaskCatalogue } from '../../../databases/masking/catalogue.ts';
import type { MaskResult, MaskRun } from '../../../databases/masking/work.ts';
import type { EmitClone } from '../events.ts';
import { planMasking } from './plan-masking.ts';
import type { MaskingRules } from './rules.ts';

export interface MaskingOptions {
  /** Gives hashes, addresses and names that are the same for every clone; a new one for each where it is left out. */
  readonly key?: Secret | undefined;
  readonly emit: EmitClone;
  readonly signal: AbortSignal;
}

/**
 * Whether rules fit a database, for a plan: that of the source, or of the clone before it is masked. Nothing is changed.
 *
 * @throws CONFIG_INVALID, naming everything that does not fit
 */
export async function checkMasking(
  url: DatabaseUrl,
  rules: MaskingRules,
  signal: AbortSignal,
): Promise<void> {
  const { maskCatalogue } =
    url.dialect === 'mysql'
      ? await import('../../../databases/mysql/mask-catalogue.ts')
      : await import('../../../databases/postgres/mask-catalogue.ts');
  planMasking(rules, await maskCatalogue(url, signal));
}

/**
 * @returns what was done, by table and column
 * @throws CONFIG_INVALID where rules do not fit; DATABASE_FAILED; RUN_INCOMPLETE where what was done does not hold
 */
export async function applyMasking(
  url: DatabaseUrl,
  rules: MaskingRules,
  { key, emit, signal }: MaskingOptions,
): Promise<MaskResult> {
  const run: MaskRun = {
    key:
      key === undefined
        ? randomBytes(32).toString('hex')
        : createHash('sha256').update(key.reveal()).digest('hex'),
    signal,
    phase: (phase) => emit({ type: 'phase', phase }),
  };
  const decide = (catalogue: MaskCatalogue) => planMasking(rules, catalogue);
  if (url.dialect === 'mysql')
    return (await import('../../../databases/mysql/mask-tables.ts')).maskMysql(url, decide, run);
  return (await import('../../../databases/postgres/mask-tables.ts')).maskPostgres(url, decide, run);
}
