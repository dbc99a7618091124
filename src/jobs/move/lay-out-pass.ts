/** Lays out the copy stage of a pass into the journal, and stops before anything is written where objects collide. */

import { LongshoreError } from '../../errors.ts';
import type { MoveContext } from './context.ts';
import { laidOutByInventory, layOutInventory } from './inventory.ts';
import { type Collision, type CopySpec, layOut } from './lay-out.ts';
import { TargetClaims } from './target-claims.ts';

const SPECS_AT_ONCE = 64;
const COLLISIONS_LISTED = 10;

/** Does nothing when the pass is laid out already. @throws TARGET_COLLISION in the first pass */
export async function layOutPass(context: MoveContext, pass: number, signal: AbortSignal): Promise<void> {
  const { journal, settings, emit } = context;
  if (Number(journal.getMeta('copyLaidOut') ?? 0) >= pass) return;
  journal.dropShards('copy', pass);
  let objects = 0;
  let bytes = 0;
  const specs: CopySpec[] = [];
  const collisions: Collision[] = [];
  let collided = 0;
  using claims = context.rules.injective || pass > 1 ? undefined : new TargetClaims();
  await (laidOutByInventory(context, pass) ? layOutInventory : layOut)(
    context,
    { lookAtTarget: true, claimTarget: claims && ((target, source) => claims.claim(target, source)) },
    {
      onShard: (spec) => {
        specs.push(spec);
        objects += spec.objects;
        bytes += spec.bytes;
        if (specs.length >= SPECS_AT_ONCE) journal.addShards('copy', pass, specs.splice(0));
        if (pass === 1) emit({ type: 'planning', objects, bytes });
      },
      onCollision: (collision) => {
        collided++;
        if (collisions.length < COLLISIONS_LISTED) collisions.push(collision);
      },
    },
    signal,
  );
  if (collided > 0 && pass === 1 && settings.collisions === 'stop')
    throw collisionError(collisions, collided);
  context.failpoint('laying-out');
  journal.addShards('copy', pass, specs);
  journal.transaction(() => {
    journal.setMeta(`objects:${pass}`, objects);
    journal.setMeta(`bytes:${pass}`, bytes);
    journal.setMeta('copyLaidOut', pass);
  });
}

export function collisionError(collisions: readonly Collision[], count: number): LongshoreError {
  const listed = collisions.map(describeCollision).join('; ');
  const more = count > collisions.length ? `; and ${count - collisions.length} more` : '';
  return new LongshoreError(
    'TARGET_COLLISION',
    `${count} objects cannot go to their target: ${listed}${more}`,
    {
      hint: 'change the rules so that every object has a place of its own, move the others away, or leave these with --collisions skip',
    },
  );
}

export function describeCollision(collision: Collision): string {
  const { sourceKey, targetKey, why, otherSourceKey } = collision;
  switch (why) {
    case 'target-differs':
      return `${targetKey} holds other content than ${sourceKey}`;
    case 'two-sources':
      return `${sourceKey} and ${otherSourceKey} both become ${targetKey}`;
    case 'too-long':
      return `the target of ${sourceKey} is longer than 1,024 bytes`;
    case 'empty':
      return `the target of ${sourceKey} is empty`;
  }
}
