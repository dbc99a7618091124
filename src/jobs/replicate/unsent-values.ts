/**
 * Values that updates do not send, because they did not change and are stored apart (TOAST). Changes that lack some are
 * held back with those that follow them in their table, and made whole together: from an earlier change that is held
 * back, from the table itself, or, where the row is gone by now, from the files.
 */

import { eachField, FIELD, hasUnsent, type Tuple } from '../../databases/postgres/pgoutput.ts';
import {
  type ChangePlace,
  type ChangeTable,
  type ChangeTableFile,
  type FilledValue,
  fieldsOf,
  type Op,
} from './change-table.ts';
import { newestImages, type StoredImages } from './lake-lookup.ts';
import type { ManifestPlace } from './manifest.ts';
import type { TableRegistry } from './table-registry.ts';

const HELD_ROWS = 5_000;
const HELD_BYTES = 8 * 1024 ** 2;

interface HeldChange {
  readonly op: Op;
  readonly tuple: Tuple;
  readonly before: Tuple | undefined;
  readonly place: ChangePlace;
  /** Names of columns without a value. */
  readonly missing: readonly string[];
  readonly key: string;
  /** Before an update of the key. */
  readonly formerKey: string;
}

export class UnsentValues {
  readonly #changes: ChangeTable;
  readonly #registry: TableRegistry;
  readonly #place: ManifestPlace | undefined;
  readonly #folder: string;
  readonly #earlier: readonly ChangeTable[];
  #held: HeldChange[] = [];
  #bytes = 0;

  /**
   * @param place of landed files; undefined where they are gone, and whoever took them has the values
   * @param folder for files that are looked into
   * @param earlier changes of the table in the same epoch, when it had other columns
   */
  constructor(
    changes: ChangeTable,
    registry: TableRegistry,
    place: ManifestPlace | undefined,
    folder: string,
    earlier: readonly ChangeTable[],
  ) {
    this.#changes = changes;
    this.#registry = registry;
    this.#place = place;
    this.#folder = folder;
    this.#earlier = earlier;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a change has to be held back: it lacks values, or stands behind one that does. */
  takes(op: Op, tuple: Tuple, before: Tuple | undefined): boolean {
    if (this.#held.length > 0) return true;
    return op !== 'D' && hasUnsent(tuple) && this.#missing(tuple, before).length > 0;
  }

  add(op: Op, tuple: Tuple, before: Tuple | undefined, place: ChangePlace): Promise<void> | undefined {
    const missing = op === 'D' ? [] : this.#missing(tuple, before);
    const kept = keep(tuple);
    const old = before === undefined ? undefined : keep(before);
    const key = this.#keyOf(kept);
    this.#held.push({
      op,
      tuple: kept,
      before: old,
      place,
      missing,
      key,
      formerKey: old === undefined ? key : this.#keyOf(old),
    });
    this.#bytes += kept.bytes.byteLength + (old?.bytes.byteLength ?? 0);
    return this.#held.length >= HELD_ROWS || this.#bytes >= HELD_BYTES ? this.flush() : undefined;
  }

  /** Makes what is held back whole and gives it on. */
  async flush(): Promise<void> {
    if (this.#held.length === 0) return;
    const held = this.#held;
    this.#held = [];
    this.#bytes = 0;
    const lacking = held.filter(({ missing }) => missing.length > 0);
    const columns = [...new Set(lacking.flatMap(({ missing }) => missing))];
    const inTable = await this.#registry.reread(
      this.#changes.relation,
      [...new Set(lacking.map(({ key }) => key))],
      columns,
    );
    let filled = fill(held, this.#changes, inTable, new Map());
    if (filled.gone.length > 0) {
      const inFiles = await this.#fromFiles(new Set(filled.gone), columns);
      filled = fill(held, this.#changes, inTable, inFiles);
    }
    for (const [i, { op, tuple, before, place }] of held.entries()) {
      this.#changes.add(op, tuple, before, filled.values[i]!, place);
      if (this.#changes.isFull) await this.#changes.write();
    }
  }

  /** The newest values of rows that are gone from the table: of this epoch, or of those before. */
  async #fromFiles(keys: ReadonlySet<string>, columns: readonly string[]): Promise<StoredImages> {
    const { relation, mappings } = this.#changes;
    const own: ChangeTableFile[] = [];
    for (const changes of [...this.#earlier, this.#changes]) own.push(...(await changes.finish()));
    return newestImages(
      {
        place: this.#place,
        table: relation,
        mappings,
        keyNames: relation.columns.flatMap(({ key, name }) => (key ? [name] : [])),
        folder: this.#folder,
        paths: own.map(({ path }) => path),
      },
      keys,
      columns,
    );
  }

  #keyOf(tuple: Tuple): string {
    const { columns } = this.#changes.relation;
    const values: string[] = [];
    eachField(tuple, (index, mark, at, length) => {
      if (columns[index]?.key === true && mark === FIELD.text)
        values.push(tuple.bytes.toString('utf8', at, at + length));
    });
    return JSON.stringify(values);
  }

  /** Names of fields that the update did not send and the old row does not have. */
  #missing(tuple: Tuple, before: Tuple | undefined): string[] {
    const missing: string[] = [];
    let old: number[] | undefined;
    eachField(tuple, (index, mark) => {
      if (mark !== FIELD.unchanged) return;
      old ??= before === undefined ? [] : marksOf(before);
      if (old[index] !== FIELD.text) missing.push(this.#changes.mappings[index]!.column.name);
    });
    return missing;
  }
}

/**
 * Goes through changes in order and finds what each lacks.
 * @returns for each change its values; and keys of rows that are neither in the table nor in the files
 */
function fill(
  held: readonly HeldChange[],
  { mappings }: ChangeTable,
  inTable: ReadonlyMap<string, ReadonlyMap<string, string | null>>,
  inFiles: StoredImages,
): { values: FilledValue[][]; gone: string[] } {
  const lacking = new Set(
    held.flatMap(({ missing, key, formerKey }) => (missing.length > 0 ? [key, formerKey] : [])),
  );
  const images = new Map<string, Map<string, FilledValue>>();
  const gone = new Set<string>();
  const values = held.map(({ op, tuple, missing, key, formerKey }) => {
    const found = missing.map((name): FilledValue => {
      const earlier = images.get(formerKey)?.get(name);
      if (earlier !== undefined) return earlier;
      const now = inTable.get(key);
      if (now !== undefined) return { name, value: now.get(name) ?? null, reread: true };
      const stored = inFiles.get(formerKey);
      if (stored === undefined) gone.add(formerKey);
      else if (stored.has(name)) return stored.get(name)!;
      return { name, value: null, reread: true };
    });
    if (op !== 'D' && lacking.has(key)) {
      // Where the row is gone nothing is known of it, and the next change may find more.
      const known = found.filter(({ value, reread }) => value !== null || !reread);
      const image = new Map(known.map((value) => [value.name, value]));
      for (const [index, { mark, at, length }] of fieldsOf(tuple).entries()) {
        const name = mappings[index]!.column.name;
        if (mark === FIELD.unchanged) continue;
        const value = mark === FIELD.text ? tuple.bytes.toString('utf8', at, at + length) : null;
        image.set(name, { name, value, reread: false });
      }
      images.set(key, image);
    }
    return found;
  });
  return { values, gone: [...gone] };
}

/** The bytes of a message are good during its call only. */
function keep(tuple: Tuple): Tuple {
  const end = eachField(tuple, () => undefined);
  return { bytes: Buffer.from(tuple.bytes.subarray(tuple.at, end)), at: 0, fields: tuple.fields };
}

function marksOf(tuple: Tuple): number[] {
  const marks: number[] = [];
  eachField(tuple, (_, mark) => marks.push(mark));
  return marks;
}
