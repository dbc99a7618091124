/** One S3 bucket as an ObjectStore, over any endpoint that speaks S3. */

import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { LongshoreError } from '../../errors.ts';
import type {
  BucketSettings,
  CopyOutcome,
  CopyRequest,
  DeleteOutcome,
  DeleteRequest,
  ListPage,
  ObjectHead,
  ObjectStore,
  ObjectTag,
  PutRequest,
  StoreCapabilities,
} from '../object-store.ts';
import { headOf } from './attributes.ts';
import { copyObject } from './copy.ts';
import { deleteObjects } from './delete.ts';
import { ListOrderCheck, listPage, type UrlEncoding } from './list.ts';
import { type MadeBucket, makeBucket } from './make-bucket.ts';
import { probeCapabilities } from './probe.ts';
import { putObject } from './put.ts';
import { errorCodeOf } from './response-error.ts';
import { S3Client, type S3Limits } from './s3-client.ts';
import { readSettings } from './settings.ts';
import { S3Wire, type WireOptions, type WireRequest, type WireResponse } from './wire.ts';
import { elements, elementText } from './xml.ts';

export interface S3StoreOptions extends WireOptions {
  readonly limits: S3Limits;
  /** Who the credentials belong to; two stores with one identity and endpoint can copy between them. */
  readonly identity: string;
  /** Where set, overrides what {@link S3Store.capabilities} finds. */
  readonly capabilities?: Partial<StoreCapabilities> | undefined;
}

export class S3Store implements ObjectStore {
  readonly kind = 's3';
  readonly name: string;
  readonly bucket: string;
  readonly #options: S3StoreOptions;
  readonly #wire: S3Wire;
  readonly #client: S3Client;
  #capabilities: Promise<StoreCapabilities> | undefined;
  #urlEncoding: UrlEncoding = 'plus';

  constructor(options: S3StoreOptions) {
    this.#options = options;
    this.bucket = options.bucket;
    this.name = `s3://${options.bucket}`;
    this.#wire = new S3Wire(options);
    this.#client = new S3Client(this.#wire, options.limits);
  }

  /** How many requests this store has sent. */
  get requests(): number {
    return this.#wire.requests;
  }

  /** Makes the bucket, where there is none. @throws STORE_DENIED for one of somebody else, BUCKET_REGION */
  makeBucket(signal?: AbortSignal): Promise<MadeBucket> {
    return makeBucket(this.#client, signal);
  }

  list(
    request: { prefix: string; startAfter?: string | undefined; limit?: number | undefined },
    signal?: AbortSignal,
  ): Promise<ListPage> {
    return listPage(this.#client, request, this.#urlEncoding, new ListOrderCheck(request), signal);
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    const request: WireRequest = { method: 'HEAD', key, headers: [['x-amz-checksum-mode', 'ENABLED']] };
    const response = await this.#wire.send(request, signal);
    if (response.status === 404) return undefined;
    if (response.status >= 300) throw await this.#headError(request, response, signal);
    return headOf(key, response.headers);
  }

  /** The answer to a HEAD has no body to say what is wrong; that to a GET of one byte has. */
  async #headError(
    request: WireRequest,
    response: WireResponse,
    signal: AbortSignal | undefined,
  ): Promise<LongshoreError> {
    if (response.status !== 400 && response.status !== 403)
      return this.#client.error('s3:GetObject', request, response);
    const get: WireRequest = { ...request, method: 'GET', headers: [['range', 'bytes=0-0']] };
    const told = await this.#wire.send(get, signal);
    return this.#client.error('s3:GetObject', request, told.status === response.status ? told : response);
  }

  /** The size of the first part of a multipart object and how many there are; undefined where it cannot be told. */
  async partLayout(
    key: string,
    signal?: AbortSignal,
  ): Promise<{ firstPartBytes: number; partsCount: number } | undefined> {
    const request: WireRequest = { method: 'HEAD', key, query: [['partNumber', '1']] };
    const response = await this.#wire.send(request, signal);
    if (response.status >= 300) return undefined;
    const partsCount = Number(response.headers.get('x-amz-mp-parts-count'));
    const firstPartBytes = Number(response.headers.get('content-length'));
    return partsCount > 0 && firstPartBytes > 0 ? { firstPartBytes, partsCount } : undefined;
  }

  async get(
    request: { key: string; etag?: string | undefined },
    signal?: AbortSignal,
  ): Promise<{ head: ObjectHead; body: Readable } | undefined> {
    const wire: WireRequest = {
      method: 'GET',
      key: request.key,
      headers: request.etag === undefined ? [] : [['if-match', `"${request.etag}"`]],
    };
    const { status, headers, body } = await this.#wire.stream(wire, signal);
    // A body that is given up ends with an error; whoever reads it gets it from the stream itself.
    body.on('error', () => undefined);
    if (status < 300) {
      const head = headOf(request.key, headers);
      if (request.etag !== undefined && head.etag !== request.etag) {
        body.destroy();
        return undefined;
      }
      return { head, body };
    }
    let text = '';
    for await (const chunk of body) text += String(chunk);
    const response = { status, headers, body: text };
    const code = errorCodeOf(response);
    if (code === 'NoSuchKey' || status === 412) return undefined;
    throw this.#client.error('s3:GetObject', wire, response);
  }

  put(request: PutRequest, signal?: AbortSignal): Promise<CopyOutcome> {
    return putObject(this.#client, request, signal);
  }

  canCopyFrom(source: ObjectStore): boolean {
    if (!(source instanceof S3Store)) return false;
    const mine = this.#options;
    const theirs = source.#options;
    if (mine.identity !== theirs.identity) return false;
    return (
      mine.endpoint.origin === theirs.endpoint.origin || (isAws(mine.endpoint) && isAws(theirs.endpoint))
    );
  }

  async copyFrom(source: ObjectStore, request: CopyRequest, signal?: AbortSignal): Promise<CopyOutcome> {
    if (!this.canCopyFrom(source)) {
      throw new LongshoreError('STORE_UNSUPPORTED', `${this.name} cannot copy from ${source.name} by itself`);
    }
    return copyObject(this.#client, source, request, signal);
  }

  delete(requests: readonly DeleteRequest[], signal?: AbortSignal): Promise<DeleteOutcome[]> {
    return deleteObjects(this.#client, requests, signal);
  }

  async tags(key: string, signal?: AbortSignal): Promise<ObjectTag[]> {
    const request: WireRequest = { method: 'GET', key, query: [['tagging', '']] };
    const { body } = await this.#client.document('s3:GetObjectTagging', request, 'Tagging', signal);
    return [...elements(body, 'Tag')].map((tag) => ({
      key: elementText(tag, 'Key') ?? '',
      value: elementText(tag, 'Value') ?? '',
    }));
  }

  async copyAcl(
    source: ObjectStore,
    sourceKey: string,
    targetKey: string,
    signal?: AbortSignal,
  ): Promise<void> {
    if (!(source instanceof S3Store)) return;
    const read: WireRequest = { method: 'GET', key: sourceKey, query: [['acl', '']] };
    const acl = await source.#client.document('s3:GetObjectAcl', read, 'AccessControlPolicy', signal);
    const body = acl.body;
    const write: WireRequest = {
      method: 'PUT',
      key: targetKey,
      query: [['acl', '']],
      headers: [
        ['content-type', 'application/xml'],
        ['content-md5', createHash('md5').update(body).digest('base64')],
      ],
      body,
    };
    await this.#client.ok('s3:PutObjectAcl', write, signal);
  }

  capabilities(prefix: string, signal?: AbortSignal): Promise<StoreCapabilities> {
    this.#capabilities ??= probeCapabilities(this.#client, this, prefix, signal).then(
      (found) => {
        const result = { ...found, ...this.#options.capabilities };
        this.#urlEncoding = result.listing.urlEncoding;
        return result;
      },
      (error: unknown) => {
        this.#capabilities = undefined;
        throw error;
      },
    );
    return this.#capabilities;
  }

  settings(signal?: AbortSignal): Promise<BucketSettings> {
    return readSettings(this.#client, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#wire[Symbol.asyncDispose]();
  }
}

function isAws(endpoint: URL): boolean {
  return /\.amazonaws\.com(\.cn)?$/.test(endpoint.hostname);
}
