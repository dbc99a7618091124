/** The tables that benchmarks print, in Markdown. */

import type { Measured } from './move/measure.ts';

/** @param over what the others are held against */
export function heading(what: string, over: string): void {
  process.stdout.write(
    `\n| ${what} | seconds | over ${over} | CPU s | peak MB |\n| --- | --- | --- | --- | --- |\n`,
  );
}

export function line(what: string, { seconds, cpuSeconds, peakBytes = 0 }: Measured, over: Measured): void {
  process.stdout.write(
    `| ${what} | ${seconds.toFixed(2)} | ${(seconds / over.seconds).toFixed(2)} | ${cpuSeconds.toFixed(1)} | ${Math.round(peakBytes / 1e6)} |\n`,
  );
}
