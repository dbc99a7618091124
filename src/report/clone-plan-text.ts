/** The plan of a clone as a person reads it. */

import { formatDuration } from '../config/duration.ts';
import type { ClonePlan } from '../jobs/clone/clone.ts';
import { findingLines } from './finding-text.ts';

export function clonePlanText(plan: ClonePlan): string {
  const { estimateMs, costADay, findings } = plan;
  const makes = plan.makes.map((line, i) => `  ${i === 0 ? 'makes' : '     '}  ${line}`);
  const time = estimateMs === undefined ? 'cannot be told' : `about ${formatDuration(estimateMs)}`;
  const cost =
    costADay === undefined
      ? 'cannot be told'
      : costADay === 0
        ? 'nothing beside the server'
        : `$${costADay.toFixed(2)} a day, and the storage of what changes`;
  return [
    `${plan.name}: ${plan.how}, since ${plan.why}`,
    ...makes,
    `  time   ${time}`,
    `  costs  ${cost}`,
    ...findingLines(
      findings.map(({ kind, text, hint }) => ({ level: LEVELS[kind], what: text, fix: hint ?? '' })),
    ),
  ].join('\n');
}

const LEVELS = { ok: 'info', warning: 'warning', problem: 'error' } as const;
