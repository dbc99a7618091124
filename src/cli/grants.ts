/** placeholder */
import type { Command } from 'commander';
import type { Finish } from './main.ts';
export function registerGrants(_program: Command, _finish: Finish): void {}
