/**
 * Puts a database into the bucket in parts, several at the same time.
 *
 * Steps, and what a crash after each leaves: whatever a process that died left under this number is taken away (nothing) →
 * scripts and parts are put, each where nothing is (objects that no manifest names; the next backup of this number takes
 * them away) → the index of them is put (the same).
 */

import { Readable } from 'node:stream';
import type { DumpFacts } from '../../databases/dump.ts';
import type { PreparedSplitDump, SplitScript } from '../../databases/postgres/split-dump.ts';
import type { SplitPart } from '../../databases/postgres/split-parts.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { forEachUntilError } from '../../flow/for-each-concurrent.ts';
import { deleteObjects, listObjects } from '../../stores/list-keys.ts';
import type { ListedObject } from '../../stores/object-store.ts';
import type { BackupFile } from './manifest.ts';
import type { BackupPlace } from './repository.ts';
import { encodeSplitIndex, type IndexedPart } from './split-index.ts';
import { type StreamCodec, storedExtension, type UploadedStream, uploadStream } from './upload-stream.ts';

export interface UploadedSplit {
  /** Of the index, which is put last. */
  readonly key: string;
  readonly files: BackupFile[];
  readonly facts: DumpFacts;
  /** Before compression. */
  readonly plainBytes: number;
}

/**
 * Nothing is there where it fails.
 * @param base whose number this process has claimed: nobody else writes below it
 * @param jobs no more than the dump was prepared for
 * @param onBytes called as rows come, with how many bytes there were
 * @throws what the dump fails with; the errors of the store
 */
export async function uploadSplit(
  dump: PreparedSplitDump,
  place: BackupPlace,
  base: string,
  codec: StreamCodec,
  jobs: number,
  signal: AbortSignal,
  onBytes: (plainBytes: number) => void = () => undefined,
): Promise<UploadedSplit> {
  await takeAway(place, base, signal);
  try {
    return await upload(dump, place, base, codec, jobs, signal, onBytes);
  } catch (error) {
    // Also what was put although its answer never came.
    await takeAway(place, base).catch((left: unknown) => {
      throw new LongshoreError(
        'OBJECT_FAILED',
        `${messageOf(error)}; and what was put before that cannot be deleted: ${messageOf(left)}`,
        { cause: error, hint: `delete what is below ${place.store.name}/${place.prefix}${base}/` },
      );
    });
    throw error;
  }
}

type Item =
  | { readonly kind: 'script'; readonly script: SplitScript }
  | { readonly kind: 'part'; readonly part: SplitPart; readonly number: number };

async function upload(
  dump: PreparedSplitDump,
  place: BackupPlace,
  base: string,
  codec: StreamCodec,
  jobs: number,
  signal: AbortSignal,
  onBytes: (plainBytes: number) => void = () => undefined,
): Promise<UploadedSplit> {
  const extension = storedExtension(codec);
  const keyOf = (name: string): string => `${base}/${name}${extension}`;
  const scriptKey = (script: SplitScript): string => keyOf(`${script}.sql`);
  const scripts = new Map<SplitScript, UploadedStream>();
  let done = 0;
  const parts: { readonly file: UploadedStream; readonly entry: IndexedPart }[] = [];
  const items: Item[] = [
    ...dump.scripts.map((script) => ({ kind: 'script', script }) as const),
    ...dump.parts.map((part, i) => ({ kind: 'part', part, number: i + 1 }) as const),
  ];
  await forEachUntilError(items, jobs, signal, async (item, stopped) => {
    if (item.kind === 'script') {
      const { script } = item;
      const source = dump.script(script, stopped);
      scripts.set(script, await uploadStream(place, scriptKey(script), source, codec, stopped));
      return;
    }
    const { part, number } = item;
    const rows = dump.rows(part, stopped);
    let before = 0;
    const file = await uploadStream(place, keyOf(`${number}.copy`), rows, codec, stopped, (bytes) => {
      done += bytes - before;
      before = bytes;
      onBytes(done);
    });
    const { schema, name, columns } = part.table;
    const { digest } = rows;
    parts[number - 1] = {
      file,
      entry: {
        key: file.key,
        schema,
        name,
        columns: [...columns],
        pages: part.pages,
        bytes: part.bytes,
        rows: digest.rows,
        digest: String(digest),
      },
    };
  });
  const facts = dump.facts();
  const index = encodeSplitIndex({
    version: 1,
    scripts: {
      'pre-data': scripts.get('pre-data')!.key,
      'post-data': scripts.get('post-data')!.key,
      'large-objects': scripts.get('large-objects')?.key,
    },
    parts: parts.map(({ entry }) => entry),
    sequences: [...dump.sequences],
  });
  const body = Readable.from([index], { objectMode: false });
  const last = await uploadStream(place, keyOf('split.json'), body, codec, signal);
  const all = [last, ...scripts.values(), ...parts.map(({ file }) => file)];
  return {
    key: last.key,
    files: all.map(({ key, bytes, sha256 }) => ({ key, bytes, sha256 })),
    facts,
    plainBytes: all.reduce((sum, { plainBytes }) => sum + plainBytes, 0),
  };
}

/** As this file names them; whatever else is there is not ours. */
const OURS = /^(\d+\.copy|(pre-data|post-data|large-objects)\.sql|split\.json)(\.zst)?(\.age)?$/;

async function takeAway({ store, prefix }: BackupPlace, base: string, signal?: AbortSignal): Promise<void> {
  const folder = `${prefix}${base}/`;
  const ours: ListedObject[] = [];
  for await (const object of listObjects(store, folder, signal))
    if (OURS.test(object.key.slice(folder.length))) ours.push(object);
  await deleteObjects(
    store,
    ours.map(({ key, etag }) => ({ key, etag })),
    signal,
  );
}
