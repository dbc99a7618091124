/** Makes a copy of the database that an artifact describes, wherever that is. */

import { type DatabaseUrl, parseDatabaseUrl } from '../../config/database-url.ts';
import { Secret } from '../../config/secret.ts';
import { openCloneServer } from '../../databases/clone-server.ts';
import { LongshoreError } from '../../errors.ts';
import type { Artifact } from './artifact.ts';
import { convergeAurora } from './aurora/converge.ts';
import { planAurora } from './aurora/plan.ts';
import type { ClonePlan, ConvergedClone, Finding } from './clone.ts';
import { cloneOrTake } from './clone-database.ts';
import type { Way } from './database/choose-way.ts';
import { planDatabase, shownPlan } from './database/plan-database.ts';
import type { BackupSource, DatabaseRequest } from './database/request.ts';
import { applyTo, checkFit, maskIn } from './make-fit.ts';
import { checkSides, resolveOwnerAndJobs } from './options.ts';
import { type CloneEnvironment, type ConvergeOptions, cloneEnvironment, TTL_MS_DEFAULT } from './settings.ts';

/** What else is said where the source is no Aurora cluster. */
export interface ArtifactConvergeOptions extends ConvergeOptions {
  /** The server that the copy is made on; that of the artifact, else that of the source, where it is left out. */
  readonly on?: string | undefined;
  readonly way?: Way | undefined;
  readonly jobs?: number | undefined;
  readonly clientFolder?: string | undefined;
  readonly noOwner?: boolean | undefined;
  readonly compare?: boolean | undefined;
  readonly backups?: BackupSource | undefined;
  /** How many more are kept ready; of PostgreSQL. */
  readonly pool?: number | undefined;
  /** Given the clone before the pool is filled up. */
  readonly onClone?: ((clone: ConvergedClone) => void) | undefined;
}

/**
 * Asked again, it is the same clone.
 * @throws CHECK_FAILED with every problem of the plan, before anything is made; what making it throws
 */
export async function converge(
  artifact: Artifact,
  options: ArtifactConvergeOptions,
  given: Partial<CloneEnvironment> = {},
): Promise<ConvergedClone> {
  const environment = cloneEnvironment(given);
  if (artifact.config.source.kind === 'aurora')
    return await convergeAurora(artifact, options, preparing(artifact, options, environment));
  const request = artifactRequest(artifact, options, environment.env);
  const { clone } = await namingPassword(request, () =>
    cloneOrTake(request, options.pool, environment, options.onClone),
  );
  return clone!;
}

/** What {@link converge} would do; changes nothing. */
export async function planConverge(
  artifact: Artifact,
  options: ArtifactConvergeOptions,
  given: Partial<CloneEnvironment> = {},
): Promise<ClonePlan> {
  const environment = cloneEnvironment(given);
  const { signal = new AbortController().signal, env } = environment;
  if (artifact.config.source.kind === 'aurora')
    return await planAurora(artifact, options, preparing(artifact, options, environment));
  const request = artifactRequest(artifact, options, env);
  return await namingPassword(request, async () => {
    await using server = await openCloneServer(request.on);
    return shownPlan(await planDatabase(request, server, env, signal));
  });
}

/** The URLs of an artifact hold no password, so that the usual hint would point at the wrong place. */
async function namingPassword<T>({ source, on }: DatabaseRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const none = source.connection.password === undefined || on.connection.password === undefined;
    if (!(error instanceof LongshoreError) || error.code !== 'DATABASE_DENIED' || !none) throw error;
    throw new LongshoreError(error.code, error.message, {
      hint: 'an artifact holds no password: give it as DB_PASSWORD, in ~/.pgpass or in ~/.my.cnf',
      context: error.context,
      cause: error,
    });
  }
}

/** Changelog and masks, before anyone is told where the clone is. */
function preparing(
  artifact: Artifact,
  { mode }: ConvergeOptions,
  environment: CloneEnvironment,
): CloneEnvironment {
  const { changelog, masking } = artifact;
  const check = (
    dialect: DatabaseUrl['dialect'],
    signal = new AbortController().signal,
  ): Promise<Finding[]> => checkFit(dialect, mode, artifact, environment.env, signal);
  const prepare = async (url: DatabaseUrl, signal = new AbortController().signal): Promise<void> => {
    if (mode === 'create') await applyTo(url, changelog, environment, signal);
    else await maskIn(url, masking, environment, signal);
  };
  return { ...environment, prepare, check };
}

type Env = Readonly<Record<string, string | undefined>>;

/** @throws URL_INVALID, CONFIG_INVALID */
function artifactRequest(
  { reference, config, changelog, masking }: Artifact,
  options: ArtifactConvergeOptions,
  env: Env,
): DatabaseRequest {
  const { mode, way, clientFolder, backups } = options;
  const { owner, jobs } = resolveOwnerAndJobs({ owner: options.owner, jobs: options.jobs });
  const sourceText = config.source.kind === 'database' ? config.source.url : '';
  const source = withPassword(parseDatabaseUrl(sourceText, env), env);
  const onText = options.on ?? config.targetUrl;
  const on = onText === undefined ? source : withPassword(parseDatabaseUrl(onText, env), env);
  checkSides(source, on);
  const created = mode === 'create' ? config.databaseName : undefined;
  return {
    mode,
    source,
    on,
    name: options.name ?? created ?? nameOf(reference, mode),
    ttlMs: options.ttlMs ?? config.ttlMs ?? TTL_MS_DEFAULT,
    owner,
    changelog,
    masking,
    way,
    jobs,
    clientFolder,
    noOwner: options.noOwner ?? false,
    compare: options.compare ?? false,
    backups,
  };
}

/** Where nothing else says it: an image is run with `DB_PASSWORD`. */
function withPassword(url: DatabaseUrl, env: Env): DatabaseUrl {
  const password = env['DB_PASSWORD'];
  if (url.connection.password !== undefined || !password) return url;
  return { ...url, connection: { ...url.connection, password: new Secret(password) } };
}

const NAME_CHARACTERS = 63;

/** `registry.example/team/shop-db:1.4` → `shop_db_clone` */
function nameOf(reference: string, mode: string): string {
  const [last = ''] = reference.split('/').slice(-1);
  const base = last
    .replace(/[:@].*$/, '')
    .replace(/[^a-z0-9]+/gi, '_')
    .replace(/^(\d|_)/, 'db_$1');
  return `${base.slice(0, NAME_CHARACTERS - mode.length - 1)}_${mode}`;
}
