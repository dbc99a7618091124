/**
 * Settings of an AWS DMS endpoint with S3 as its target, as options of a replication. Pure.
 *
 * Names, units and values are those of `S3Settings` in the DMS API reference (API_S3Settings) and of "Extra connection
 * attributes when using Amazon S3 as a target" in its user guide (CHAP_Target.S3). The two spell one name differently
 * (`CompressionType`, `compressionType`), and values too (`parquet-2-0`, `PARQUET_2_0`): neither case nor the dash
 * matters here.
 */

import { parseStoreUrl } from '../../config/store-url.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import type { ReplicateOptions } from './settings.ts';

export interface IgnoredDmsSetting {
  /** As it was given. */
  readonly name: string;
  /** One sentence, without a full stop. */
  readonly why: string;
}

export interface DmsSettings {
  /** Only what was given: what DMS does by default is not filled in. */
  readonly options: Partial<ReplicateOptions>;
  /** Every setting that no option stands for, in the order given. */
  readonly ignored: readonly IgnoredDmsSetting[];
}

/** What one or more settings become; reasons by DMS name, of which only those given are told. */
interface Part {
  readonly options?: Partial<ReplicateOptions>;
  readonly ignored?: Readonly<Record<string, string>>;
}

type Pair = readonly [name: string, value: unknown];

/** Those that options stand for. */
const HONOURED = [
  'BucketName',
  'BucketFolder',
  'DataFormat',
  'ParquetVersion',
  'CompressionType',
  'TimestampColumnName',
  'IncludeOpForFullLoad',
  'DatePartitionEnabled',
  'DatePartitionSequence',
  'DatePartitionDelimiter',
  'DatePartitionTimezone',
  'CdcMaxBatchInterval',
  'MaxFileSize',
  'CdcMinFileSize',
] as const;

type Honoured = (typeof HONOURED)[number];

/** Of these, two spellings are two values. */
const EXACT: ReadonlySet<string> = new Set<Honoured>([
  'BucketName',
  'BucketFolder',
  'TimestampColumnName',
  'DatePartitionTimezone',
]);

const NO_CSV = 'it is about CSV, and files are Parquet here';
const WRITER = 'the writer of the files chooses how a file is laid out inside';
const ENCRYPTION = "objects are encrypted by the bucket's default encryption";
const SOURCE_ONLY = 'it is about S3 as a source';
const UNKNOWN = 'not a setting of an S3 endpoint that is known here';
const NO_DATE_FOLDERS = 'it has no meaning without date folders';
const ZERO = '0 leaves it to the default, and the default here is that of Longshore';

/** The rest of S3Settings. */
const NOT_HONOURED: ReadonlyMap<string, string> = new Map([
  [
    'ServiceAccessRoleArn',
    'credentials come from the AWS chain: environment, profile or role of the machine',
  ],
  ['ExpectedBucketOwner', 'the owner of the bucket is not checked'],
  ['CannedAclForObjects', 'no ACL is set on objects; who may read them is up to the bucket'],
  ['EncryptionMode', ENCRYPTION],
  ['ServerSideEncryptionKmsKeyId', ENCRYPTION],
  ['GlueCatalogGeneration', 'no catalog is written; let a crawler or a table point to the folders'],
  ['EncodingType', WRITER],
  ['DictPageSizeLimit', WRITER],
  ['DataPageSize', WRITER],
  ['RowGroupLength', WRITER],
  ['EnableStatistics', WRITER],
  ['ParquetTimestampInMillisecond', 'timestamps keep their microseconds, so that nothing is rounded'],
  ['UseTaskStartTimeForFullLoadTimestamp', 'a full load file holds the time at which reading for it began'],
  ['CdcInsertsOnly', 'all changes are landed, and Op tells them apart'],
  ['CdcInsertsAndUpdates', 'all changes are landed, and Op tells them apart'],
  ['PreserveTransactions', 'every row of a change file carries its transaction and its place in it'],
  ['CdcPath', 'change files lie in the folder of their table'],
  ['AddColumnName', 'a Parquet file always names its columns'],
  ['AddTrailingPaddingCharacter', 'text is written as it stands in the database'],
  [
    'DetachTargetOnLobLookupFailureParquet',
    'large values are never looked up apart from their row by the target',
  ],
  ['CsvDelimiter', NO_CSV],
  ['CsvRowDelimiter', NO_CSV],
  ['CsvNullValue', NO_CSV],
  ['CsvNoSupValue', NO_CSV],
  ['UseCsvNoSupValue', NO_CSV],
  ['Rfc4180', NO_CSV],
  ['IgnoreHeaderRows', SOURCE_ONLY],
  ['ExternalTableDefinition', SOURCE_ONLY],
]);

const NAMES: ReadonlyMap<string, string> = new Map([
  ...[...HONOURED, ...NOT_HONOURED.keys()].map((name) => [name.toLowerCase(), name] as const),
  // The user guide and the API reference write this name in their own examples.
  ['datepartitionedenabled', 'DatePartitionEnabled'],
]);

/** Keys of an endpoint that no S3 setting is called. */
const ENDPOINT_KEYS = [
  'S3Settings',
  'ExtraConnectionAttributes',
  'EndpointIdentifier',
  'EndpointArn',
  'EndpointType',
  'EngineName',
];

const SHAPES =
  'paste the S3Settings of the target endpoint, what `aws dms describe-endpoints` prints, or its extra connection attributes';

/** DMS counts 1,048,576 KB as 1 GB. */
const KILOBYTE = 1024;
const MAX_FILE_KILOBYTES = 1_048_576;

/**
 * Reads the settings of a DMS endpoint as they are pasted: the `S3Settings` object, one that holds it, the output of
 * `aws dms describe-endpoints` with one S3 target in it, any of these as JSON text, or extra connection attributes
 * (`compressionType=GZIP;dataFormat=parquet`).
 * @throws CONFIG_INVALID for what is none of these, a value that DMS would refuse too, and a format but Parquet
 */
export function fromDmsSettings(json: unknown): DmsSettings {
  const given = new Given(pairsIn(json));
  const options: Partial<ReplicateOptions> = {};
  const reasons = new Map(NOT_HONOURED);
  for (const read of PARTS) {
    const part = read(given);
    Object.assign(options, part.options);
    for (const [name, why] of Object.entries(part.ignored ?? {})) reasons.set(name, why);
  }
  return { options, ignored: [...formatUnsaid(given), ...given.ignored(reasons)] };
}

const PARTS: readonly ((given: Given) => Part)[] = [
  formatPart,
  targetPart,
  versionPart,
  compressionPart,
  columnsPart,
  partitionPart,
  intervalPart,
  sizePart,
];

function formatPart(given: Given): Part {
  const format = given.word('DataFormat');
  if (format === undefined || format === 'parquet') return {};
  throw invalid(`DataFormat is ${JSON.stringify(format)}, and only Parquet is written here`, {
    hint: 'set DataFormat to parquet, and let readers expect Parquet files',
  });
}

/** An endpoint that does not name a format writes CSV, which its readers then expect. */
function formatUnsaid(given: Given): IgnoredDmsSetting[] {
  if (given.word('DataFormat') !== undefined) return [];
  return [{ name: 'DataFormat', why: 'it is not given, which is CSV to DMS; files are Parquet here' }];
}

function targetPart(given: Given): Part {
  const bucket = given.text('BucketName');
  const folder = (given.text('BucketFolder') ?? '').replace(/^\/+|\/+$/g, '');
  if (bucket === undefined) return { ignored: { BucketFolder: 'it has no meaning without BucketName' } };
  const to = `s3://${bucket}/${folder === '' ? '' : `${folder}/`}`;
  assertTarget(to, bucket);
  return { options: { to } };
}

/** A slash in the name of the bucket, or a query in the folder, would make another target of it. */
function assertTarget(to: string, bucket: string): void {
  const problem = `cannot make a target of BucketName and BucketFolder, "${to}"`;
  const hint = 'BucketName is the name of a bucket alone, BucketFolder a path in it';
  try {
    const url = parseStoreUrl(to);
    if (url.kind === 's3' && url.bucket === bucket && `s3://${bucket}/${url.prefix}` === to) return;
  } catch (error) {
    throw invalid(`${problem}: ${messageOf(error)}`, { hint, cause: error });
  }
  throw invalid(problem, { hint });
}

function versionPart(given: Given): Part {
  const version = given.word('ParquetVersion');
  if (version === undefined || version === 'parquet_1_0') return {};
  if (version === 'parquet_2_0') {
    return { ignored: { ParquetVersion: 'files are of version 1.0, which readers of 2.0 read too' } };
  }
  throw invalid(`ParquetVersion is ${JSON.stringify(version)}, which is no version of Parquet`, {
    hint: 'DMS knows parquet-1-0 and parquet-2-0',
  });
}

function compressionPart(given: Given): Part {
  const compression = given.word('CompressionType');
  switch (compression) {
    case undefined:
      return {};
    case 'none':
    case 'gzip':
    // Not of DMS, but there is only one thing they can mean.
    case 'snappy':
    case 'zstd':
      return { options: { compression } };
    default:
      throw invalid(`CompressionType is ${JSON.stringify(compression)}, which is not known`, {
        hint: 'DMS knows NONE and GZIP; snappy and zstd can be used here too',
      });
  }
}

function columnsPart(given: Given): Part {
  const timestampColumn = given.text('TimestampColumnName');
  const opInFullLoad = given.flag('IncludeOpForFullLoad');
  return {
    options: {
      ...(timestampColumn === undefined ? {} : { timestampColumn }),
      ...(opInFullLoad === undefined ? {} : { opInFullLoad }),
    },
  };
}

function partitionPart(given: Given): Part {
  const enabled = given.flag('DatePartitionEnabled');
  const sequence = given.word('DatePartitionSequence') ?? 'yyyymmdd';
  const delimiter = given.word('DatePartitionDelimiter') ?? 'slash';
  const unneeded = {
    DatePartitionSequence: NO_DATE_FOLDERS,
    DatePartitionDelimiter: NO_DATE_FOLDERS,
    DatePartitionTimezone: NO_DATE_FOLDERS,
  };
  if (enabled !== true) {
    return { options: enabled === undefined ? {} : { datePartition: enabled }, ignored: unneeded };
  }
  if (sequence === 'yyyymmdd' && delimiter === 'slash') {
    return { options: { datePartition: true }, ignored: timezoneReason(given) };
  }
  return {
    ignored: {
      ...unneeded,
      DatePartitionEnabled:
        'the only date folders here are YYYY/MM/DD/, which the option datePartition makes',
      ...(sequence === 'yyyymmdd' ? {} : { DatePartitionSequence: 'date folders are always YYYYMMDD here' }),
      ...(delimiter === 'slash'
        ? {}
        : { DatePartitionDelimiter: 'date folders are always cut by SLASH here' }),
    },
  };
}

function timezoneReason(given: Given): Record<string, string> {
  const zone = given.text('DatePartitionTimezone')?.toUpperCase() ?? 'UTC';
  if (zone === 'UTC' || zone === 'ETC/UTC') return {};
  return { DatePartitionTimezone: 'date folders and names of change files are in UTC' };
}

function intervalPart(given: Given): Part {
  const seconds = given.whole('CdcMaxBatchInterval', 'seconds');
  if (seconds === undefined) return {};
  // 0 would land every transaction by itself.
  if (seconds === 0) return { ignored: { CdcMaxBatchInterval: ZERO } };
  return { options: { every: seconds * 1000 } };
}

/** MaxFileSize is the limit of a full load file, CdcMinFileSize the size at which changes are landed. */
function sizePart(given: Given): Part {
  const load = given.whole('MaxFileSize', 'KB', MAX_FILE_KILOBYTES) ?? 0;
  const changes = given.whole('CdcMinFileSize', 'KB') ?? 0;
  const size = load === 0 ? changes : load;
  const ignored = {
    ...(load === 0 ? { MaxFileSize: ZERO } : {}),
    ...(changes === 0 ? { CdcMinFileSize: ZERO } : {}),
    ...(changes !== 0 && changes !== size
      ? { CdcMinFileSize: 'one size holds for all files here, and MaxFileSize gives it' }
      : {}),
  };
  return { options: size === 0 ? {} : { maxFileSize: size * KILOBYTE }, ignored };
}

/** The settings given, each under one name, however it was written. */
class Given {
  readonly #values = new Map<string, { readonly name: string; readonly value: unknown }>();

  /** @throws CONFIG_INVALID when a setting that matters is given twice and differently */
  constructor(pairs: readonly Pair[]) {
    for (const [name, value] of pairs) {
      if (value === null || value === undefined) continue;
      const known = NAMES.get(name.toLowerCase()) ?? name;
      const before = this.#values.get(known);
      if (before === undefined) this.#values.set(known, { name, value });
      else if (isHonoured(known) && !isSame(known, before.value, value)) {
        throw invalid(`${known} is given twice, with two values`, {
          hint: 'leave the one that is meant, in S3Settings or in the extra connection attributes',
        });
      }
    }
  }

  /** @returns undefined when it was not given, or is blank, which is the same to DMS */
  text(name: Honoured): string | undefined {
    const value = this.#values.get(name)?.value;
    if (value === undefined) return undefined;
    if (typeof value !== 'string') throw invalid(`${name} is not text`, { hint: SHAPES });
    return value.trim() === '' ? undefined : value.trim();
  }

  /** One of a list of words, in small letters and with `_` for a dash. */
  word(name: Honoured): string | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : wordOf(text);
  }

  flag(name: Honoured): boolean | undefined {
    const value = this.#values.get(name)?.value;
    if (typeof value === 'boolean') return value;
    const word = this.word(name);
    if (word === undefined) return undefined;
    if (word === 'true' || word === 'y') return true;
    if (word === 'false' || word === 'n') return false;
    throw invalid(`${name} is ${JSON.stringify(word)}, neither true nor false`, {
      hint: 'DMS knows true, false, y and n',
    });
  }

  whole(name: Honoured, unit: string, max = 1e12): number | undefined {
    const value = this.#values.get(name)?.value;
    const text = typeof value === 'number' ? String(value) : this.text(name);
    if (text === undefined) return undefined;
    if (/^\d{1,13}$/.test(text) && Number(text) <= max) return Number(text);
    throw invalid(`${name} is ${JSON.stringify(text)}, not a whole number of ${unit} up to ${max}`, {
      hint: `DMS takes ${name} in ${unit}`,
    });
  }

  /** @param reasons by name; one that has none is honoured or not known */
  ignored(reasons: ReadonlyMap<string, string>): IgnoredDmsSetting[] {
    return [...this.#values].flatMap(([known, { name, value }]) => {
      if (isHonoured(known) && String(value).trim() === '') return [];
      const why = reasons.get(known) ?? (isHonoured(known) ? undefined : UNKNOWN);
      return why === undefined ? [] : [{ name, why }];
    });
  }
}

function isHonoured(name: string): boolean {
  return HONOURED.some((honoured) => honoured === name);
}

/** DMS prints an endpoint's settings as S3Settings and as attributes: `true` is `y`, `GZIP` is `gzip`. */
function isSame(name: string, one: unknown, other: unknown): boolean {
  if (EXACT.has(name)) return one === other;
  const [a, b] = [one, other].map((value) =>
    wordOf(String(value)).replace(/^y$/, 'true').replace(/^n$/, 'false'),
  );
  return a === b;
}

function wordOf(text: string): string {
  return text.trim().toLowerCase().replaceAll('-', '_');
}

/** Names and values, out of whatever shape they were pasted in. */
function pairsIn(pasted: unknown): Pair[] {
  if (typeof pasted === 'string') {
    return /^\s*[[{]/.test(pasted) ? pairsIn(parseJson(pasted)) : attributePairs(pasted);
  }
  if (Array.isArray(pasted)) return endpointPairs(onlyTarget(pasted));
  if (!isObject(pasted)) throw invalid('these are not settings of a DMS endpoint', { hint: SHAPES });
  const endpoints = member(pasted, 'Endpoints');
  if (Array.isArray(endpoints)) return endpointPairs(onlyTarget(endpoints));
  // What `aws dms create-endpoint` and `modify-endpoint` print.
  const endpoint = member(pasted, 'Endpoint');
  if (isObject(endpoint)) return endpointPairs(endpoint);
  const isEndpoint = ENDPOINT_KEYS.some((key) => member(pasted, key) !== undefined);
  return isEndpoint ? endpointPairs(pasted) : Object.entries(pasted);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the text, and that of an endpoint may hold a secret: it is no cause either.
    throw invalid('cannot read the settings of the DMS endpoint as JSON', { hint: SHAPES });
  }
}

/** `a=b;c=d`, or one to a line; a value may hold `=`. */
function attributePairs(text: string): Pair[] {
  const attributes = text.split(/[;\r\n]/).filter((attribute) => attribute.trim() !== '');
  if (attributes.length === 0) throw invalid('the settings of the DMS endpoint are empty', { hint: SHAPES });
  return attributes.map((attribute, i) => {
    const equals = attribute.indexOf('=');
    const name = attribute.slice(0, Math.max(0, equals)).trim();
    if (name === '') {
      throw invalid(`extra connection attribute ${i + 1} is not name=value`, { hint: SHAPES });
    }
    return [name, attribute.slice(equals + 1).trim()];
  });
}

function onlyTarget(endpoints: readonly unknown[]): object {
  const targets = endpoints.filter(isObject).filter(isS3Target);
  if (targets.length === 1) return targets[0]!;
  if (targets.length === 0) throw notATarget();
  const names = targets.map((target) => String(member(target, 'EndpointIdentifier') ?? '?'));
  throw invalid(`there are ${targets.length} S3 targets: ${names.join(', ')}`, {
    hint: 'paste one; `aws dms describe-endpoints --filters Name=endpoint-id,Values=…` prints one',
  });
}

function endpointPairs(endpoint: object): Pair[] {
  if (!isS3Target(endpoint)) throw notATarget();
  const settings = member(endpoint, 'S3Settings');
  const attributes = member(endpoint, 'ExtraConnectionAttributes');
  return [
    ...(isObject(settings) ? Object.entries(settings) : []),
    ...(isFilled(attributes) ? attributePairs(attributes) : []),
  ];
}

function isS3Target(endpoint: object): boolean {
  const type = wordOf(String(member(endpoint, 'EndpointType') ?? 'target'));
  const engine = wordOf(String(member(endpoint, 'EngineName') ?? 's3'));
  const holds =
    isObject(member(endpoint, 'S3Settings')) || isFilled(member(endpoint, 'ExtraConnectionAttributes'));
  return type === 'target' && engine === 's3' && holds;
}

function notATarget(): LongshoreError {
  return invalid('there is no S3 target endpoint with settings in what was given', { hint: SHAPES });
}

/** A member by its name in the API, whatever its case: the CDK writes `s3Settings`. */
function member(object: object, name: string): unknown {
  return Object.entries(object).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFilled(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '';
}

function invalid(message: string, options: { hint: string; cause?: unknown }): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', message, options);
}
