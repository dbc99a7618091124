/**
 * Finds out what a store can do by doing it to marker objects, which are removed afterwards.
 *
 * Each answer is what was seen: a store may ignore a condition without a word, so a condition counts as honoured
 * only when a request that must fail by it did fail, and the object shows that nothing happened.
 */

import { createHash, randomUUID } from 'node:crypto';
import { isRetryable, LongshoreError } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import { compareKeys } from '../key-order.ts';
import type { CopyOutcome, ObjectStore, PutRequest, StoreCapabilities } from '../object-store.ts';
import { listPage, type UrlEncoding } from './list.ts';
import { abortUpload, createUpload } from './multipart.ts';
import type { S3Client } from './s3-client.ts';
import { encodeKey } from './sign.ts';
import type { WireRequest } from './wire.ts';
import { elementText } from './xml.ts';

const NO_ORDER_CHECK = { check: () => undefined };
/** Markers of a process that was killed are removed by the next one, when they are surely nobody's any more. */
const STALE_MS = 10 * 60_000;
const WRONG_ETAG = '00000000000000000000000000000000';

/** @param prefix under which the markers are made; they are named `<prefix>.longshore-probe-<uuid>/…` */
export async function probeCapabilities(
  client: S3Client,
  store: ObjectStore,
  prefix: string,
  signal?: AbortSignal,
): Promise<StoreCapabilities> {
  const probe = new Probe(client, store, `${prefix}.longshore-probe-`, signal);
  try {
    return await probe.run();
  } finally {
    await probe.clean();
  }
}

class Probe {
  readonly #client: S3Client;
  readonly #store: ObjectStore;
  readonly #markers: string;
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;
  readonly #made = new Set<string>();

  constructor(client: S3Client, store: ObjectStore, markers: string, signal: AbortSignal | undefined) {
    this.#client = client;
    this.#store = store;
    this.#markers = markers;
    this.#folder = `${markers}${randomUUID().slice(0, 8)}/`;
    this.#signal = signal;
  }

  async run(): Promise<StoreCapabilities> {
    // Markers that could not be removed again must not be made: the right to delete is tried on a key that is not there.
    await this.#retried(() => this.#store.delete([{ key: `${this.#folder}absent` }], this.#signal));
    const body = Buffer.from('longshore');
    const put = await this.#put('plain', body);
    const md5 = createHash('md5').update(body).digest('hex');
    const etag = put.kind === 'copied' ? put.etag : '';
    const [conditionalPut, copies, partCopy, tags, acl, checksums] = await Promise.all([
      this.#conditionalPut(),
      this.#copies(etag),
      this.#partCopy(),
      this.#tags(),
      this.#acl(),
      this.#checksums(body),
    ]);
    return {
      conditionalPut,
      ...copies,
      partCopy,
      tags,
      acl,
      etag: etag === md5 ? 'md5' : 'opaque',
      checksums,
      // Deletion and listings look at the markers as they are, so they come one after the other.
      listing: await this.#listing(),
      conditionalDelete: await this.#conditionalDelete(),
    };
  }

  async clean(): Promise<void> {
    const keys = [...this.#made].map((name) => ({ key: this.#folder + name }));
    if (keys.length === 0) return;
    keys.push(...(await this.#staleMarkers()));
    await withRetry(() => this.#store.delete(keys));
  }

  /** By the store's own clock: those that are much older than the markers just made. */
  async #staleMarkers(): Promise<{ key: string }[]> {
    const request = { prefix: this.#markers, limit: 500 };
    const page = await withRetry(() => listPage(this.#client, request, 'none', NO_ORDER_CHECK));
    const ours = page.objects.find(({ key }) => key.startsWith(this.#folder));
    if (ours === undefined) return [];
    return page.objects
      .filter(({ lastModifiedMs }) => lastModifiedMs < ours.lastModifiedMs - STALE_MS)
      .map(({ key }) => ({ key }));
  }

  #put(name: string, body: Uint8Array, extra: Partial<PutRequest> = {}): Promise<CopyOutcome> {
    this.#made.add(name);
    return this.#retried(() =>
      this.#store.put(
        {
          key: this.#folder + name,
          body,
          sizeBytes: body.byteLength,
          attributes: { metadata: {} },
          ifAbsent: false,
          ...extra,
        },
        this.#signal,
      ),
    );
  }

  async #conditionalPut(): Promise<boolean> {
    await this.#put('put', Buffer.from('1'));
    return this.#cannot(async () => {
      const second = await this.#put('put', Buffer.from('2'), { ifAbsent: true });
      return second.kind === 'target-exists';
    });
  }

  async #copies(
    etag: string,
  ): Promise<Pick<StoreCapabilities, 'serverSideCopy' | 'conditionalCopy' | 'conditionalCopySource'>> {
    const copied = (headers: [string, string][]): Promise<{ status: number; etag?: string | undefined }> =>
      this.#copy('copied', headers);
    const first = await copied([]);
    if (first.status >= 300 || first.etag === undefined) {
      return { serverSideCopy: false, conditionalCopy: false, conditionalCopySource: false };
    }
    return {
      serverSideCopy: true,
      conditionalCopy: (await copied([['if-none-match', '*']])).status === 412,
      conditionalCopySource:
        (await copied([['x-amz-copy-source-if-match', `"${WRONG_ETAG}"`]])).status === 412 &&
        (await copied([['x-amz-copy-source-if-match', `"${etag}"`]])).status < 300,
    };
  }

  async #copy(
    target: string,
    headers: [string, string][],
  ): Promise<{ status: number; etag?: string | undefined }> {
    this.#made.add(target);
    const request: WireRequest = {
      method: 'PUT',
      key: this.#folder + target,
      headers: [
        ['x-amz-copy-source', `/${this.#client.bucket}/${encodeKey(`${this.#folder}plain`)}`],
        ...headers,
      ],
    };
    return this.#retried(async () => {
      const response = await this.#client.wire.send(request, this.#signal);
      if (response.status < 300) {
        this.#client.checkDocument('s3:PutObject', request, response, 'CopyObjectResult');
        return { status: response.status, etag: elementText(response.body, 'ETag') };
      }
      const error = this.#client.error('s3:PutObject', request, response);
      if (isRetryable(error)) throw error;
      return { status: response.status };
    });
  }

  #retried<T>(operation: () => Promise<T>): Promise<T> {
    return withRetry(operation, undefined, { signal: this.#signal });
  }

  async #partCopy(): Promise<boolean> {
    const key = `${this.#folder}parts`;
    return this.#cannot(async () => {
      const uploadId = await createUpload(this.#client, key, [], [], this.#signal);
      try {
        const response = await this.#client.document(
          's3:PutObject',
          {
            method: 'PUT',
            key,
            query: [
              ['partNumber', '1'],
              ['uploadId', uploadId],
            ],
            headers: [
              ['x-amz-copy-source', `/${this.#client.bucket}/${encodeKey(`${this.#folder}plain`)}`],
              ['x-amz-copy-source-range', 'bytes=2-5'],
            ],
          },
          'CopyPartResult',
          this.#signal,
        );
        const etag = elementText(response.body, 'ETag')?.replaceAll('"', '');
        const md5 = createHash('md5').update('ngsh').digest('hex');
        // Where ETags are MD5s, the range is seen to be honoured too.
        return etag !== undefined && (etag.length !== 32 || etag === md5);
      } finally {
        await abortUpload(this.#client, key, uploadId);
      }
    });
  }

  async #tags(): Promise<boolean> {
    return this.#cannot(async () => {
      await this.#put('tagged', Buffer.from('t'), { tags: [{ key: 'longshore', value: 'probe' }] });
      const tags = await this.#store.tags(`${this.#folder}tagged`, this.#signal);
      return tags.some((tag) => tag.key === 'longshore' && tag.value === 'probe');
    });
  }

  async #acl(): Promise<boolean> {
    return this.#cannot(async () => {
      await this.#put('acl', Buffer.from('a'));
      await this.#store.copyAcl(this.#store, `${this.#folder}acl`, `${this.#folder}acl`, this.#signal);
      return true;
    });
  }

  async #checksums(body: Uint8Array): Promise<boolean> {
    const value = createHash('sha256').update(body).digest('base64');
    this.#made.add('checksum');
    return this.#cannot(async () => {
      const key = `${this.#folder}checksum`;
      await this.#client.ok(
        's3:PutObject',
        { method: 'PUT', key, headers: [['x-amz-checksum-sha256', value]], body },
        this.#signal,
      );
      const head = await this.#store.head(key, this.#signal);
      return head?.checksums.some((c) => c.algorithm === 'SHA256' && c.value === value) ?? false;
    });
  }

  /** Markers whose names tell encodings and orders apart: U+FF5E sorts before an emoji in bytes, after it in UTF-16. */
  async #listing(): Promise<StoreCapabilities['listing']> {
    const names = ['list/a b+c', 'list/Z', 'list/a', 'list/～', 'list/😀'];
    await Promise.all(names.map((name) => this.#put(name, Buffer.from('l'))));
    const wanted = names.map((name) => this.#folder + name).sort(compareKeys);
    for (const urlEncoding of ['plus', 'percent', 'none'] as const satisfies readonly UrlEncoding[]) {
      const found = await this.#listed(urlEncoding);
      if (found === undefined || found.length !== wanted.length) continue;
      if (!wanted.every((key) => found.includes(key))) continue;
      return { urlEncoding, bytewise: wanted.every((key, i) => found[i] === key) };
    }
    throw new LongshoreError(
      'STORE_UNSUPPORTED',
      `${this.#store.name} does not list what was just written to ${this.#folder}`,
      { hint: 'the store may be eventually consistent; ask for a stronger consistency level' },
    );
  }

  async #listed(urlEncoding: UrlEncoding): Promise<string[] | undefined> {
    try {
      const request = { prefix: `${this.#folder}list/` };
      const page = await this.#retried(() =>
        listPage(this.#client, request, urlEncoding, NO_ORDER_CHECK, this.#signal),
      );
      return page.objects.map((object) => object.key);
    } catch (error) {
      if (error instanceof URIError) return undefined;
      if (error instanceof LongshoreError && !isRetryable(error) && error.code !== 'STORE_DENIED')
        return undefined;
      throw error;
    }
  }

  async #conditionalDelete(): Promise<'batch' | 'single' | 'none'> {
    await Promise.all(['kept1', 'kept2', 'kept3'].map((name) => this.#put(name, Buffer.from('k'))));
    const key = (name: string): string => this.#folder + name;
    const stays = async (name: string): Promise<boolean> =>
      (await this.#store.head(key(name), this.#signal)) !== undefined;
    const batch = await this.#cannot(async () => {
      const requests = ['kept1', 'kept2'].map((name) => ({ key: key(name), etag: WRONG_ETAG }));
      const outcomes = await this.#store.delete(requests, this.#signal);
      return outcomes.every((o) => o.kind !== 'deleted') && (await stays('kept1')) && (await stays('kept2'));
    });
    if (batch) return 'batch';
    const single = await this.#cannot(async () => {
      const [outcome] = await this.#store.delete([{ key: key('kept3'), etag: WRONG_ETAG }], this.#signal);
      return outcome?.kind === 'changed' && (await stays('kept3'));
    });
    return single ? 'single' : 'none';
  }

  /** What a probe answers; an error that is the store's "no" is a no. */
  async #cannot(probe: () => Promise<boolean>): Promise<boolean> {
    try {
      return await this.#retried(probe);
    } catch (error) {
      if (error instanceof LongshoreError && NO.has(error.code)) return false;
      throw error;
    }
  }
}

const NO = new Set(['STORE_DENIED', 'STORE_UNSUPPORTED', 'OBJECT_FAILED']);
