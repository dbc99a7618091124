/** The JSON schema of `longshore.yaml`, made from the schema of each job. */

import { z } from 'zod';
import { backupSchema } from '../jobs/backup/settings.ts';
import { cloneSchema } from '../jobs/clone/options.ts';
import { moveSchema } from '../jobs/move/settings.ts';
import { replicateSchema } from '../jobs/replicate/settings.ts';

/** JSON Schema, draft 2020-12. */
export function configJsonSchema(): object {
  const file = z.strictObject({
    move: z.record(z.string(), moveSchema).optional().describe('moves by name'),
    replicate: z
      .record(z.string(), replicateSchema.extend({ dms: z.unknown().optional() }))
      .optional()
      .describe('replications by name'),
    backup: z.record(z.string(), backupSchema).optional().describe('backups by name'),
    clone: z.record(z.string(), cloneSchema).optional().describe('clones by name'),
  });
  return { ...z.toJSONSchema(file, { io: 'input' }), title: 'longshore.yaml' };
}
