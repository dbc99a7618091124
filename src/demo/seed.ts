/** Makes sample objects and the rows that name them. */

import { readFileSync } from 'node:fs';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { parseStoreUrl } from '../config/store-url.ts';
import { openSeeder } from '../databases/seed-rows.ts';
import { LongshoreError, messageOf } from '../errors.ts';
import { systemClock } from '../flow/clock.ts';
import { mapConcurrent } from '../flow/for-each-concurrent.ts';
import { type OpenedStore, openStore } from '../stores/open-store.ts';
import { avatarPng } from './png.ts';

export interface SeedOptions {
  readonly objects: number;
  /** Where the objects go: `s3://legacy-s3/image/`. */
  readonly to: string;
  /** Where the odd ones go, as if they had been moved already: `s3://production-s3/avatar/`. */
  readonly modern?: string | undefined;
  /** The column that names them; the table is made where it is missing. */
  readonly rows?: string | undefined;
  /** A file to use as every object's content in place of drawn pictures. */
  readonly file?: string | undefined;
  /** Number of the first object. */
  readonly first?: number | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly onProgress?: ((objects: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const BATCH = 500;
const SIDES = [16, 24, 32, 48, 64, 96, 128];

/** @returns how many bytes were written */
export async function seed(options: SeedOptions): Promise<{ objects: number; bytes: number }> {
  const env = options.env ?? process.env;
  const content = options.file === undefined ? undefined : contentOf(options.file);
  await using stack = new AsyncDisposableStack();
  const places: { prefix: string; opened: OpenedStore }[] = [];
  for (const url of options.modern === undefined ? [options.to] : [options.to, options.modern]) {
    const parsed = parseStoreUrl(url);
    places.push({
      prefix: parsed.prefix,
      opened: stack.use(await openStore(parsed, { env, clock: systemClock })),
    });
  }
  const rows = options.rows === undefined ? undefined : parseDatabaseUrl(options.rows, env);
  const [ref] = rows?.columns ?? [];
  if (rows !== undefined && ref === undefined) {
    throw new LongshoreError('URL_INVALID', `${rows.name} names no column`, {
      hint: 'add it behind a #: …/database#avatars.path',
    });
  }
  const seeder = rows === undefined || ref === undefined ? undefined : stack.use(await openSeeder(rows, ref));
  await seeder?.createTable();
  let bytes = 0;
  const first = options.first ?? 1;
  for (let start = first; start < first + options.objects; start += BATCH) {
    const numbers = Array.from(
      { length: Math.min(BATCH, first + options.objects - start) },
      (_, i) => start + i,
    );
    const keys = await mapConcurrent(numbers, 64, async (number) => {
      const place = places[number % places.length]!;
      const key = `${place.prefix}avatar-${number}.png`;
      const body = content ?? avatarPng(number, SIDES[number % SIDES.length]!);
      bytes += body.byteLength;
      await place.opened.store.put(
        {
          key,
          body,
          sizeBytes: body.byteLength,
          attributes: {
            contentType: 'image/png',
            cacheControl: 'max-age=86400',
            metadata: { user: String(number) },
          },
          ifAbsent: false,
        },
        options.signal,
      );
      return key;
    });
    await seeder?.insert(keys);
    options.onProgress?.(start - first + numbers.length);
  }
  await seeder?.finish();
  return { objects: options.objects, bytes };
}

function contentOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'name a file with --file or AVATAR_FILE',
    });
  }
}
