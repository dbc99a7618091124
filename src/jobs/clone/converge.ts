/** Makes a copy of the database that an artifact describes. */

import type { Secret } from '../../config/secret.ts';
import { LongshoreError } from '../../errors.ts';
import type { Artifact } from './artifact.ts';
import type { CloneMode, ConvergedClone } from './clone.ts';
import type { EmitClone } from './events.ts';
import { sourceText } from './image-config.ts';

export interface ConvergeOptions {
  readonly mode: CloneMode;
  readonly name?: string | undefined;
  /** Of an empty database; a clone has that of its source. */
  readonly user?: string | undefined;
  /** That the copy gets. */
  readonly password: Secret;
  readonly ttlMs?: number | undefined;
}

export interface ConvergeEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  readonly emit: EmitClone;
}

/** @throws CHECK_FAILED of a source that cannot be copied */
export async function converge(
  artifact: Artifact,
  { mode }: ConvergeOptions,
  _environment: ConvergeEnvironment,
): Promise<ConvergedClone> {
  throw new LongshoreError(
    'CHECK_FAILED',
    `cannot ${mode} ${sourceText(artifact.config.source)}: no way to copy such a source is known`,
    {
      hint: 'name an Aurora cluster, or a PostgreSQL, MariaDB or MySQL by its URL',
    },
  );
}
