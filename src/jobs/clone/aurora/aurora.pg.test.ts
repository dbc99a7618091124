/** Clones of an Aurora cluster, on moto with what it does not model before it, and a PostgreSQL to log in to. */

import {
  CreateDBInstanceCommand,
  DeleteDBInstanceCommand,
  ModifyDBClusterCommand,
  RestoreDBClusterToPointInTimeCommand,
} from '@aws-sdk/client-rds';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type AuroraWorld,
  artifactOf,
  INI,
  startAuroraWorld,
} from '../../../../test/servers/aurora-world.ts';
import { motoAvailable } from '../../../../test/servers/moto.ts';
import { type DatabaseUrl, parseDatabaseUrl } from '../../../config/database-url.ts';
import { Secret } from '../../../config/secret.ts';
import { LongshoreError } from '../../../errors.ts';
import type { ClonePlan, ConvergedClone } from '../clone.ts';
import { planConverge } from '../converge.ts';
import { convergeAurora } from './converge.ts';
import { dropAurora, listAurora, sweepAurora } from './keep.ts';
import { planAurora } from './plan.ts';
import { clonePolicies, type IamPolicy } from './policy.ts';

const CLONE = { mode: 'clone', name: 'shop-test' } as const;
const policies = clonePolicies({
  partition: 'aws',
  region: 'eu-central-1',
  account: '123456789012',
  source: 'arn:aws:rds:eu-central-1:123456789012:cluster:shop',
});
const CHANGES = /^(?:Create|Delete|Update|Modify|Restore|Add|Remove|Authorize|Revoke|Put|Tag|Start|Stop)/;

describe.runIf(motoAvailable())('Aurora', () => {
  let world: AuroraWorld;
  let before: string[];
  beforeAll(async () => {
    world = await startAuroraWorld();
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    await world.reset();
    name = CLONE.name;
    before = await world.resources();
    world.proxy.log.length = 0;
    world.proxy.actions.clear();
  });

  const changes = (): string[] => world.proxy.log.filter((operation) => CHANGES.test(operation));
  const textsOf = (plan: ClonePlan, kind: string): string =>
    plan.findings
      .filter((finding) => finding.kind === kind)
      .map(({ text }) => text)
      .join('\n');

  const beyond = (policy: IamPolicy): string[] => {
    const allowed = new Set(policy.Statement.flatMap(({ Action }) => Action));
    // Everybody may ask who they are.
    return [...world.proxy.actions].filter((one) => !allowed.has(one) && one !== 'sts:GetCallerIdentity');
  };

  /** Moto makes no cluster of a name that it had a minute ago. */
  let name: string = CLONE.name;
  let names = 0;
  const dropped = async (signal?: AbortSignal): Promise<void> =>
    dropAurora(name, world.environment(signal === undefined ? {} : { signal }));
  const resourcesOfAnyName = async () =>
    (await world.resources()).map((one) => one.replace(name, CLONE.name)).sort();

  const converged = async (given: Parameters<AuroraWorld['environment']>[0] = {}, ini = INI) =>
    convergeAurora(artifactOf(ini), { ...CLONE, name }, world.environment(given));

  test('a clone is planned, made, used again, listed and dropped', async () => {
    const environment = world.environment();
    const plan = await planAurora(artifactOf(), CLONE, environment);
    expect(textsOf(plan, 'problem')).toBe('');
    expect(plan).toMatchObject({ name: 'shop-test', how: 'Aurora clone', costADay: 6.96 });
    expect(plan.makes.join('\n')).toContain('cluster shop-test, copy-on-write of shop');
    expect(changes()).toEqual([]);

    const clone = await convergeAurora(artifactOf(), CLONE, environment);
    expect(clone).toMatchObject({
      existed: false,
      host: 'shop-test.cluster.example.test',
      port: 5432,
      database: 'shop',
      url: 'postgres://master@shop-test.cluster.example.test:5432/shop',
      stackName: 'longshore-shop-test',
      owner: 'moto',
    });
    const password = clone.password!.reveal();
    expect(password).toMatch(/^[\w-]{32}$/);
    expect(JSON.stringify([clone, environment.events])).not.toContain(password);
    expect(environment.events).toContainEqual({
      type: 'step',
      what: 'Cluster (AWS::RDS::DBCluster)',
      state: 'CREATE_COMPLETE',
      reason: undefined,
    });
    const hours = (Date.parse(clone.expiresAt!) - Date.now()) / 3_600_000;
    expect(Math.round(hours)).toBe(8);
    expect(beyond(policies.converge)).toEqual([]);
    world.proxy.actions.clear();
    await world.tellVolume('shop', 7e9);
    await world.tellVolume('shop-test', 123_456_789);
    world.proxy.actions.clear();
    expect(await listAurora(world.environment())).toMatchObject([
      {
        name: 'shop-test',
        kind: 'stack',
        source: 'shop',
        mode: 'clone',
        owner: 'moto',
        state: 'ready',
        costSoFar: 0,
        bytes: 123_456_789,
      },
    ]);
    expect(beyond(policies.sweep)).toEqual([]);
    world.proxy.world.errors.set('GetMetricData', { status: 400, code: 'AccessDeniedException', times: 1 });
    const unsized = world.environment();
    expect(await listAurora(unsized)).toMatchObject([{ name: 'shop-test', bytes: undefined }]);
    expect(unsized.events).toContainEqual({
      type: 'notice',
      text: expect.stringContaining('sizes are not known: AWS refuses cloudwatch:GetMetricData'),
    });
    world.proxy.actions.clear();

    world.proxy.log.length = 0;
    const again = await converged();
    expect(again).toMatchObject({ existed: true, url: clone.url, expiresAt: clone.expiresAt });
    expect(again.password).toBeUndefined();
    expect(changes()).toEqual([]);

    expect(beyond(policies.converge)).toEqual([]);

    const env = { ...environment.env, DB_PASSWORD: 'chosen-by-me' };
    expect((await converged({ env })).password).toBeUndefined();
    expect((await converged({ env })).existed).toBe(true);
    expect(changes()).toEqual(['ModifyDBCluster', 'AddTagsToResource']);

    world.proxy.actions.clear();
    await dropAurora('shop-test', world.environment());
    expect(beyond(policies.sweep)).toEqual([]);
    expect(await world.resources()).toEqual(before);
    await expect(dropAurora('shop-test', world.environment())).rejects.toMatchObject({
      code: 'CHECK_FAILED',
    });
  });

  test('what is paid by its capacity costs between the least and the most of it', async () => {
    const ini = INI.replace(/instance_type = .*/, 'instance_type = db.serverless');
    const plan = await planAurora(artifactOf(ini), CLONE, world.environment());
    expect(plan.costADay).toBe(3.48);
    expect(textsOf(plan, 'ok')).toContain(
      'db.serverless costs $3.48 a day while it does little, up to $55.68',
    );
    expect(plan.makes.join('\n')).toContain('instance db.serverless of 0.5 to 8 ACU');
  });

  test('an empty cluster has a database, a user and an end of its own', async () => {
    const prepared: string[] = [];
    const clone = await convergeAurora(
      artifactOf(`${INI}database_name = empty_shop\n[tags]\nteam = data`),
      { mode: 'create', username: 'master', owner: 'fred', ttlMs: 0 },
      world.environment({ prepare: async (url) => void prepared.push(url.connection.database) }),
    );
    expect(clone).toMatchObject({
      name: 'shop-db-create-fred',
      database: 'empty_shop',
      expiresAt: undefined,
    });
    expect(prepared).toEqual(['empty_shop']);
    expect(await world.resources()).toContain('cluster shop-db-create-fred');
  });

  test('everything that is wrong is told at once, and nothing is changed', async () => {
    const { proxy, rds, subnetIds } = world;
    await rds.send(new DeleteDBInstanceCommand({ DBInstanceIdentifier: 'shop-1', SkipFinalSnapshot: true }));
    proxy.world.quotas.set('L-952B80B8', 1);
    proxy.world.deniedActions.add('rds:RestoreDBClusterToPointInTime');
    // The zones of the first two subnets have other ids than those that the source is in.
    proxy.world.rewrites.set('DescribeSubnets', (body) => {
      const isTarget = !body.includes(subnetIds[2]!);
      return isTarget ? body.replace(/<availabilityZoneId>.*?</g, '<availabilityZoneId>euc1-az9<') : body;
    });
    proxy.log.length = 0;
    const target = `subnet_ids = ${subnetIds[0]}, ${subnetIds[1]}\nkms_key_id = alias/none`;
    const ini = INI.replace('subnet_ids = source', target).replace('db.r6g.large', 'db.x9.huge');
    const environment = world.environment();
    const env = { ...environment.env, DB_PASSWORD: 'a"b' };
    const wrong = { mode: 'clone', name: 'shop--test-', stackName: '1' } as const;
    const plan = await planAurora(artifactOf(ini), wrong, { ...environment, env });
    const problems = textsOf(plan, 'problem');
    for (const text of [
      'the name "shop--test-" holds two hyphens',
      'the stack’s name "1"',
      'shop has no instance',
      'one zone, euc1-az9',
      'the subnets are in euc1-az9, and the source’s in euc1-az',
      'there is no db.x9.huge for aurora-postgresql 14.6 in eu-central-1',
      'has 1 clusters in eu-central-1, and 1 is its quota',
      'may not rds:RestoreDBClusterToPointInTime',
      'there is no key alias/none',
      'DB_PASSWORD is not what RDS takes',
    ])
      expect(problems).toContain(text);
    expect(problems).not.toContain('a"b');
    const stopped = convergeAurora(artifactOf(ini), wrong, { ...environment, env });
    await expect(stopped).rejects.toMatchObject({ code: 'CHECK_FAILED', context: {} });
    await expect(stopped).rejects.toThrow('shop has no instance');
    expect(changes()).toEqual([]);
    const gone = INI.replace('id = shop', 'id = sohp');
    expect(textsOf(await planAurora(artifactOf(gone), CLONE, environment), 'problem')).toContain(
      'no cluster sohp',
    );
  });

  test('what may not be asked is a warning where it can be done without, and a problem where not', async () => {
    const { errors } = world.proxy.world;
    const denied = { status: 403, code: 'AccessDenied', times: 99 };
    for (const operation of ['GetServiceQuota', 'GetProducts', 'SimulatePrincipalPolicy'])
      errors.set(operation, { ...denied, code: 'AccessDeniedException' });
    const plan = await planAurora(artifactOf(), CLONE, world.environment());
    expect(textsOf(plan, 'problem')).toBe('');
    expect(textsOf(plan, 'warning')).toContain('servicequotas:GetServiceQuota');
    expect(plan.costADay).toBeUndefined();
    errors.set('DescribeDBClusters', denied);
    const blind = await planAurora(artifactOf(), CLONE, world.environment());
    expect(blind.findings.find(({ kind }) => kind === 'problem')).toMatchObject({
      hint: expect.stringContaining('allow rds:DescribeDBClusters'),
    });
    const environment = world.environment();
    const env = { ...environment.env, AWS_REGION: '' };
    await expect(planAurora(artifactOf(), CLONE, { ...environment, env })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  test('a changelog or masking rules that cannot be read are told before anything is made', async () => {
    const environment = world.environment();
    const changelog = {
      entry: 'c.sql',
      files: [{ path: 'c.sql', bytes: Buffer.from('--liquibase formatted sql\n--changeset') }],
    };
    for (const [mode, part, text] of [
      ['create', { changelog }, /Liquibase|changelog/],
      ['clone', { masking: 'columns: [' }, /masking rules/],
    ] as const) {
      const plan = await planConverge({ ...artifactOf(), ...part }, { mode, name: CLONE.name }, environment);
      expect(textsOf(plan, 'problem')).toMatch(text);
    }
    expect(changes()).toEqual([]);
  });

  test('throttling is waited out', async () => {
    for (const operation of ['DescribeStacks', 'CreateStack', 'ModifyDBCluster'])
      world.proxy.world.errors.set(operation, { status: 400, code: 'Throttling', times: 1 });
    await converged();
    expect((await world.resources()).filter((one) => one.startsWith('cluster'))).toHaveLength(2);
  });

  test('the 16th clone is a warning before, and a full copy is an error after', async () => {
    for (let i = 0; i < 15; i++)
      await world.rds.send(
        new RestoreDBClusterToPointInTimeCommand({
          DBClusterIdentifier: `sibling-${i}`,
          SourceDBClusterIdentifier: 'shop',
          RestoreType: 'copy-on-write',
          UseLatestRestorableTime: true,
        }),
      );
    const environment = world.environment();
    const failed = convergeAurora(artifactOf(), CLONE, environment);
    await expect(failed).rejects.toMatchObject({
      code: 'RUN_INCOMPLETE',
      hint: expect.stringContaining('longshore clone drop shop-test'),
      context: { changed: true },
    });
    await expect(failed).rejects.toThrow('full copy of shop');
    expect(JSON.stringify(environment.events)).toContain('shares its storage with 15 clones');
    // Again, it is not taken for a good one.
    await expect(converged()).rejects.toThrow('full copy of shop');
    expect(world.proxy.log).not.toContain('ModifyDBCluster');
    expect(await listAurora(world.environment())).toMatchObject([{ state: 'making' }]);
  });

  test('an answer without a clone group proves nothing', async () => {
    world.proxy.world.rewrites.set('DescribeDBClusters', (body) =>
      body.replace(/<CloneGroupId>.*?<\/CloneGroupId>/g, ''),
    );
    await expect(converged()).rejects.toThrow('full copy of shop');
  });

  test('a stack that failed tells why, and is made again', async () => {
    world.proxy.world.failNextStack = 'The KMS key is disabled';
    const failed = converged();
    await expect(failed).rejects.toMatchObject({
      code: 'RUN_INCOMPLETE',
      context: { status: 'ROLLBACK_COMPLETE' },
    });
    await expect(failed).rejects.toThrow(
      'make Cluster (AWS::RDS::DBCluster) of the stack longshore-shop-test: The KMS',
    );
    expect(await listAurora(world.environment())).toMatchObject([{ state: 'failed' }]);
    expect(await converged()).toMatchObject({ existed: false });
    await dropAurora('shop-test', world.environment());
    expect(await world.resources()).toEqual(before);
  });

  test('a stack of somebody else, or of other content, is left alone', async () => {
    await converged();
    world.proxy.log.length = 0;
    const foreign = convergeAurora(artifactOf(), { ...CLONE, owner: 'eve' }, world.environment());
    await expect(foreign).rejects.toThrow('the clone shop-test belongs to moto');
    const other = converged({}, INI.replace('db.r6g.large', 'db.r6g.xlarge'));
    await expect(other).rejects.toThrow('was made from another configuration');
    await expect(other).rejects.toMatchObject({ code: 'CHECK_FAILED' });
    const taken = convergeAurora(
      artifactOf(),
      { ...CLONE, name: 'shop', stackName: 'x' },
      world.environment(),
    );
    await expect(taken).rejects.toThrow('there is a cluster shop already');
    expect(changes()).toEqual([]);
  });

  test('another artifact is no reason to hand out the clone of the first', async () => {
    await converged();
    world.proxy.log.length = 0;
    const masked = { ...artifactOf(), contentDigest: `sha256:${'ef'.repeat(32)}`, masking: 'rules: []' };
    const other = convergeAurora(masked, { ...CLONE, name }, world.environment());
    await expect(other).rejects.toThrow('was made from another artifact');
    expect(changes()).toEqual([]);
  });

  test('before it is masked nobody can log in, not even with DB_PASSWORD', async () => {
    const masked = { ...artifactOf(), masking: 'rules: []' };
    const environment = world.environment();
    const env = { ...environment.env, DB_PASSWORD: 'chosen-by-me' };
    const opens = (url: DatabaseUrl) => {
      const connection = { ...url.connection, password: new Secret('chosen-by-me') };
      return environment.login!({ ...url, connection }).then(
        () => true,
        () => false,
      );
    };
    let clone: DatabaseUrl | undefined;
    const prepare = async (url: DatabaseUrl) => {
      clone = url;
      expect(await opens(url)).toBe(false);
      throw new Error('a rule that fails');
    };
    const options = { ...CLONE, name };
    await expect(convergeAurora(masked, options, { ...environment, env, prepare })).rejects.toThrow('a rule');
    expect(await opens(clone!)).toBe(false);
    await convergeAurora(masked, options, { ...environment, env, prepare: async () => {} });
    expect(await opens(clone!)).toBe(true);
  });

  test('where another run set the password meanwhile, none is told that opens nothing', async () => {
    let other: Promise<ConvergedClone> | undefined;
    const prepare = async () => {
      other = converged();
      await other;
    };
    await expect(converged({ prepare })).rejects.toMatchObject({
      code: 'RUN_INCOMPLETE',
      message: expect.stringContaining('another password'),
    });
    const { url, password } = (await other)!;
    const { connection, ...rest } = parseDatabaseUrl(url, {});
    await world.environment().login!({ ...rest, connection: { ...connection, password: password! } });
  });

  test('from another address, one rule changes', async () => {
    await converged();
    world.proxy.log.length = 0;
    const moved = { callerAddress: async () => '198.51.100.9' };
    expect(await converged(moved)).toMatchObject({ existed: true });
    expect(changes()).toEqual(['UpdateStack']);
    await converged(moved);
    expect(changes()).toEqual(['UpdateStack']);
    const nowhere = planAurora(
      artifactOf(),
      CLONE,
      world.environment({ callerAddress: async () => '<html>' }),
    );
    expect(textsOf(await nowhere, 'problem')).toContain('the address of this machine could not be found out');
    const wrong = planAurora(artifactOf(), { ...CLONE, clientCidr: '203.0.113.300/32' }, world.environment());
    expect(textsOf(await wrong, 'problem')).toContain('"203.0.113.300/32" is no range of addresses');
  });

  /** Kills `run` before and after each call from the first of one operation to that of another, and has it ended. */
  const killedAnywhere = async (
    span: { readonly from: string; readonly to?: string },
    prepared: () => Promise<void>,
    run: (signal?: AbortSignal) => Promise<unknown>,
    ended: (about: string) => Promise<void>,
  ): Promise<void> => {
    await prepared();
    world.proxy.log.length = 0;
    await run();
    const first = world.proxy.log.indexOf(span.from) + 1;
    const last = span.to === undefined ? world.proxy.log.length : world.proxy.log.indexOf(span.to) + 1;
    expect(first).toBeGreaterThan(0);
    expect(last).toBeGreaterThan(first);
    await ended('not killed');
    for (let nth = first; nth <= last; nth++)
      for (const moment of ['before', 'after'] as const) {
        await prepared();
        const controller = new AbortController();
        world.proxy.killAt(nth, moment, () => controller.abort(new Error('killed')));
        const about = `killed ${moment} call ${nth} of ${last}`;
        await expect(run(controller.signal), about).rejects.toThrow('killed');
        world.proxy.revive();
        await ended(about);
      }
  };

  test('killed between any two calls and run again, there is one clone and nothing else', async () => {
    await converged();
    const clean = await resourcesOfAnyName();
    await dropped();
    let prepared = 0;
    const prepare = async () => void prepared++;
    const run = (signal?: AbortSignal) => converged({ prepare, ...(signal === undefined ? {} : { signal }) });
    const renamed = async () => {
      name = `killed-${++names}`;
      prepared = 0;
    };
    const ended = async (about: string) => {
      const clone = await run();
      expect(await resourcesOfAnyName(), about).toEqual(clean);
      expect(await listAurora(world.environment()), about).toMatchObject([{ state: 'ready' }]);
      // Only what was marked as ready, and so was handed out but for the last answer, is not done again.
      expect(prepared, about).toBeGreaterThan(0);
      expect(clone.password !== undefined || prepared === 1, about).toBe(true);
      await dropped();
      expect(await world.resources(), about).toEqual(before);
    };
    await killedAnywhere({ from: 'CreateStack' }, renamed, run, ended);
    const failed = async () => {
      await renamed();
      world.proxy.world.failNextStack = 'no room';
      await expect(run()).rejects.toThrow('no room');
    };
    await killedAnywhere({ from: 'DeleteStack', to: 'CreateStack' }, failed, run, ended);
  }, 300_000);

  test('a drop that was killed anywhere is ended by the next', async () => {
    const ini = `${INI}deletion_protection = yes`;
    const made = async () => {
      name = `dropped-${++names}`;
      await converged({}, ini);
    };
    await killedAnywhere({ from: 'ModifyDBCluster' }, made, dropped, async (about) => {
      // Where only the last answer was lost, there is none any more.
      const again = await dropped().then(
        () => 'dropped',
        (error: LongshoreError) => error.message,
      );
      expect(again, about).toMatch(/^dropped$|there is no clone/);
      expect(await world.resources(), about).toEqual(before);
    });
  }, 300_000);

  test('a sweep takes what is over, with the protection that is ours, and nothing else', async () => {
    const make = (name: string, ttlMs: number, ini = INI) =>
      convergeAurora(artifactOf(ini), { mode: 'clone', name, ttlMs }, world.environment());
    const isProtected = `${INI}deletion_protection = yes`;
    await make('short', 60_000, isProtected);
    await make('long', 86_400_000);
    await make('endless', 0);
    await make('held', 60_000);
    await world.rds.send(
      new ModifyDBClusterCommand({ DBClusterIdentifier: 'held', DeletionProtection: true }),
    );
    const environment = world.environment();
    const now = Date.now() + 3_600_000;
    const swept = await sweepAurora(environment, { now });
    expect(swept).toMatchObject({
      dropped: ['short'],
      failed: [{ name: 'held', why: expect.stringContaining('not by Longshore') }],
    });
    const left = (await listAurora(environment)).map(({ name }) => name);
    expect(left).toEqual(['long', 'endless', 'held']);
    expect(await world.resources()).toEqual(expect.arrayContaining(before));
    await expect(dropAurora('held', environment)).rejects.toBeInstanceOf(LongshoreError);
    expect((await sweepAurora(environment, { now: Date.now() })).dropped).toEqual([]);
  });

  test('some of our tags on what is not ours are not enough for a sweep', async () => {
    const { proxy } = world;
    await convergeAurora(artifactOf(), { ...CLONE, name, ttlMs: 60_000 }, world.environment());
    proxy.log.length = 0;
    const now = Date.now() + 3_600_000;
    const fakes: ((body: string) => string)[] = [
      (body) => body.replaceAll('longshore:source', 'source'),
      (body) => body.replaceAll('longshore:artifact', 'artifact'),
      (body) => body.replaceAll('longshore:owner', 'owner').replaceAll('longshore:mode', 'mode'),
      (body) => body.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z(?=<\/Value>)/g, '2'),
      (body) => body.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z(?=<\/Value>)/g, 'yesterday'),
    ];
    for (const fake of fakes) {
      proxy.world.rewrites.set('DescribeStacks', fake);
      expect(await sweepAurora(world.environment(), { now })).toEqual({ dropped: [], failed: [] });
    }
    expect(changes()).toEqual([]);
    proxy.world.rewrites.clear();
    expect(await sweepAurora(world.environment(), { now })).toEqual({ dropped: [name], failed: [] });
  });

  test('clones of a clone are named', async () => {
    await converged();
    await world.rds.send(
      new CreateDBInstanceCommand({
        DBInstanceIdentifier: 'x',
        DBClusterIdentifier: 'shop-test',
        DBInstanceClass: 'db.r6g.large',
        Engine: 'aurora-postgresql',
      }),
    );
    const ini = INI.replace('id = shop', 'id = shop-test');
    await convergeAurora(artifactOf(ini), { mode: 'clone', name: 'grandchild' }, world.environment());
    await world.rds.send(new DeleteDBInstanceCommand({ DBInstanceIdentifier: 'x', SkipFinalSnapshot: true }));
    const environment = world.environment();
    await dropAurora('shop-test', environment);
    expect(JSON.stringify(environment.events)).toContain('grandchild was cloned from shop-test');
  });
});
