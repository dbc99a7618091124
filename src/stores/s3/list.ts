/** A page of a bucket's listing by ListObjectsV2, its order checked. */

import { LongshoreError } from '../../errors.ts';
import { compareKeys } from '../key-order.ts';
import type { ListPage } from '../object-store.ts';
import type { S3Client } from './s3-client.ts';
import type { WireRequest } from './wire.ts';
import { decodeUrlKey, elementText, parseContents } from './xml.ts';

/** How a store writes keys under `encoding-type=url`: space as `+` (AWS), as `%20`, or not encoding at all. */
export type UrlEncoding = 'plus' | 'percent' | 'none';

export async function listPage(
  client: S3Client,
  request: { prefix: string; startAfter?: string | undefined; limit?: number | undefined },
  urlEncoding: UrlEncoding,
  order: Pick<ListOrderCheck, 'check'>,
  signal?: AbortSignal,
): Promise<ListPage> {
  let token: string | undefined;
  for (;;) {
    const wire: WireRequest = { method: 'GET', query: listQuery(request, urlEncoding, token) };
    const { body } = await client.document('s3:ListBucket', wire, 'ListBucketResult', signal);
    const encoded = urlEncoding !== 'none' && elementText(body, 'EncodingType') === 'url';
    const decode = encoded
      ? (key: string) => decodeUrlKey(key, urlEncoding === 'plus')
      : (key: string) => key;
    const objects = parseContents(body, decode);
    const more = elementText(body, 'IsTruncated') === 'true';
    token = more ? elementText(body, 'NextContinuationToken') : undefined;
    // A page may be empty and yet not the last one, where deleted keys lie in between.
    if (objects.length === 0 && more && token !== undefined) continue;
    if (!encoded) await checkReplaced(client, objects, signal);
    order.check(client.bucket, objects);
    return { objects, more: more && objects.length > 0 };
  }
}

/**
 * XML cannot hold every character a key may have, and a store that does not encode keys may write U+FFFD in its
 * place: the object would then be looked for under a name that is not its own.
 * @throws LongshoreError STORE_UNSUPPORTED
 */
async function checkReplaced(
  client: S3Client,
  objects: readonly { readonly key: string }[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const { key } of objects) {
    if (!key.includes('\ufffd')) continue;
    const { status } = await client.wire.send({ method: 'HEAD', key }, signal);
    if (status !== 404) continue;
    throw new LongshoreError(
      'STORE_UNSUPPORTED',
      `${client.bucket} lists an object as "${key}" and has none of that name: it cannot list the characters of the key`,
      {
        hint: 'rename the object, or drive the move by rows (--by rows)',
        context: { bucket: client.bucket, key },
      },
    );
  }
}

function listQuery(
  request: { prefix: string; startAfter?: string | undefined; limit?: number | undefined },
  urlEncoding: UrlEncoding,
  token: string | undefined,
): [string, string][] {
  const query: [string, string][] = [
    ['list-type', '2'],
    ['max-keys', String(request.limit ?? 1000)],
  ];
  if (urlEncoding !== 'none') query.push(['encoding-type', 'url']);
  if (request.prefix !== '') query.push(['prefix', request.prefix]);
  if (token !== undefined) query.push(['continuation-token', token]);
  else if (request.startAfter !== undefined && request.startAfter !== '') {
    query.push(['start-after', request.startAfter]);
  }
  return query;
}

/** Stops a job on a store whose listings are not in the order of the keys' bytes: ranges would lose objects. */
export class ListOrderCheck {
  #last: string;
  readonly #prefix: string;

  constructor(request: { prefix: string; startAfter?: string | undefined }) {
    this.#last = request.startAfter ?? '';
    this.#prefix = request.prefix;
  }

  /** @throws LongshoreError STORE_UNSUPPORTED */
  check(bucket: string, objects: readonly { readonly key: string }[]): void {
    for (const { key } of objects) {
      if ((compareKeys(key, this.#last) <= 0 && this.#last !== '') || !key.startsWith(this.#prefix)) {
        throw new LongshoreError(
          'STORE_UNSUPPORTED',
          `${bucket} does not list keys in the order of their UTF-8 bytes ("${key}" came after "${this.#last}")`,
          {
            hint: 'drive the move by rows (--by rows)',
            context: { bucket, key },
          },
        );
      }
      this.#last = key;
    }
  }
}
