/** Lays out the copy stage of a pass into the journal, and stops before anything is written where objects collide. */

import { LongshoreError } from '../../errors.ts';
import type { MoveContext } from './context.ts';
import { rowsAreIndexed, rowsNaming } from './copy-stage.ts';
import { laidOutByInventory, layOutInventory } from './inventory.ts';
import { type Collision, type CopySpec, layOut } from './lay-out.ts';
import { TargetClaims } from './target-claims.ts';

const SPECS_AT_ONCE = 64;
export const COLLISIONS_LISTED = 10;
/** Collisions of which it is asked whether a row names the object at all. */
const COLLISIONS_ASKED = 10_000;

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
        if (collisions.length < COLLISIONS_ASKED) collisions.push(collision);
      },
    },
    signal,
  );
  if (collided > 0 && pass === 1 && settings.collisions === 'stop') {
    const moving = collided > collisions.length ? collisions : await thatMove(context, collisions, signal);
    if (moving.length > 0) {
      const count = moving.length === collisions.length ? collided : moving.length;
      throw collisionError(moving.slice(0, COLLISIONS_LISTED), count);
    }
  }
  if (objects === 0 && pass === 1 && collided === 0) {
    emit({ type: 'notice', text: `nothing to move lies under ${settings.from}` });
  }
  context.failpoint('laying-out');
  journal.addShards('copy', pass, specs);
  journal.transaction(() => {
    journal.setMeta(`objects:${pass}`, objects);
    journal.setMeta(`bytes:${pass}`, bytes);
    journal.setMeta('copyLaidOut', pass);
  });
}

/** Collisions of objects that the move would touch: an orphan that stays where it is stands in nobody's way. */
async function thatMove(
  context: MoveContext,
  collisions: readonly Collision[],
  signal: AbortSignal,
): Promise<readonly Collision[]> {
  const { columns, settings } = context;
  if (columns.length === 0 || settings.orphans === 'move' || !rowsAreIndexed(columns)) return collisions;
  const keys = new Map(collisions.map(({ sourceKey }) => [sourceKey, true]));
  const named = new Set<string>();
  for (const row of await rowsNaming(context, keys, signal)) {
    for (const { sourceKey } of row.references) named.add(sourceKey);
  }
  return collisions.filter(({ sourceKey }) => named.has(sourceKey));
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
