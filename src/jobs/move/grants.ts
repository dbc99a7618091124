/** The least rights a move needs: an IAM policy for the buckets, SQL for the table. */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import type { ColumnFacts } from '../../databases/database.ts';
import { LongshoreError } from '../../errors.ts';
import type { MoveSettings } from './settings.ts';

/** A statement of an IAM policy. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html */
export interface PolicyStatement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Readonly<Record<string, unknown>>;
}

export interface Grants {
  /** Undefined where neither side is S3. */
  readonly policy:
    | { readonly Version: '2012-10-17'; readonly Statement: readonly PolicyStatement[] }
    | undefined;
  /** Statements that make the role and grant it what it needs, in order. */
  readonly sql: readonly string[];
}

export interface GrantOptions {
  /** Also allow the marker objects by which conditions are probed. */
  readonly probe?: boolean | undefined;
  /** What the catalogue says of the columns; without it the key columns are left to be filled in. */
  readonly columns?: readonly ColumnFacts[] | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

const ROLE = 'longshore';

/** @throws URL_INVALID */
export function grantsFor(settings: MoveSettings, options: GrantOptions = {}): Grants {
  const statements = [...sourceStatements(settings), ...targetStatements(settings)];
  if (options.probe === true) statements.push(...probeStatements(settings));
  return {
    policy: statements.length === 0 ? undefined : { Version: '2012-10-17', Statement: statements },
    sql: settings.rows.flatMap((url) => sqlFor(url, options)),
  };
}

function sourceStatements(settings: MoveSettings): PolicyStatement[] {
  const url = parseStoreUrl(settings.from);
  if (url.kind !== 's3') return [];
  const actions = ['s3:GetObject'];
  if (settings.tags) actions.push('s3:GetObjectTagging');
  if (settings.acl) actions.push('s3:GetObjectAcl');
  if (settings.delete !== 'never') actions.push('s3:DeleteObject');
  return [
    listStatement('ListSource', url.bucket, url.prefix),
    allow('ReadAndDeleteSource', actions, url.bucket, `${url.prefix}*`),
  ];
}

function targetStatements(settings: MoveSettings): PolicyStatement[] {
  const url = parseStoreUrl(settings.to);
  if (url.kind !== 's3') return [];
  const actions = ['s3:PutObject', 's3:GetObject', 's3:AbortMultipartUpload'];
  if (settings.tags) actions.push('s3:PutObjectTagging');
  if (settings.acl) actions.push('s3:PutObjectAcl');
  return [
    listStatement('ListTarget', url.bucket, url.prefix),
    allow('WriteTarget', actions, url.bucket, `${url.prefix}*`),
  ];
}

function listStatement(sid: string, bucket: string, prefix: string): PolicyStatement {
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: ['s3:ListBucket'],
    Resource: [`arn:aws:s3:::${bucket}`],
    ...(prefix === '' ? {} : { Condition: { StringLike: { 's3:prefix': [`${prefix}*`] } } }),
  };
}

function probeStatements(settings: MoveSettings): PolicyStatement[] {
  return [settings.from, settings.to].flatMap((text, i) => {
    const url = parseStoreUrl(text);
    if (url.kind !== 's3') return [];
    const actions = [
      's3:PutObject',
      's3:GetObject',
      's3:DeleteObject',
      's3:PutObjectTagging',
      's3:GetObjectTagging',
    ];
    return [
      allow(i === 0 ? 'ProbeSource' : 'ProbeTarget', actions, url.bucket, `${url.prefix}.longshore-probe-*`),
    ];
  });
}

function allow(Sid: string, Action: readonly string[], bucket: string, keys: string): PolicyStatement {
  return { Sid, Effect: 'Allow', Action, Resource: [`arn:aws:s3:::${bucket}/${keys}`] };
}

function sqlFor(text: string, options: GrantOptions): string[] {
  const url = parseDatabaseUrl(text, options.env ?? {});
  if (url.columns.length === 0) {
    throw new LongshoreError('URL_INVALID', `${url.name} names no column`, {
      hint: 'add it behind a #: …/database#table.column',
    });
  }
  const quote = url.dialect === 'postgres' ? doubleQuoted : backQuoted;
  const grantee = url.dialect === 'postgres' ? ROLE : `'${ROLE}'@'%'`;
  const statements =
    url.dialect === 'postgres'
      ? [
          `CREATE ROLE ${ROLE} LOGIN PASSWORD '…';`,
          `GRANT CONNECT ON DATABASE ${quote(url.connection.database)} TO ${ROLE};`,
        ]
      : [`CREATE USER ${grantee} IDENTIFIED BY '…';`];
  for (const ref of url.columns) {
    const facts = options.columns?.find(
      ({ ref: known }) => known.table === ref.table && known.column === ref.column,
    );
    const schema = facts?.ref.schema ?? ref.schema;
    const table = schema === undefined ? quote(ref.table) : `${quote(schema)}.${quote(ref.table)}`;
    const keys = facts === undefined ? ['…key columns'] : facts.primaryKey.map(({ name }) => quote(name));
    const read = [...new Set([...keys, quote(ref.column)])].join(', ');
    if (url.dialect === 'postgres' && schema !== undefined) {
      statements.push(`GRANT USAGE ON SCHEMA ${quote(schema)} TO ${ROLE};`);
    }
    statements.push(`GRANT SELECT (${read}), UPDATE (${quote(ref.column)}) ON ${table} TO ${grantee};`);
  }
  return statements;
}

/** Names that need no quotes are left without them. */
function doubleQuoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

function backQuoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/i.test(name) ? name : `\`${name.replaceAll('`', '``')}\``;
}

/** The columns' facts, for the names of key columns; fewer where a database cannot be asked. */
export async function columnsOf(
  settings: MoveSettings,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ColumnFacts[]> {
  const { openDatabase } = await import('../../databases/open-database.ts');
  const found: ColumnFacts[] = [];
  for (const text of settings.rows) {
    const url = parseDatabaseUrl(text, env);
    await using database = await openDatabase(url, { connections: 1 });
    for (const ref of url.columns) {
      try {
        found.push(await database.describe(ref));
      } catch (error) {
        // Grants are printed before there is a role that could ask.
        if (!(error instanceof LongshoreError)) throw error;
      }
    }
  }
  return found;
}
