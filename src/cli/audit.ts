/** placeholder */
import type { Command } from 'commander';
import type { Finish } from './main.ts';
export function registerAudit(_program: Command, _finish: Finish): void {}
