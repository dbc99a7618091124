/** A move with exactly the printed rights, before a gate that holds to the conditions of the policy as AWS does. */

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { describeColumns } from './describe-columns.ts';
import { grantsFor } from './grants.ts';
import type { IamPolicy } from './iam-policy.ts';
import { move } from './run.ts';
import { type MoveOptions, resolveMoveOptions } from './settings.ts';

const FROM = 's3://legacy-s3/image/';
const TO = 's3://production-s3/avatar/';
const OBJECTS = 40;

/** Refuses listings whose prefix the policy does not allow. */
async function startGate(
  port: number,
  policy: IamPolicy,
): Promise<AsyncDisposable & { url: string; refused: string[] }> {
  const allowed = new Map(
    policy.Statement.filter(({ Action }) => Action.includes('s3:ListBucket')).map(
      ({ Resource, Condition }) => [
        Resource[0]!.replace('arn:aws:s3:::', ''),
        (Condition?.StringLike?.['s3:prefix'] ?? ['*']).map((pattern) => pattern.slice(0, -1)),
      ],
    ),
  );
  const refused: string[] = [];
  const server = createServer((message, response) => {
    const { pathname, searchParams } = new URL(message.url!, 'http://gate');
    const prefixes = allowed.get(pathname.split('/')[1]!) ?? [];
    const isListing = message.method === 'GET' && searchParams.has('list-type');
    if (isListing && !prefixes.some((prefix) => (searchParams.get('prefix') ?? '').startsWith(prefix))) {
      refused.push(message.url!);
      response.writeHead(403, { 'content-type': 'application/xml' });
      response.end('<Error><Code>AccessDenied</Code><Message>the prefix is not allowed</Message></Error>');
      return;
    }
    const { method, headers, url } = message;
    const onward = httpRequest({ host: '127.0.0.1', port, path: url, method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    message.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refused,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

describe('the least rights', () => {
  let postgres: PostgresServer;
  beforeAll(async () => {
    postgres = await postgresServer();
  });
  afterAll(() => postgres[Symbol.asyncDispose]());

  test.each([
    ['without markers', false, {}],
    ['with markers', true, {}],
    ['without tags and deletion', false, { tags: false, delete: 'never' }],
    ['driven by rows', false, { by: 'rows' }],
  ] as [string, boolean, Partial<MoveOptions>][])('are enough %s', async (_, probe, more) => {
    const database = await postgres.createDatabase();
    const role = `least_${database.name}`;
    await database.sql(`
      CREATE TABLE avatars (id bigserial PRIMARY KEY, path text, secret text);
      CREATE INDEX ON avatars (path);
      CREATE TABLE keyless (path text, secret text);
      INSERT INTO avatars (path) SELECT 'image/' || n || '.png' FROM generate_series(1, ${OBJECTS}) AS n;
      INSERT INTO keyless SELECT path FROM avatars;`);
    const options = { from: FROM, to: TO, delete: 'proven', ...more } as const;
    const rows = `${database.url}#avatars.path,keyless.path`;

    const settings = resolveMoveOptions({ ...options, rows });
    const { policy, sql } = grantsFor(settings, await describeColumns(settings, {}), { probe, role });
    const allow = policy.Statement.flatMap(({ Action, Resource }) =>
      Action.flatMap((action) => Resource.map((resource) => ({ action, resource }))),
    );
    await using s3 = await startS3Server({
      buckets: ['legacy-s3', 'production-s3'],
      policies: [{ accessKeyId: 'least', secretAccessKey: 'least-secret', allow }],
    });
    await using gate = await startGate(s3.port, policy);
    const env = { AWS_ENDPOINT_URL: gate.url, AWS_REGION: 'us-east-1' };
    const least = { ...env, AWS_ACCESS_KEY_ID: 'least', AWS_SECRET_ACCESS_KEY: 'least-secret' };
    const owner = {
      ...env,
      AWS_ENDPOINT_URL: s3.url,
      AWS_ACCESS_KEY_ID: s3.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    };
    await using legacy = await openStore(parseStoreUrl(FROM), { env: owner, clock: systemClock });
    await using production = await openStore(parseStoreUrl(TO), { env: owner, clock: systemClock });
    for (let n = 1; n <= OBJECTS; n++) {
      await legacy.store.put({
        key: `image/${n}.png`,
        body: Buffer.from(`${n}`),
        sizeBytes: Buffer.byteLength(`${n}`),
        attributes: { metadata: {} },
        tags: [{ key: 'kept', value: `${n}` }],
        ifAbsent: false,
      });
    }
    const stateFolder = mkdtempSync(join(tmpdir(), 'longshore-grants-'));
    try {
      for (const statement of sql[0]!.statements)
        await database.sql(statement.replace('<password>', 'least'));
      const own = new URL(database.url);
      [own.username, own.password] = [role, 'least'];
      const summary = await move(
        { ...options, rows: `${own.href}#avatars.path,keyless.path` },
        { env: least, stateFolder },
      );
      expect(summary.failed).toEqual([]);
      expect(summary.failures).toBe(0);
      expect(gate.refused).toEqual([]);
      expect(summary.total.rows.rewritten).toBe(2 * OBJECTS);
      const tags = await production.store.tags('avatar/7.png');
      expect(tags).toEqual(options.tags === false ? [] : [{ key: 'kept', value: '7' }]);
      const left = await legacy.store.list({ prefix: '' });
      expect(left.objects.length).toBe(options.delete === 'never' ? OBJECTS : 0);
    } finally {
      rmSync(stateFolder, { recursive: true, force: true });
      await database.sql(`DROP OWNED BY "${role}"; DROP ROLE "${role}"`);
    }
  });
});
