/** What every object store must do: the suite that each implementation passes. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LongshoreError } from '../errors.ts';
import { describeCopies } from './copies.contract.ts';
import { describeListings } from './listings.contract.ts';
import type {
  BucketSettings,
  CopyOutcome,
  ObjectAttributes,
  ObjectStore,
  PutRequest,
  StoreCapabilities,
} from './object-store.ts';

export interface ContractStore extends AsyncDisposable {
  readonly store: ObjectStore;
  /** Another bucket or folder that the store can copy from. */
  readonly other?: ObjectStore | undefined;
  /** A store whose bucket or folder does not exist. */
  readonly unknown: ObjectStore;
  /** The store with a secret that is wrong, and that secret. */
  readonly locked?: { readonly store: ObjectStore; readonly secret: string } | undefined;
}

/** A kind of keys that the store cannot hold, and why. */
export interface Exclusion {
  readonly reason: string;
  /** @param kept the keys that are to stand beside it */
  excludes(key: string, kept: ReadonlySet<string>): boolean;
}

/** What this store is known to do; the suite holds it to exactly that. */
export interface StoreExpectations {
  readonly capabilities: StoreCapabilities;
  readonly settings: BucketSettings;
  readonly exclusions: readonly Exclusion[];
  /** Whether a put of a key that cannot be held is refused, as it must be where the store is ours to write. */
  readonly refusesExcluded: boolean;
  /** Of {@link SAMPLE_ATTRIBUTES}, what is not kept. */
  readonly attributesLost: readonly (keyof ObjectAttributes)[];
  /** A storage class that the store takes besides STANDARD. */
  readonly storageClass?: string | undefined;
  /** Puts and copies above this size are made in parts of this size; undefined where there are no parts. */
  readonly partBytes?: number | undefined;
  /** Whether a conditional put is decided by the store in one step, so that one of several at once wins. */
  readonly atomicPuts: boolean;
}

export const SAMPLE_ATTRIBUTES = {
  contentType: 'image/png',
  cacheControl: 'max-age=60, public',
  contentDisposition: 'attachment; filename="a b.png"',
  contentEncoding: 'identity',
  contentLanguage: 'de-CH',
  expires: 'Wed, 21 Oct 2037 07:28:00 GMT',
  // "é" in UTF-8, a character a byte.
  metadata: { user: '7', 'two-words': 'a  b; c=d, "e" % + \u00c3\u00a9' },
} as const satisfies ObjectAttributes;

/** What the tests of a suite share. */
export interface ContractContext {
  readonly expects: StoreExpectations;
  readonly store: ObjectStore;
  readonly opened: ContractStore;
  /** Of one test, ending in a slash. */
  newPrefix(): string;
  put(key: string, text?: string | Uint8Array, extra?: Partial<PutRequest>): Promise<CopyOutcome>;
  read(key: string, store?: ObjectStore): Promise<Buffer | undefined>;
}

export function describeObjectStore(
  title: string,
  open: () => Promise<ContractStore>,
  expects: StoreExpectations,
): void {
  describe(title, () => {
    let opened: ContractStore;
    let prefixes = 0;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened?.[Symbol.asyncDispose]());

    const context: ContractContext = {
      expects,
      get store() {
        return opened.store;
      },
      get opened() {
        return opened;
      },
      newPrefix: () => `t${++prefixes}/`,
      put: (key, text = key, extra = {}) => {
        const body = Buffer.from(text as string);
        return opened.store.put({
          key,
          body,
          sizeBytes: body.byteLength,
          attributes: { metadata: {} },
          ifAbsent: false,
          ...extra,
        });
      },
      read: async (key, store = opened.store) => {
        const got = await store.get({ key });
        return got === undefined ? undefined : Buffer.concat(await got.body.toArray());
      },
    };
    describeObjects(context);
    describeListings(context);
    describeCopies(context);
    describeDeletions(context);
    describeFacts(context);
  });
}

/** The attributes the store is expected to keep of those given. */
export function keptOf(attributes: ObjectAttributes, lost: readonly string[]): ObjectAttributes {
  const kept = Object.entries(attributes).filter(([name]) => !lost.includes(name));
  return Object.fromEntries(kept) as unknown as ObjectAttributes;
}

/** Bytes that differ from one another wherever they are cut. */
export function bytesOf(sizeBytes: number): Buffer {
  const block = createHash('sha512').update(String(sizeBytes)).digest();
  return Buffer.alloc(sizeBytes, Buffer.concat([block, Buffer.from('longshore')]));
}

function md5Of(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

function describeObjects(context: ContractContext): void {
  const { expects, newPrefix, put, read } = context;
  const large = Math.floor((expects.partBytes ?? 100_000) * 2.5);

  it('keeps attributes and user metadata, and answers them alike on head and get', async () => {
    const key = `${newPrefix()}a b.png`;
    const outcome = await put(key, 'hello', { attributes: SAMPLE_ATTRIBUTES });
    expect(outcome).toMatchObject({ kind: 'copied', how: 'stream', md5: md5Of(Buffer.from('hello')) });
    const head = await context.store.head(key);
    expect(head?.attributes).toMatchObject(keptOf(SAMPLE_ATTRIBUTES, expects.attributesLost));
    expect(head).toMatchObject({ key, sizeBytes: 5 });
    if (outcome.kind === 'copied') expect(head?.etag).toBe(outcome.etag);
    expect(Math.abs(head!.lastModifiedMs - Date.now())).toBeLessThan(3_600_000);
    const got = await context.store.get({ key, etag: head!.etag });
    expect(String(await got!.body.toArray())).toBe('hello');
    expect({ ...got!.head, checksums: head!.checksums }).toEqual(head);
    const { objects } = await context.store.list({ prefix: key });
    expect(objects).toMatchObject([{ key, sizeBytes: 5, etag: head!.etag, storageClass: 'STANDARD' }]);
  });

  it.runIf(expects.capabilities.tags)('keeps tags', async () => {
    const key = `${newPrefix()}tagged`;
    const tags = [
      { key: 'plain', value: 'b' },
      { key: 'a b+c/d:e=f@g', value: '+ / : = @ .' },
      { key: 'nothing', value: '' },
    ];
    await put(key, 'x', { tags });
    const found = await context.store.tags(key);
    expect(found.sort((a, b) => (a.key < b.key ? -1 : 1))).toEqual(
      tags.sort((a, b) => (a.key < b.key ? -1 : 1)),
    );
    await put(key, 'y');
    expect(await context.store.tags(key)).toEqual([]);
  });

  it('has nothing under a key that was never written', async () => {
    const key = `${newPrefix()}absent`;
    expect(await context.store.head(key)).toBeUndefined();
    expect(await context.store.get({ key })).toBeUndefined();
    expect(await context.store.get({ key, etag: 'x' })).toBeUndefined();
  });

  it('answers a get bound to another ETag with nothing', async () => {
    const key = `${newPrefix()}a`;
    await put(key);
    const { etag } = (await context.store.head(key))!;
    await put(key, 'other content');
    expect(await context.store.get({ key, etag })).toBeUndefined();
  });

  it.each([0, 1, large])('holds %i bytes, given at once or as a stream', async (sizeBytes) => {
    const key = `${newPrefix()}bytes`;
    const bytes = bytesOf(sizeBytes);
    for (const body of [bytes, Readable.from(pieces(bytes))]) {
      const outcome = await put(key, '', { body, sizeBytes });
      expect(outcome).toMatchObject({ kind: 'copied', md5: md5Of(bytes) });
      expect((await context.store.head(key))?.sizeBytes).toBe(sizeBytes);
      expect((await read(key))?.equals(bytes)).toBe(true);
    }
  });

  it.each([10, large])(
    'refuses a body that is not %i bytes long, and keeps nothing of it',
    async (sizeBytes) => {
      const key = `${newPrefix()}short`;
      for (const body of [bytesOf(sizeBytes - 1), Readable.from(pieces(bytesOf(sizeBytes - 1)))]) {
        await expect(put(key, '', { body, sizeBytes })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
        expect(await context.store.head(key)).toBeUndefined();
      }
    },
  );

  it('passes on what breaks the body, and keeps nothing of it', async () => {
    const key = `${newPrefix()}broken`;
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from('half');
        throw new LongshoreError('STORE_TIMEOUT', 'the other side is silent');
      })(),
    );
    await expect(put(key, '', { body: broken, sizeBytes: 8 })).rejects.toMatchObject({
      code: 'STORE_TIMEOUT',
    });
    expect(await context.store.head(key)).toBeUndefined();
  });

  it('writes a stream of a size that nobody knows, whole or not at all', async () => {
    const prefix = newPrefix();
    for (const sizeBytes of [0, 1, 5_000_000, 8 * 1024 ** 2, 8 * 1024 ** 2 + 1, large]) {
      const key = `${prefix}${sizeBytes}`;
      const body = Readable.from(pieces(bytesOf(sizeBytes)));
      const outcome = await put(key, '', { body, sizeBytes: undefined });
      expect(outcome).toMatchObject({ kind: 'copied' });
      expect((await read(key))?.equals(bytesOf(sizeBytes))).toBe(true);
    }
    for (const sizeBytes of [1, large]) {
      const key = `${prefix}broken-${sizeBytes}`;
      const body = Readable.from(
        (async function* () {
          yield bytesOf(sizeBytes);
          throw new LongshoreError('STORE_TIMEOUT', 'the source broke off');
        })(),
      );
      await expect(put(key, '', { body, sizeBytes: undefined })).rejects.toMatchObject({
        code: 'STORE_TIMEOUT',
      });
      expect(await context.store.head(key)).toBeUndefined();
    }
  });

  it.runIf(expects.capabilities.conditionalPut)('writes an absent key once', async () => {
    const prefix = newPrefix();
    for (const sizeBytes of [3, large]) {
      const key = `${prefix}${sizeBytes}`;
      const extra = { body: bytesOf(sizeBytes), sizeBytes, ifAbsent: true };
      expect(await put(key, '', extra)).toMatchObject({ kind: 'copied' });
      expect(await put(key, '', { ...extra, attributes: SAMPLE_ATTRIBUTES })).toEqual({
        kind: 'target-exists',
      });
      expect((await context.store.head(key))?.attributes.metadata).toEqual({});
    }
  });

  it.runIf(expects.capabilities.conditionalPut)(
    'overwrites the object with the ETag given, and no other',
    async () => {
      const key = `${newPrefix()}a`;
      await put(key, 'one');
      const first = (await context.store.head(key))!.etag;
      expect(await put(key, 'two', { ifTargetEtag: first })).toMatchObject({ kind: 'copied' });
      expect(await put(key, 'three', { ifTargetEtag: first })).toEqual({ kind: 'target-exists' });
      expect(String(await read(key))).toBe('two');
    },
  );

  it.runIf(expects.atomicPuts)('lets exactly one of several conditional puts win', async () => {
    const prefix = newPrefix();
    for (let round = 0; round < 5; round++) {
      const key = `${prefix}folder-${round}/raced`;
      const settled = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) =>
          put(key, `content ${i}`, { ifAbsent: true, attributes: { metadata: { writer: String(i) } } }),
        ),
      );
      const winners = settled.flatMap((one, i) =>
        one.status === 'fulfilled' && one.value.kind === 'copied' ? [i] : [],
      );
      expect(winners).toHaveLength(1);
      expect(String(await read(key))).toBe(`content ${winners[0]}`);
      expect((await context.store.head(key))?.attributes.metadata).toEqual({ writer: String(winners[0]) });
    }
  });

  it('stops at a signal with its reason, and leaves nothing half done', async () => {
    const key = `${newPrefix()}aborted`;
    const reason = new Error('enough');
    const aborted = AbortSignal.abort(reason);
    const { store } = context;
    await expect(store.head(key, aborted)).rejects.toBe(reason);
    await expect(store.list({ prefix: '' }, aborted)).rejects.toBe(reason);
    await expect(store.get({ key }, aborted)).rejects.toBe(reason);
    await expect(store.delete([{ key }], aborted)).rejects.toBe(reason);
    const controller = new AbortController();
    const body = Readable.from(
      (async function* () {
        yield bytesOf(large - 1);
        controller.abort(reason);
        yield Buffer.from('x');
      })(),
    );
    const request = { key, body, sizeBytes: large, attributes: { metadata: {} }, ifAbsent: false };
    await expect(store.put(request, controller.signal)).rejects.toBe(reason);
    expect(await store.head(key)).toBeUndefined();
    expect((await store.list({ prefix: key })).objects).toEqual([]);
  });
}

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  const step = Math.max(1, Math.ceil(bytes.byteLength / 7));
  for (let at = 0; at < bytes.byteLength; at += step) yield bytes.subarray(at, at + step);
}

function describeDeletions(context: ContractContext): void {
  const { expects, newPrefix, put } = context;
  const { conditionalDelete } = expects.capabilities;

  it('deletes many, and counts a missing key as deleted', async () => {
    const prefix = newPrefix();
    const keys = Array.from({ length: 30 }, (_, i) => `${prefix}folder/${i} & <${i}>.png`);
    for (const key of keys) await put(key, 'x');
    const requests = [...keys, `${prefix}never-was`].map((key) => ({ key }));
    const outcomes = await context.store.delete(requests);
    expect(outcomes).toHaveLength(31);
    expect(new Set(outcomes.map((outcome) => outcome.kind))).toEqual(new Set(['deleted']));
    expect((await context.store.list({ prefix })).objects).toEqual([]);
    expect(await context.store.delete([{ key: keys[0]! }])).toEqual([{ kind: 'deleted' }]);
    expect(await context.store.delete([])).toEqual([]);
  });

  it.runIf(conditionalDelete === 'batch')('deletes of a batch what still has its ETag', async () => {
    const prefix = newPrefix();
    const etags = new Map<string, string>();
    for (const name of ['kept', 'gone', 'free']) {
      await put(prefix + name, `old ${name}`);
      etags.set(name, (await context.store.head(prefix + name))!.etag);
    }
    await put(`${prefix}kept`, 'written by another');
    const outcomes = await context.store.delete([
      { key: `${prefix}kept`, etag: etags.get('kept') },
      { key: `${prefix}gone`, etag: etags.get('gone') },
      { key: `${prefix}free` },
      { key: `${prefix}absent`, etag: etags.get('gone') },
    ]);
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['changed', 'deleted', 'deleted', 'absent']);
    const left = (await context.store.list({ prefix })).objects.map((object) => object.key);
    expect(left).toEqual([`${prefix}kept`]);
  });

  it.runIf(conditionalDelete !== 'none')('deletes one object only if it still has its ETag', async () => {
    const key = `${newPrefix()}a`;
    await put(key, 'one');
    const { etag } = (await context.store.head(key))!;
    await put(key, 'two, by another');
    expect(await context.store.delete([{ key, etag }])).toEqual([{ kind: 'changed' }]);
    const now = (await context.store.head(key))!.etag;
    expect(await context.store.delete([{ key, etag: now }])).toEqual([{ kind: 'deleted' }]);
    // A store may not tell what it found.
    const [again] = await context.store.delete([{ key, etag: now }]);
    expect(['absent', 'deleted']).toContain(again?.kind);
  });
}

function describeFacts(context: ContractContext): void {
  const { expects, newPrefix } = context;

  it('finds what the store is known to do, and leaves no marker behind', async () => {
    const prefix = newPrefix();
    expect(await context.store.capabilities(prefix)).toEqual(expects.capabilities);
    expect((await context.store.list({ prefix })).objects).toEqual([]);
  });

  it('reads the settings', async () => {
    expect(await context.store.settings()).toEqual(expects.settings);
  });

  it('says BUCKET_NOT_FOUND where there is no such bucket', async () => {
    const { unknown } = context.opened;
    const missing = { code: 'BUCKET_NOT_FOUND' };
    await expect(unknown.list({ prefix: '' })).rejects.toMatchObject(missing);
    await expect(unknown.settings()).rejects.toMatchObject(missing);
    const request = { key: 'a', body: Buffer.from('a'), sizeBytes: 1, attributes: { metadata: {} } };
    await expect(unknown.put({ ...request, ifAbsent: false })).rejects.toMatchObject(missing);
    await expect(unknown.get({ key: 'a' })).rejects.toMatchObject(missing);
  });

  it('refuses wrong credentials without telling the secret', async () => {
    const { locked } = context.opened;
    if (locked === undefined) return;
    const error = await locked.store.list({ prefix: '' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LongshoreError);
    expect(['STORE_CREDENTIALS', 'STORE_DENIED']).toContain((error as LongshoreError).code);
    const told = JSON.stringify([
      error,
      String(error),
      (error as Error).stack,
      (error as LongshoreError).hint,
    ]);
    expect(told).not.toContain(locked.secret);
  });
}
