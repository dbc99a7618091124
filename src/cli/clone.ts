/** `longshore clone`: database artifacts and the copies that are made of them. */

import type { Command } from 'commander';
import { registerCloneBuild } from './clone-build.ts';
import { registerCloneDiff } from './clone-diff.ts';
import { registerCloneInspect } from './clone-inspect.ts';
import { registerClonePublish } from './clone-publish.ts';
import type { Finish } from './main.ts';

export function registerClone(program: Command, finish: Finish): void {
  const clone = program.command('clone').description('build, publish and converge a copy of a database');
  for (const register of [registerCloneBuild, registerClonePublish, registerCloneInspect, registerCloneDiff])
    register(clone, finish);
}
