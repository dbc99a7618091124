/** The least that clones need: IAM policies where the source is an Aurora cluster, SQL grants where it is any database. Pure. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import { clonePolicies } from './aurora/policy.ts';

export interface CloneGrants {
  /** Each for a role of its own, or all for one. */
  readonly policies: ReturnType<typeof clonePolicies> | undefined;
  /** By the database, or server, that they are run on. */
  readonly sql: readonly { readonly on: string; readonly statements: readonly string[] }[];
}

/** @param arn of the cluster, with its region and account @throws CONFIG_INVALID for another text */
export function auroraGrants(arn: string): CloneGrants {
  const match = /^arn:(aws[\w-]*):rds:([\w-]+):(\d{12}):cluster:[a-z][a-z0-9-]*$/i.exec(arn);
  if (match === null)
    throw new LongshoreError('CONFIG_INVALID', `${arn} is not the ARN of an Aurora cluster`, {
      hint: 'arn:aws:rds:eu-central-1:123456789012:cluster:shop',
    });
  const [, partition = '', region = '', account = ''] = match;
  return { policies: clonePolicies({ partition, region, account, source: arn }), sql: [] };
}

/**
 * @param role that clones, as SQL names it
 * @param on the server that clones are made on
 */
export function databaseGrants(source: DatabaseUrl, on: DatabaseUrl, role: string): CloneGrants {
  const quote = source.dialect === 'postgres' ? '"' : '`';
  const quoted = (name: string): string => quote + name.replaceAll(quote, quote + quote) + quote;
  const { database } = source.connection;
  const sql =
    source.dialect === 'postgres'
      ? [
          {
            on: source.name,
            statements: [
              `GRANT CONNECT ON DATABASE ${quoted(database)} TO ${quoted(role)};`,
              `GRANT pg_read_all_data TO ${quoted(role)};`,
            ],
          },
          {
            on: `the server of ${on.name}`,
            statements: [
              `ALTER ROLE ${quoted(role)} CREATEDB;`,
              `-- for template copies also: the role of the owner of ${database}, or ALTER DATABASE ${quoted(database)} IS_TEMPLATE true;`,
              `-- with --no-owners; without it the role has to be a member of every owner in the source`,
            ],
          },
        ]
      : [
          {
            on: source.name,
            statements: [
              `GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON ${quoted(database)}.* TO ${quoted(role)}@'%';`,
              `GRANT SELECT ON mysql.proc TO ${quoted(role)}@'%';`,
            ],
          },
          {
            on: `the server of ${on.name}`,
            statements: [
              `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, TRIGGER, EVENT, LOCK TABLES, PROCESS ON *.* TO ${quoted(role)}@'%';`,
            ],
          },
        ];
  return { policies: undefined, sql };
}
