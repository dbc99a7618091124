/** What is done to a copy before anyone may connect: the changelog of an empty one, the masks of one with rows. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { Secret } from '../../config/secret.ts';
import { applyChangelog, checkChangelog } from '../../databases/liquibase/apply-changelog.ts';
import type { Artifact, Changelog } from './artifact.ts';
import type { CloneMode, Finding } from './clone.ts';
import { lookAt } from './finding.ts';
import { applyMasking } from './masking/apply-masking.ts';
import { parseMaskingRules } from './masking/rules.ts';
import type { CloneEnvironment } from './settings.ts';

/** How messages name the rules, wherever they came from. */
export const RULES_NAME = 'the masking rules';

/** Does nothing where there is none. @throws CHECK_FAILED, DATABASE_FAILED */
export async function applyTo(
  url: DatabaseUrl,
  changelog: Changelog | undefined,
  { env, clock, emit }: CloneEnvironment,
  signal: AbortSignal,
): Promise<void> {
  if (changelog === undefined) return;
  emit({ type: 'phase', phase: 'apply the changelog' });
  await applyChangelog(url, changelog, { environment: env, clock }, emit, signal);
}

/** Does nothing where there are none. @param masking rules in YAML @throws CONFIG_INVALID, DATABASE_FAILED, RUN_INCOMPLETE */
export async function maskIn(
  url: DatabaseUrl,
  masking: string | undefined,
  { env, emit }: CloneEnvironment,
  signal: AbortSignal,
): Promise<void> {
  if (masking === undefined) return;
  emit({ type: 'phase', phase: 'mask' });
  const rules = parseMaskingRules(masking, url.dialect, RULES_NAME);
  await applyMasking(url, rules, { key: maskingKey(env), emit, signal });
}

/** What would keep the copy from being made fit, found out before it is made: a line for each thing to look at. */
export async function checkFit(
  dialect: DatabaseUrl['dialect'],
  mode: CloneMode,
  { changelog, masking }: Pick<Artifact, 'changelog' | 'masking'>,
  env: CloneEnvironment['env'],
  signal: AbortSignal,
): Promise<Finding[]> {
  if (mode === 'create')
    return changelog === undefined
      ? []
      : [await lookAt(() => changelogText(dialect, changelog, env, signal), signal)];
  if (masking === undefined) return [];
  const rules = async () => {
    parseMaskingRules(masking, dialect, RULES_NAME);
    return 'the masking rules can be read';
  };
  return [await lookAt(rules, signal)];
}

/** @throws CHECK_FAILED where Liquibase cannot read it, or is not here */
async function changelogText(
  dialect: DatabaseUrl['dialect'],
  changelog: Changelog,
  environment: CloneEnvironment['env'],
  signal: AbortSignal,
): Promise<string> {
  const count = await checkChangelog(dialect, changelog, { environment }, signal);
  return `the changelog has ${count} change ${count === 1 ? 'set' : 'sets'}`;
}

/** For values that are the same in every clone. */
function maskingKey(env: CloneEnvironment['env']): Secret | undefined {
  const text = env['LONGSHORE_MASKING_KEY'];
  return text ? new Secret(text) : undefined;
}
