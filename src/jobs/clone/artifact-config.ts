/**
 * The configuration of a database artifact: an INI file that says where the source is, and where and on what a copy of it
 * runs. What is wrong in it is told all at once.
 *
 * ```ini
 * [source_db]
 * source_db_cluster_id = shop-production
 * liquibase_changelog_path = changelog.yaml
 *
 * [target_db]
 * subnet_ids = source
 * instance_type = db.r6g.large
 * database_name = shop
 * ```
 */

import { isIPv4 } from 'node:net';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import { TAGS_MAX, tagProblem } from './aurora/names.ts';
import { BACKUP_WINDOW, MAINTENANCE_WINDOW, windowProblems } from './aurora/windows.ts';
import { IniKeys, type Section } from './ini-keys.ts';
import { lifeOf } from './settings.ts';

/** An Aurora cluster, or any PostgreSQL, MariaDB or MySQL by its URL, which holds no password. */
export type ArtifactSource =
  | { readonly kind: 'aurora'; readonly clusterId: string; readonly region: string | undefined }
  | { readonly kind: 'database'; readonly url: string };

/** A file, as the configuration names it, or what a URL answers when the artifact is built. */
export type ChangelogPlace =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string };

/** Where and on what an Aurora clone runs. `source` is what the source cluster has. */
export interface AuroraTarget {
  readonly subnetIds: 'source' | readonly string[];
  readonly vpcId: 'source' | string;
  /** `db.r6g.large`, `db.serverless` */
  readonly instanceType: string;
  readonly engine: 'source' | 'aurora-postgresql' | 'aurora-mysql';
  /** `03:00-04:00`, in UTC. */
  readonly backupWindow: string | undefined;
  readonly backupRetentionDays: number | undefined;
  /** `sun:05:00-sun:06:00`, in UTC. */
  readonly maintenanceWindow: string | undefined;
  readonly clusterParameterGroup: string | undefined;
  readonly parameterGroup: string | undefined;
  /** Of an empty cluster; a clone is encrypted as its source is. */
  readonly encrypted: boolean;
  readonly kmsKeyId: string | undefined;
  readonly deletionProtection: boolean;
  readonly publiclyAccessible: boolean;
  /** Who may connect, `203.0.113.7/32`; the address of whoever converges where it is left out. */
  readonly clientCidr: string | undefined;
  readonly stackName: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

export interface ArtifactConfig {
  readonly source: ArtifactSource;
  /** Undefined of a source that is no Aurora cluster. */
  readonly aurora: AuroraTarget | undefined;
  /** Of a source that is no Aurora cluster: the server that the copy is made on; that of the source where it is left out. */
  readonly targetUrl: string | undefined;
  /** That `create` makes; that of the source where it is left out. */
  readonly databaseName: string | undefined;
  readonly changelog: ChangelogPlace | undefined;
  /** A file of masking rules, as the configuration names it. */
  readonly maskingPath: string | undefined;
  /** Milliseconds. */
  readonly ttlMs: number | undefined;
}

/** @param path of the file, for messages @throws CONFIG_INVALID, naming everything that is wrong */
export function parseArtifactConfig(text: string, path: string): ArtifactConfig {
  const reading = new IniKeys(text);
  const source = readSource(reading);
  const isAurora = source?.kind !== 'database';
  const aurora = isAurora ? readAurora(reading) : undefined;
  const config = {
    source,
    aurora,
    targetUrl: isAurora ? undefined : readUrl(reading, 'target_db', 'target_db_url'),
    databaseName: readDatabaseName(reading, isAurora),
    changelog: readChangelog(reading),
    maskingPath: reading.optional('target_db', 'masking_path'),
    ttlMs: reading.converted('target_db', 'ttl', lifeOf),
  };
  const problems = reading.end();
  if (problems.length > 0 || config.source === undefined) {
    throw new LongshoreError('CONFIG_INVALID', `cannot use ${path}: ${problems.join('; ')}`, {
      hint: 'docs/clone.md describes every key of the file',
    });
  }
  return { ...config, source: config.source };
}

function readSource(reading: IniKeys): ArtifactSource | undefined {
  const url = readUrl(reading, 'source_db', 'source_db_url');
  if (url !== undefined) return { kind: 'database', url };
  const region = reading.matching(
    'source_db',
    'region',
    /^[a-z]{2}(?:-[a-z]+)+-\d$/,
    'a region, e.g. eu-central-1',
  );
  const [clusterId] = reading.required('source_db', ['source_db_cluster_id']);
  if (clusterId === undefined) return undefined;
  if (!/^(?:arn:aws[\w-]*:rds:[\w-]+:\d+:cluster:)?[a-z](?:-?[a-z0-9])*$/i.test(clusterId)) {
    reading.problems.push('source_db/source_db_cluster_id must be the identifier of an Aurora cluster');
    return undefined;
  }
  return { kind: 'aurora', clusterId, region };
}

/** An artifact can be read by whoever pulls it. */
function readUrl(reading: IniKeys, section: Section, key: string): string | undefined {
  return reading.converted(section, key, (text) => {
    const { connection, columns } = parseDatabaseUrl(text, {});
    if (connection.password !== undefined)
      throw new Error('must not hold a password: it is given when the artifact is converged');
    if (columns.length > 0) throw new Error('must name a database, not columns');
    return text;
  });
}

function readAurora(reading: IniKeys): AuroraTarget {
  const [subnets, instanceType] = reading.required('target_db', ['subnet_ids', 'instance_type']);
  if (instanceType !== undefined && !/^db\.[a-z0-9-]+(?:\.[a-z0-9-]+)?$/.test(instanceType))
    reading.problems.push('target_db/instance_type must be a class of instances, e.g. db.r6g.large');
  const vpcId = reading.matching(
    'target_db',
    'vpc_id',
    /^(?:source|vpc-[0-9a-f]+)$/,
    'set to source or a vpc id, e.g vpc-1234',
  );
  const encrypted = reading.flag('target_db', 'encrypted', true);
  const backupWindow = reading.matching(
    'target_db',
    'backup_window',
    BACKUP_WINDOW,
    'a window, e.g. 03:00-04:00',
  );
  const maintenanceWindow = reading.matching(
    'target_db',
    'maintenance_window',
    MAINTENANCE_WINDOW,
    'a window, e.g. sun:05:00-sun:06:00',
  );
  reading.problems.push(...windowProblems(backupWindow, maintenanceWindow));
  return {
    subnetIds: readSubnets(reading, subnets),
    vpcId: vpcId ?? 'source',
    instanceType: instanceType ?? '',
    engine: (reading.matching(
      'target_db',
      'engine',
      /^(?:source|aurora-postgresql|aurora-mysql)$/,
      'source, aurora-postgresql or aurora-mysql',
    ) ?? 'source') as AuroraTarget['engine'],
    backupWindow,
    backupRetentionDays: reading.converted('target_db', 'backup_retention_days', days),
    maintenanceWindow,
    clusterParameterGroup: reading.optional('target_db', 'cluster_parameter_group'),
    parameterGroup: reading.optional('target_db', 'parameter_group'),
    encrypted,
    kmsKeyId: readKey(reading, encrypted),
    deletionProtection: reading.flag('target_db', 'deletion_protection', false),
    publiclyAccessible: reading.flag('target_db', 'publicly_accessible', true),
    clientCidr: reading.converted('target_db', 'client_cidr', cidr),
    stackName: reading.matching(
      'target_db',
      'stack_name',
      /^[a-z][a-z0-9-]{0,127}$/i,
      'a name of letters, digits and hyphens that begins with a letter',
    ),
    tags: readTags(reading),
  };
}

/** `203.0.113.7/32` */
export function isCidr(text: string): boolean {
  const [, address = '', bits] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? [];
  return isIPv4(address) && Number(bits) <= 32;
}

function cidr(text: string): string {
  if (!isCidr(text)) throw new Error('must be a range of addresses, e.g. 203.0.113.7/32');
  return text;
}

function readTags({ tags, problems }: IniKeys): Readonly<Record<string, string>> {
  const entries = Object.entries(tags);
  if (entries.length > TAGS_MAX)
    problems.push(`tags: there are ${entries.length}, and AWS leaves room for ${TAGS_MAX}`);
  for (const [key, value] of entries) {
    const problem = tagProblem(key, value);
    if (problem !== undefined) problems.push(`tags/${key} ${problem}`);
  }
  return tags;
}

/** A key of its own says that it is encrypted. */
function readKey(reading: IniKeys, encrypted: boolean): string | undefined {
  const key = reading.optional('target_db', 'kms_key_id');
  if (key !== undefined && !encrypted)
    reading.problems.push('target_db/kms_key_id is there, and encrypted is false');
  return key;
}

const SUBNETS =
  'target_db/subnet_ids must be set to source or a comma-delimited list of two or more subnets in different availability zones, e.g. subnet-1234,subnet-5678';

function readSubnets(reading: IniKeys, text: string | undefined): 'source' | readonly string[] {
  if (text === undefined || text === 'source') return 'source';
  const ids = text.split(',').map((id) => id.trim());
  if (ids.length > 1 && ids.every((id) => /^subnet-[0-9a-f]+$/.test(id)) && new Set(ids).size === ids.length)
    return ids;
  reading.problems.push(SUBNETS);
  return 'source';
}

/** Legal in both engines without quotes; RDS takes no `_` in front. */
function readDatabaseName(reading: IniKeys, isAurora: boolean): string | undefined {
  return reading.matching(
    'target_db',
    'database_name',
    isAurora ? /^[a-z][a-z0-9_]{0,62}$/i : /^[a-z_][a-z0-9_]{0,62}$/i,
    `a name of letters, digits and _ that does not begin with a digit${isAurora ? ' or _' : ''}`,
  );
}

function readChangelog(reading: IniKeys): ChangelogPlace | undefined {
  const keys = ['liquibase_changelog_path', 'liquibase_changelog_url'] as const;
  const found = (['source_db', 'target_db'] as const).flatMap((section) =>
    keys.flatMap((key) => reading.optional(section, key) ?? []),
  );
  if (found.length > 1) reading.problems.push('the changelog is named more than once');
  const [place] = found;
  if (place === undefined) return undefined;
  if (/^(?:https?|s3):\/\//i.test(place)) return { kind: 'url', url: place };
  return { kind: 'file', path: place.replace(/^file:\/\//i, '') };
}

function days(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 35)
    throw new Error('must be a number of days from 1 to 35');
  return value;
}
