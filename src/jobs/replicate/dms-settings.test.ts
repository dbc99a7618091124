import { describe, expect, test } from 'vitest';
import { LongshoreError } from '../../errors.ts';
import { fromDmsSettings } from './dms-settings.ts';
import { resolveReplicateOptions } from './settings.ts';

const S3_SETTINGS = {
  ServiceAccessRoleArn: 'arn:aws:iam::123456789012:role/dms',
  BucketName: 'lake',
  BucketFolder: 'shop',
  DataFormat: 'parquet',
  ParquetVersion: 'parquet-1-0',
  CompressionType: 'GZIP',
  TimestampColumnName: 'landed_at',
  IncludeOpForFullLoad: true,
  DatePartitionEnabled: true,
  DatePartitionSequence: 'YYYYMMDD',
  DatePartitionDelimiter: 'SLASH',
  CdcMaxBatchInterval: 90,
  MaxFileSize: 65_536,
};

const OPTIONS = {
  to: 's3://lake/shop/',
  compression: 'gzip',
  timestampColumn: 'landed_at',
  opInFullLoad: true,
  datePartition: true,
  every: 90_000,
  maxFileSize: 64 * 1024 ** 2,
};

const ATTRIBUTES = Object.entries(S3_SETTINGS)
  .map(([name, value]) => `${name.charAt(0).toLowerCase()}${name.slice(1)}=${value};`)
  .join('');

const TARGET = { EndpointType: 'TARGET', EngineName: 's3', EndpointIdentifier: 'lake' };
const SOURCE = {
  EndpointType: 'SOURCE',
  EngineName: 'postgres',
  EndpointIdentifier: 'shop',
  ExtraConnectionAttributes: 'captureDdls=false',
};

/** Only the settings of interest, in an endpoint that is otherwise right. */
const read = (settings: object) => fromDmsSettings({ DataFormat: 'parquet', ...settings });

function failure(pasted: unknown): LongshoreError {
  try {
    fromDmsSettings(pasted);
  } catch (error) {
    if (error instanceof LongshoreError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('what can be pasted', () => {
  test.each([
    ['S3Settings itself', S3_SETTINGS],
    ['an object with S3Settings', { S3Settings: S3_SETTINGS }],
    [
      'an endpoint as the CDK writes it',
      { engineName: 's3', endpointType: 'target', s3Settings: S3_SETTINGS },
    ],
    ['what create-endpoint prints', { Endpoint: { ...TARGET, S3Settings: S3_SETTINGS } }],
    ['what describe-endpoints prints', { Endpoints: [SOURCE, { ...TARGET, S3Settings: S3_SETTINGS }] }],
    ['the endpoints of it', [SOURCE, { ...TARGET, S3Settings: S3_SETTINGS }]],
    ['JSON text', JSON.stringify({ Endpoints: [{ ...TARGET, S3Settings: S3_SETTINGS }] }, undefined, 2)],
    ['extra connection attributes', ATTRIBUTES],
    ['attributes, one to a line', ATTRIBUTES.replaceAll(';', ';\n')],
    ['an endpoint with attributes alone', { ...TARGET, ExtraConnectionAttributes: ATTRIBUTES }],
    ['an endpoint with both', { ...TARGET, S3Settings: S3_SETTINGS, ExtraConnectionAttributes: ATTRIBUTES }],
  ])('%s', (_shape, pasted) => {
    const { options, ignored } = fromDmsSettings(pasted);
    expect(options).toEqual(OPTIONS);
    expect(ignored.map(({ name }) => name.toLowerCase())).toEqual(['serviceaccessrolearn']);
  });

  test('what comes out is taken as options of a replication', () => {
    const { options } = fromDmsSettings(S3_SETTINGS);
    expect(resolveReplicateOptions({ from: 'postgres://h/shop', ...options })).toMatchObject(OPTIONS);
  });

  test('S3Settings and attributes add up', () => {
    const endpoint = {
      ...TARGET,
      S3Settings: { BucketName: 'lake', CompressionType: 'gzip', IncludeOpForFullLoad: true },
      ExtraConnectionAttributes:
        'dataFormat=parquet;compressionType=GZIP;includeOpForFullLoad=y;maxFileSize=512',
    };
    expect(fromDmsSettings(endpoint)).toEqual({
      options: { to: 's3://lake/', compression: 'gzip', opInFullLoad: true, maxFileSize: 524_288 },
      ignored: [],
    });
  });

  test('a value of an attribute may hold an equals sign, and a folder keeps its case', () => {
    const { options } = fromDmsSettings('DataFormat=parquet;BucketName=lake;bucketFolder=/Year=2026/A/');
    expect(options).toEqual({ to: 's3://lake/Year=2026/A/' });
  });

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a number', 5],
    ['an empty text', ' ; '],
    ['text that is none', 'hunter2'],
    ['an attribute without a name', 'dataFormat=parquet;=hunter2'],
    ['broken JSON', '{"Password": hunter2'],
    ['a source', { ...SOURCE, EngineName: 's3', S3Settings: S3_SETTINGS }],
    ['another engine', { ...TARGET, EngineName: 'redshift', ExtraConnectionAttributes: 'maxFileSize=1' }],
    ['an endpoint without settings', TARGET],
    ['endpoints without a target', { Endpoints: [SOURCE] }],
    ['no endpoints', []],
  ])('%s is refused, and not repeated', (_what, pasted) => {
    const error = failure(pasted);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.hint).toMatch(/S3Settings.*describe-endpoints.*extra connection attributes/);
    expect(`${error.message} ${error.cause}`).not.toContain('hunter2');
  });

  test('several targets are named', () => {
    const targets = ['a', 'b'].map((EndpointIdentifier) => ({
      ...TARGET,
      EndpointIdentifier,
      S3Settings: S3_SETTINGS,
    }));
    expect(failure({ Endpoints: targets })).toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'there are 2 S3 targets: a, b',
      hint: expect.stringContaining('--filters'),
    });
  });

  test.each([
    [{ CompressionType: 'none' }, 'compressionType=gzip', 'CompressionType'],
    [{ BucketFolder: 'Shop' }, 'bucketFolder=shop', 'BucketFolder'],
    [{ DatePartitionEnabled: true }, 'DatePartitionedEnabled=n', 'DatePartitionEnabled'],
  ])('two values of one setting are refused: %o, %s', (S3Settings, ExtraConnectionAttributes, name) => {
    const error = failure({ ...TARGET, S3Settings, ExtraConnectionAttributes });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toBe(`${name} is given twice, with two values`);
    expect(error.hint).toBeDefined();
  });
});

describe('what settings become', () => {
  test.each([
    [{ CompressionType: 'NONE' }, { compression: 'none' }],
    [{ compressiontype: 'snappy' }, { compression: 'snappy' }],
    [{ BucketName: 'lake' }, { to: 's3://lake/' }],
    [{ BucketName: 'lake', BucketFolder: 'a/b/' }, { to: 's3://lake/a/b/' }],
    [{ TimestampColumnName: ' ', BucketFolder: ' ', CdcMaxBatchInterval: '' }, {}],
    [{ TimestampColumnName: 'Landed' }, { timestampColumn: 'Landed' }],
    [{ IncludeOpForFullLoad: 'True' }, { opInFullLoad: true }],
    [{ IncludeOpForFullLoad: 'n' }, { opInFullLoad: false }],
    [{ DatePartitionEnabled: false }, { datePartition: false }],
    [{ DatePartitionedEnabled: 'y' }, { datePartition: true }],
    [{ DatePartitionEnabled: true, DatePartitionTimezone: 'Etc/UTC' }, { datePartition: true }],
    [{ cdcMaxBatchinterval: '60' }, { every: 60_000 }],
    [{ MaxFileSize: 1_048_576 }, { maxFileSize: 1024 ** 3 }],
    [{ CdcMinFileSize: 32_000 }, { maxFileSize: 32_768_000 }],
    [{ CdcMinFileSize: 64_000, MaxFileSize: 64_000 }, { maxFileSize: 65_536_000 }],
    [{ ParquetVersion: 'PARQUET_1_0' }, {}],
    [{ BucketName: null, CdcMaxBatchInterval: null, CsvDelimiter: null }, {}],
  ])('%o without a rest', (settings, options) => {
    expect(read(settings)).toEqual({ options, ignored: [] });
  });

  test.each([
    [{ DataFormat: 'csv' }, /DataFormat is "csv", and only Parquet/],
    [{ CompressionType: 'lz4' }, /CompressionType is "lz4"/],
    [{ ParquetVersion: 'parquet-3-0' }, /ParquetVersion is "parquet_3_0"/],
    [{ IncludeOpForFullLoad: 'maybe' }, /IncludeOpForFullLoad is "maybe", neither true nor false/],
    [{ DatePartitionEnabled: 1 }, /DatePartitionEnabled is not text/],
    [{ CdcMaxBatchInterval: '2m' }, /CdcMaxBatchInterval is "2m", not a whole number of seconds/],
    [{ CdcMaxBatchInterval: -1 }, /CdcMaxBatchInterval is "-1"/],
    [{ CdcMinFileSize: 1.5 }, /CdcMinFileSize is "1.5", not a whole number of KB/],
    // 128 MiB in bytes, which DMS refuses too.
    [{ MaxFileSize: 134_217_728 }, /MaxFileSize is "134217728".* up to 1048576/],
    [{ BucketName: { Ref: 'Bucket' } }, /BucketName is not text/],
    [{ BucketName: '<BUCKET>' }, /cannot make a target .*not a bucket name/],
    [{ BucketName: 'lake/shop' }, /cannot make a target of BucketName and BucketFolder/],
    [{ BucketName: 'lake', BucketFolder: 'a?region=eu-west-1' }, /cannot make a target/],
  ])('%o is refused', (settings, message) => {
    const error = failure({ DataFormat: 'parquet', ...settings });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toMatch(message);
    expect(error.hint).toBeDefined();
  });
});

describe('what is not honoured', () => {
  const names = (settings: object) => read(settings).ignored.map(({ name }) => name);
  const whyOf = (settings: object, name: string) =>
    read(settings).ignored.find((ignored) => ignored.name === name)?.why;

  test.each([
    ['ServiceAccessRoleArn', /credentials come from the AWS chain/],
    ['CsvDelimiter', /files are Parquet/],
    ['CsvRowDelimiter', /files are Parquet/],
    ['CsvNullValue', /files are Parquet/],
    ['CsvNoSupValue', /files are Parquet/],
    ['UseCsvNoSupValue', /files are Parquet/],
    ['Rfc4180', /files are Parquet/],
    ['CdcInsertsOnly', /all changes are landed/],
    ['CdcInsertsAndUpdates', /all changes are landed/],
    ['PreserveTransactions', /carries its transaction/],
    ['CdcPath', /folder of their table/],
    ['EncodingType', /the writer/],
    ['DictPageSizeLimit', /the writer/],
    ['DataPageSize', /the writer/],
    ['RowGroupLength', /the writer/],
    ['EnableStatistics', /the writer/],
    ['GlueCatalogGeneration', /no catalog is written/],
    ['EncryptionMode', /default encryption/],
    ['ServerSideEncryptionKmsKeyId', /default encryption/],
    ['ParquetTimestampInMillisecond', /nothing is rounded/],
    ['UseTaskStartTimeForFullLoadTimestamp', /time at which reading/],
    ['AddColumnName', /names its columns/],
    ['AddTrailingPaddingCharacter', /as it stands/],
    ['CannedAclForObjects', /no ACL/],
    ['ExpectedBucketOwner', /not checked/],
    ['ExternalTableDefinition', /a source/],
    ['IgnoreHeaderRows', /a source/],
    ['DetachTargetOnLobLookupFailureParquet', /large values/],
  ])('%s, in either spelling', (name, why) => {
    const attribute = name.charAt(0).toLowerCase() + name.slice(1);
    const reason = { name, why: expect.stringMatching(why) };
    expect(read({ [name]: 'x' })).toEqual({ options: {}, ignored: [reason] });
    expect(read({ [attribute]: false })).toEqual({ options: {}, ignored: [{ ...reason, name: attribute }] });
  });

  test('names that are not known, even ones every object has', () => {
    const why = 'not a setting of an S3 endpoint that is known here';
    expect(fromDmsSettings('dataFormat=parquet;captureDdls=true;constructor=1').ignored).toEqual([
      { name: 'captureDdls', why },
      { name: 'constructor', why },
    ]);
  });

  test('a format that is not said is CSV to DMS', () => {
    expect(fromDmsSettings({ BucketName: 'lake' })).toEqual({
      options: { to: 's3://lake/' },
      ignored: [{ name: 'DataFormat', why: expect.stringContaining('CSV to DMS') }],
    });
  });

  test('once, and in the order given', () => {
    const endpoint = {
      S3Settings: { CdcPath: 'c', DataFormat: 'parquet', AddColumnName: true },
      ExtraConnectionAttributes: 'addColumnName=false;rfc4180=y',
    };
    expect(fromDmsSettings(endpoint).ignored.map(({ name }) => name)).toEqual([
      'CdcPath',
      'AddColumnName',
      'rfc4180',
    ]);
  });

  test('version 2.0 of Parquet', () => {
    expect(whyOf({ ParquetVersion: 'parquet-2-0' }, 'ParquetVersion')).toMatch(/version 1\.0/);
  });

  test('a folder without a bucket', () => {
    expect(read({ BucketFolder: 'shop' }).options).toEqual({});
    expect(whyOf({ BucketFolder: 'shop' }, 'BucketFolder')).toMatch(/without BucketName/);
  });

  test.each([
    ['DatePartitionSequence', 'YYYYMMDDHH', /always YYYYMMDD/],
    ['DatePartitionDelimiter', 'DASH', /always cut by SLASH/],
  ])('date folders with %s %s', (name, value, why) => {
    const settings = { DatePartitionEnabled: true, DatePartitionTimezone: 'Asia/Seoul', [name]: value };
    expect(read(settings).options).toEqual({});
    expect(names(settings)).toEqual(['DatePartitionEnabled', 'DatePartitionTimezone', name]);
    expect(whyOf(settings, name)).toMatch(why);
    expect(whyOf(settings, 'DatePartitionEnabled')).toMatch(/YYYY\/MM\/DD/);
  });

  test('a time zone of date folders', () => {
    const settings = { DatePartitionEnabled: true, DatePartitionTimezone: 'Asia/Seoul' };
    expect(read(settings)).toEqual({
      options: { datePartition: true },
      ignored: [{ name: 'DatePartitionTimezone', why: expect.stringContaining('UTC') }],
    });
  });

  test('the look of date folders that are not made', () => {
    const look = { DatePartitionSequence: 'YYYYMMDD', DatePartitionDelimiter: 'SLASH' };
    expect(names(look)).toEqual(['DatePartitionSequence', 'DatePartitionDelimiter']);
    expect(read({ ...look, DatePartitionEnabled: false }).options).toEqual({ datePartition: false });
  });

  test('the second of two sizes', () => {
    const settings = { CdcMinFileSize: 32_000, MaxFileSize: 65_536 };
    expect(read(settings).options).toEqual({ maxFileSize: 67_108_864 });
    expect(names(settings)).toEqual(['CdcMinFileSize']);
    expect(whyOf(settings, 'CdcMinFileSize')).toMatch(/MaxFileSize gives it/);
  });

  test('zeros, which stand for a default', () => {
    const settings = { CdcMaxBatchInterval: 0, CdcMinFileSize: 0, MaxFileSize: '0' };
    expect(read(settings).options).toEqual({});
    expect(names(settings)).toEqual(['CdcMaxBatchInterval', 'CdcMinFileSize', 'MaxFileSize']);
    expect(read({ ...settings, CdcMinFileSize: 100 }).options).toEqual({ maxFileSize: 102_400 });
  });
});
