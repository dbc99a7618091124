/** The part of the object stores' contract that is about copies inside the store. */

import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { bytesOf, type ContractContext, keptOf, SAMPLE_ATTRIBUTES } from './object-store.contract.ts';
import type { CopyOutcome, CopyRequest, ObjectStore } from './object-store.ts';

export function describeCopies(context: ContractContext): void {
  const { expects, newPrefix, put, read } = context;
  const { partBytes, capabilities } = expects;
  const tags = [{ key: 'a b', value: 'c+d' }];

  const copy = (
    sourceKey: string,
    targetKey: string,
    extra: Partial<CopyRequest> = {},
    source: ObjectStore = context.store,
  ): Promise<CopyOutcome> => {
    const request = { sourceKey, targetKey, ifAbsent: true, keep: { tags: true }, ...extra };
    return context.store.copyFrom(source, request);
  };
  const putSample = (key: string, bytes: Uint8Array = Buffer.from('sample')): Promise<CopyOutcome> =>
    put(key, bytes, { attributes: SAMPLE_ATTRIBUTES, ...(capabilities.tags ? { tags } : {}) });
  const expectSample = async (key: string, bytes: Uint8Array): Promise<void> => {
    expect((await read(key))?.equals(bytes)).toBe(true);
    const head = await context.store.head(key);
    expect(head?.attributes).toMatchObject(keptOf(SAMPLE_ATTRIBUTES, expects.attributesLost));
    if (capabilities.tags) expect(await context.store.tags(key)).toEqual(tags);
  };

  it('copies an object with all that belongs to it', async () => {
    const prefix = newPrefix();
    await putSample(`${prefix}a`);
    const { etag } = (await context.store.head(`${prefix}a`))!;
    expect(context.store.canCopyFrom(context.store)).toBe(true);
    const outcome = await copy(`${prefix}a`, `${prefix}b`, { sourceEtag: etag, sizeBytes: 6 });
    expect(outcome).toMatchObject({ kind: 'copied', how: 'server' });
    await expectSample(`${prefix}b`, Buffer.from('sample'));
    if (outcome.kind === 'copied') expect((await context.store.head(`${prefix}b`))?.etag).toBe(outcome.etag);
  });

  it('copies from another bucket or folder', async () => {
    const { other } = context.opened;
    if (other === undefined) return;
    const prefix = newPrefix();
    const body = Buffer.from('from the other side');
    await other.put({
      key: `${prefix}a + b`,
      body,
      sizeBytes: body.byteLength,
      attributes: SAMPLE_ATTRIBUTES,
      ...(capabilities.tags ? { tags } : {}),
      ifAbsent: false,
    });
    expect(context.store.canCopyFrom(other)).toBe(true);
    expect(await copy(`${prefix}a + b`, `${prefix}b`, {}, other)).toMatchObject({ kind: 'copied' });
    await expectSample(`${prefix}b`, body);
  });

  it.runIf(capabilities.tags)('leaves tags out where they are not to be kept', async () => {
    const prefix = newPrefix();
    await putSample(`${prefix}a`);
    await copy(`${prefix}a`, `${prefix}b`, { keep: { tags: false } });
    expect(await context.store.tags(`${prefix}b`)).toEqual([]);
  });

  it.runIf(capabilities.conditionalCopy)('does not overwrite what is there', async () => {
    const prefix = newPrefix();
    await put(`${prefix}a`, 'new');
    await put(`${prefix}b`, 'old');
    const { etag } = (await context.store.head(`${prefix}a`))!;
    expect(await copy(`${prefix}a`, `${prefix}b`)).toEqual({ kind: 'target-exists' });
    expect(await copy(`${prefix}a`, `${prefix}b`, { sourceEtag: etag })).toEqual({ kind: 'target-exists' });
    expect(String(await read(`${prefix}b`))).toBe('old');
    expect(await copy(`${prefix}a`, `${prefix}b`, { ifAbsent: false })).toMatchObject({ kind: 'copied' });
    expect(String(await read(`${prefix}b`))).toBe('new');
  });

  it.runIf(capabilities.conditionalCopy)(
    'overwrites the target with the ETag given, and no other',
    async () => {
      const prefix = newPrefix();
      await put(`${prefix}a`, 'new');
      await put(`${prefix}b`, 'old');
      const first = (await context.store.head(`${prefix}b`))!.etag;
      const repair = { ifAbsent: false, ifTargetEtag: first };
      expect(await copy(`${prefix}a`, `${prefix}b`, repair)).toMatchObject({ kind: 'copied' });
      await put(`${prefix}b`, 'third');
      expect(await copy(`${prefix}a`, `${prefix}b`, repair)).toEqual({ kind: 'target-exists' });
      expect(String(await read(`${prefix}b`))).toBe('third');
    },
  );

  it.runIf(capabilities.conditionalCopySource)('says when the source is another one now', async () => {
    const prefix = newPrefix();
    await put(`${prefix}a`, 'one');
    const { etag } = (await context.store.head(`${prefix}a`))!;
    await put(`${prefix}a`, 'two, by another');
    expect(await copy(`${prefix}a`, `${prefix}b`, { sourceEtag: etag })).toEqual({ kind: 'source-changed' });
    expect(await context.store.head(`${prefix}b`)).toBeUndefined();
    if (partBytes === undefined) return;
    const inParts = { sourceEtag: etag, partBytes };
    expect(await copy(`${prefix}a`, `${prefix}b`, inParts)).toEqual({ kind: 'source-changed' });
  });

  it('says when the source is missing', async () => {
    const prefix = newPrefix();
    const missing = { kind: 'source-missing' };
    expect(await copy(`${prefix}absent`, `${prefix}b`)).toEqual(missing);
    expect(await copy(`${prefix}absent`, `${prefix}b`, { sourceEtag: 'x' })).toEqual(missing);
    if (partBytes !== undefined)
      expect(await copy(`${prefix}absent`, `${prefix}b`, { partBytes })).toEqual(missing);
    expect(await context.store.head(`${prefix}b`)).toBeUndefined();
  });

  it.runIf(expects.atomicPuts && capabilities.conditionalCopy)(
    'lets exactly one of several copies win',
    async () => {
      const prefix = newPrefix();
      for (let i = 0; i < 6; i++) await put(`${prefix}source-${i}`, `content ${i}`);
      const settled = await Promise.allSettled(
        Array.from({ length: 6 }, (_, i) => copy(`${prefix}source-${i}`, `${prefix}target`)),
      );
      const winners = settled.flatMap((one, i) =>
        one.status === 'fulfilled' && one.value.kind === 'copied' ? [i] : [],
      );
      expect(winners).toHaveLength(1);
      expect(String(await read(`${prefix}target`))).toBe(`content ${winners[0]}`);
    },
  );

  it.runIf(expects.storageClass !== undefined)('keeps the storage class asked for', async () => {
    const { storageClass } = expects;
    const prefix = newPrefix();
    await put(`${prefix}a`, 'x');
    await copy(`${prefix}a`, `${prefix}b`, { storageClass });
    await copy(`${prefix}a`, `${prefix}c`, { storageClass: 'STANDARD' });
    const { objects } = await context.store.list({ prefix });
    expect(objects.map((object) => object.storageClass)).toEqual(['STANDARD', storageClass, 'STANDARD']);
    expect((await context.store.head(`${prefix}b`))?.attributes.storageClass).toBe(storageClass);
  });

  it.runIf(partBytes !== undefined && capabilities.partCopy)('copies in parts above the limit', async () => {
    const prefix = newPrefix();
    const bytes = bytesOf(Math.floor(partBytes! * 2.5));
    await putSample(`${prefix}a`, bytes);
    for (const [target, sizeBytes] of [
      ['known', bytes.byteLength],
      ['asked', undefined],
    ] as const) {
      expect(await copy(`${prefix}a`, prefix + target, { sizeBytes })).toMatchObject({ kind: 'copied' });
      await expectSample(prefix + target, bytes);
      if (!capabilities.conditionalCopy) continue;
      expect(await copy(`${prefix}a`, prefix + target, { sizeBytes })).toEqual({ kind: 'target-exists' });
    }
  });

  it.runIf(partBytes !== undefined && capabilities.partCopy)(
    'keeps a part layout, and with it the ETag',
    async () => {
      const prefix = newPrefix();
      for (const sizeBytes of [Math.floor(partBytes! * 2.5), partBytes! * 2, partBytes! - 1, 0]) {
        const bytes = bytesOf(sizeBytes);
        const source = `${prefix}source-${sizeBytes}`;
        const target = `${prefix}target-${sizeBytes}`;
        const written = await put(source, bytes, { partBytes });
        if (capabilities.etag === 'md5') {
          expect(written).toMatchObject({ etag: multipartEtag(bytes, partBytes!) });
        }
        const { etag } = (await context.store.head(source))!;
        const copied = await copy(source, target, { sourceEtag: etag, partBytes });
        expect(copied).toMatchObject({ kind: 'copied', how: 'parts', etag });
        expect((await read(target))?.equals(bytes)).toBe(true);
      }
    },
  );
}

/** The MD5 of the parts' MD5s, and how many there are. */
function multipartEtag(bytes: Uint8Array, partBytes: number): string {
  const digests: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.byteLength; at += partBytes) {
    digests.push(
      createHash('md5')
        .update(bytes.subarray(at, at + partBytes))
        .digest(),
    );
  }
  return `${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${digests.length}`;
}
