/**
 * The demo of `clone`: a PostgreSQL with a shop, an artifact of it, a masked clone and a fresh one from that artifact, what
 * differs between source and clone, one out of a pool, and how they end.
 */

import { parseDatabaseUrl } from '../config/database-url.ts';
import { compareFacts, rowsIn } from '../databases/compare-facts.ts';
import type { DumpFacts } from '../databases/dump.ts';
import { findLiquibase } from '../databases/liquibase/find-liquibase.ts';
import { createDatabase, withDatabase } from '../databases/make-database.ts';
import { openRestoreTarget } from '../databases/open-dump.ts';
import { openSession } from '../databases/postgres/open-session.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { LongshoreError } from '../errors.ts';
import { systemClock } from '../flow/clock.ts';
import type { Artifact } from '../jobs/clone/artifact.ts';
import { artifactOf, filesOf } from '../jobs/clone/artifact-files.ts';
import { type BuiltArtifact, buildArtifact } from '../jobs/clone/build.ts';
import type { ConvergedClone } from '../jobs/clone/clone.ts';
import { converge } from '../jobs/clone/converge.ts';
import { fillPool, takeFromPool } from '../jobs/clone/database/clone-pool.ts';
import {
  dropServerClone,
  listServerClones,
  type Swept,
  sweepServerClones,
} from '../jobs/clone/database/server-clones.ts';
import type { EmitClone } from '../jobs/clone/events.ts';
import { openArtifact } from '../jobs/clone/open-artifact.ts';
import { requestOf, resolveCloneOptions } from '../jobs/clone/options.ts';
import { readInput } from '../jobs/clone/read-input.ts';
import { writeCloneDemoArtifact } from './clone-demo-artifact.ts';
import { shopSample } from './shop-sample.ts';

export interface CloneDemoOptions {
  /** Of the artifact, and of what it is built from. */
  readonly folder: string;
  readonly say: (line: string) => void;
  readonly emit: EmitClone;
  readonly signal: AbortSignal;
}

export interface CloneDemoResult {
  /** Undefined where no image can be built: the Node.js of this machine is for another system than Linux. */
  readonly artifact: BuiltArtifact | undefined;
  readonly clone: ConvergedClone;
  /** Asked for once more. */
  readonly again: ConvergedClone;
  readonly source: { readonly tables: number; readonly rows: number; readonly objects: number };
  /** Between source and clone. */
  readonly differences: readonly string[];
  /** The fresh one, with the tables of its changelog; undefined where Liquibase cannot be run here. */
  readonly created: { readonly clone: ConvergedClone; readonly tables: readonly string[] } | undefined;
  /** What is missing for it. */
  readonly notCreated: string | undefined;
  readonly pooled: ConvergedClone | undefined;
  readonly dropped: string;
  readonly swept: readonly Swept[];
  /** Clones that are left in the end. */
  readonly left: readonly string[];
}

const TAG = 'shop-db:1';
const LATER_MS = 24 * 3_600_000;

/** Runs the whole demo; everything it starts is stopped when it resolves. */
export async function runCloneDemo({
  folder,
  say,
  emit,
  signal,
}: CloneDemoOptions): Promise<CloneDemoResult> {
  say('starting a PostgreSQL …');
  await using postgres = await startPostgres();
  const server = parseDatabaseUrl(postgres.url, {});
  const shop = withDatabase(server, 'shop');
  await createDatabase(server, 'shop');
  say(`loading ${shopSample.title} …`);
  {
    const doing = { action: 'load the shop', database: 'shop', user: shop.connection.user };
    await using session = await openSession(shop.connection, { doing });
    await shopSample.load(session, signal);
  }
  const facts = async (database: string): Promise<DumpFacts> => {
    await using target = await openRestoreTarget(withDatabase(server, database), {});
    return await target.facts({ tables: [], sequences: {}, objects: [], largeObjects: 0 }, signal);
  };

  const env = { ...process.env, DB_PASSWORD: shop.connection.password?.reveal() };
  const images = { env, store: `${folder}/artifacts`, signal };
  const config = writeCloneDemoArtifact(folder, shop.name);
  let built: BuiltArtifact | undefined;
  let artifact: Artifact;
  if (process.platform === 'linux') {
    say(`building the artifact ${TAG} …`);
    built = await buildArtifact({ config, tag: TAG }, { ...images, emit });
    artifact = await openArtifact(TAG, images);
  } else {
    const { configuration, changelog } = filesOf(await readInput(config, signal));
    artifact = artifactOf(new Map([...configuration, ...changelog]), TAG, undefined);
  }

  const environment = { env, signal, emit };
  say('converging it: a clone, masked …');
  const clone = await converge(artifact, { mode: 'clone' }, environment);
  const again = await converge(artifact, { mode: 'clone' }, environment);
  const [was, is] = [await facts('shop'), await facts(clone.name)];

  const notCreated = await whyNoLiquibase();
  let created: CloneDemoResult['created'];
  if (notCreated === undefined) {
    say('converging it: a fresh one, with its changelog …');
    const fresh = await converge(artifact, { mode: 'create' }, environment);
    const { tables } = await facts(fresh.name);
    const own = tables.map(({ name }) => name).filter((name) => !name.startsWith('databasechangelog'));
    created = { clone: fresh, tables: own };
  }

  say('filling a pool, and taking one out …');
  const request = requestOf(
    resolveCloneOptions({ from: postgres.url.replace(/\/postgres$/, '/shop'), pool: 1 }),
    { changelog: undefined, masking: artifact.masking, backups: undefined },
    env,
  );
  await fillPool(request, 1, environment);
  const pooled = await takeFromPool({ ...request, name: 'shop_test' }, environment);

  say('dropping one, and sweeping as if a day had passed …');
  await dropServerClone(server, clone.name);
  const clock = { ...systemClock, now: () => Date.now() + LATER_MS };
  const swept = await sweepServerClones(server, {}, { clock, signal });
  return {
    artifact: built,
    clone,
    again,
    source: { tables: was.tables.length, rows: rowsIn(was), objects: was.objects.length },
    differences: compareFacts(was, is),
    created,
    notCreated,
    pooled,
    dropped: clone.name,
    swept,
    left: (await listServerClones(server)).filter(({ state }) => state !== 'pooled').map(({ name }) => name),
  };
}

async function whyNoLiquibase(): Promise<string | undefined> {
  try {
    await findLiquibase([], {});
    return undefined;
  } catch (error) {
    if (!(error instanceof LongshoreError)) throw error;
    return [error.message, error.hint].filter((text) => text !== undefined).join('; ');
  }
}
