/** Durations as people write them: `500ms`, `30s`, `10m`, `24h`, `7d`. */

import { LongshoreError } from '../errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** @returns milliseconds. @throws CONFIG_INVALID */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (match === null) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read "${text}" as a duration`, {
      hint: 'write a number and a unit: 500ms, 30s, 10m, 24h, 7d',
    });
  }
  return Number(match[1]) * UNIT_MS[match[2]!]!;
}

/** Milliseconds as a person reads them: `6d 23h`, `1h 04m`, `3m 20s`, `12.3s`. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)}s`;
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)}d ${String(hours % 24).padStart(2, '0')}h`;
  if (hours > 0) return `${hours}h ${String(minutes).padStart(2, '0')}m`;
  return `${minutes}m ${String(whole % 60).padStart(2, '0')}s`;
}
