/** Looks, before anything is written, whether what rows name has a place to go: where rows drive a move, nobody lists. */

import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import type { MoveContext } from './context.ts';
import { type Collision, checkTargets } from './lay-out.ts';
import { COLLISIONS_LISTED, collisionError } from './lay-out-pass.ts';
import { objectsOf, sweepShards, sweptRows } from './sweep-stage.ts';
import { TargetClaims } from './target-claims.ts';

const LANES = 3;

/** Reads every row once. @throws TARGET_COLLISION */
export async function checkNamedTargets(context: MoveContext, signal: AbortSignal): Promise<void> {
  using claims = context.rules.injective ? undefined : new TargetClaims();
  const listed: Collision[] = [];
  const seen = new Set<string>();
  const options = {
    lookAtTarget: true,
    claimTarget: claims && ((target: string, source: string) => claims.claim(target, source)),
  };
  const onCollision = (collision: Collision): void => {
    seen.add(collision.sourceKey);
    if (seen.size > listed.length && listed.length < COLLISIONS_LISTED) listed.push(collision);
  };
  await forEachConcurrent(sweepShards(context, signal), LANES, async ({ column, range }) => {
    for await (const read of sweptRows(context, context.columns[column]!, range, signal)) {
      const { objects } = await objectsOf(context, read, signal);
      const existing = [...objects.values()].flatMap(({ source }) => source ?? []);
      await checkTargets(context, options, existing, { onCollision }, signal);
    }
  });
  if (seen.size > 0) throw collisionError(listed, seen.size);
}
