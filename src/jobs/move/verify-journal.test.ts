import { expect, test } from 'vitest';
import { judge } from './verify-journal.ts';

const moved = { key: 'a', targetKey: 'b', etag: 'E', targetEtag: 'T', deleted: false };
const deleted = { ...moved, deleted: true };
const seen = (etag: string, sizeBytes = 1) => ({ etag, sizeBytes });

test.each([
  [deleted, undefined, seen('T'), 'holds'],
  [deleted, undefined, seen('new'), 'overwritten'],
  [deleted, undefined, undefined, 'absent'],
  [deleted, seen('new'), undefined, 'absent'],
  [moved, seen('E'), seen('T'), 'holds'],
  [moved, seen('E', 1), seen('T', 2), 'differs'],
  [moved, seen('E'), seen('new'), 'overwritten'],
  [moved, seen('new'), seen('T'), 'overwritten'],
  [moved, seen('E'), undefined, 'absent'],
  [moved, seen('new'), undefined, 'gone'],
  [moved, undefined, undefined, 'gone'],
  [moved, undefined, seen('T'), 'holds'],
] as const)('%j with %j and %j: %s', (recorded, source, target, verdict) => {
  expect(judge(recorded, source, target)).toBe(verdict);
});
