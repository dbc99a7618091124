/**
 * The table of contents of an archive of pg_dump, versions 1.12 to 1.16 (pg_dump 9.0 to 18), as it stands at its
 * beginning. Reference: `ReadHead` and `ReadToc` in `pg_backup_archiver.c` of PostgreSQL.
 */

import { damaged } from './dump-content.ts';

export interface ArchiveEntry {
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  readonly isTable: boolean;
  /** Of an archive in directory form: the file with its data. */
  readonly file: string | undefined;
  /** `COPY public.t (a, "b c") FROM stdin;` of a table. */
  readonly copy: string | undefined;
}

/** The bytes end before the table of contents does. */
export class NotEnough extends Error {}

export class ArchiveContents {
  /** Statements that set sequences. */
  readonly setvals: readonly string[];
  /** `UTF8` */
  readonly encoding: string | undefined;
  /** Kinds of entries that belong between the schema and its indexes: `TABLE DATA`, `SEQUENCE SET`, … */
  readonly dataKinds: ReadonlySet<string>;
  readonly #made: ReadonlySet<string>;
  readonly #entries: ReadonlyMap<number, ArchiveEntry>;
  readonly #seen = new Set<number>();

  constructor(read: ReadEntries) {
    this.#entries = new Map(read.entries.map((entry) => [entry.id, entry]));
    this.setvals = read.setvals;
    this.encoding = read.encoding;
    this.dataKinds = read.dataKinds;
    this.#made = read.made;
  }

  /** Whether the archive makes the table itself, and not an extension. */
  makes({ schema, name }: Pick<ArchiveEntry, 'schema' | 'name'>): boolean {
    return this.#made.has(JSON.stringify([schema, name]));
  }

  /** Those with rows of their own. */
  tables(): ArchiveEntry[] {
    return [...this.#entries.values()].filter(({ isTable }) => isTable);
  }

  /** @returns what data of that number is of; undefined for none, and for what had its data already */
  see(id: number): ArchiveEntry | undefined {
    if (this.#seen.has(id)) return undefined;
    this.#seen.add(id);
    return this.#entries.get(id);
  }

  /** Names of what has had no data yet. */
  unseen(): string[] {
    return [...this.#entries.values()]
      .filter(({ id }) => !this.#seen.has(id))
      .map(({ schema, name }) => `${schema}.${name}`);
  }
}

interface ReadEntries {
  readonly entries: readonly ArchiveEntry[];
  readonly setvals: readonly string[];
  readonly encoding: string | undefined;
  readonly dataKinds: ReadonlySet<string>;
  /** Tables, as JSON of schema and name. */
  readonly made: ReadonlySet<string>;
}

const MAGIC = 'PGDMP';
const CUSTOM = 1;
/** An archive in directory form says so, that tools may read its table of contents as that of one in tar form. */
const DIRECTORY = 3;
/** As `teSection` counts them. */
const SECTION_DATA = 3;
const LARGE_OBJECTS: ReadonlySet<string> = new Set(['BLOBS', 'LARGE OBJECTS']);

/** @throws NotEnough; DATABASE_FAILED for what is no archive, or one of a later version */
export function readContents(bytes: Buffer): { readonly contents: ArchiveContents; readonly end: number } {
  const read = new ArchiveReader(bytes);
  if (read.text(MAGIC.length) !== MAGIC) throw damaged('it does not begin as an archive');
  const version = read.byte() * 100 + read.byte();
  read.byte();
  if (version < 112 || version > 116)
    throw damaged(
      `archives of version ${version / 100} are not known: use pg_dump 18 or older, or --format plain`,
    );
  read.integerBytes = read.byte();
  const offsetBytes = read.byte();
  const form = read.byte();
  if (form !== CUSTOM && form !== DIRECTORY) throw damaged('it is an archive of another form');
  const compressed = version >= 115 ? read.byte() : read.integer();
  if (compressed !== 0) throw damaged('it is compressed');
  // When it was made: seven numbers; then the database and two versions.
  for (let i = 0; i < 7; i++) read.integer();
  for (let i = 0; i < 3; i++) read.string();
  const entries: ArchiveEntry[] = [];
  const setvals: string[] = [];
  const dataKinds = new Set<string>();
  const made = new Set<string>();
  let encoding: string | undefined;
  for (let left = read.integer(); left > 0; left--) {
    const id = read.integer();
    const hasData = read.integer() !== 0;
    read.string();
    read.string();
    const name = read.string() ?? '';
    const kind = read.string() ?? '';
    if (read.integer() === SECTION_DATA) dataKinds.add(kind);
    const definition = read.string();
    read.string();
    const copy = read.string();
    const schema = read.string() ?? '';
    read.string();
    if (version >= 114) read.string();
    if (version >= 116) read.integer();
    read.string();
    read.string();
    while (read.string() !== undefined);
    let file: string | undefined;
    if (form === DIRECTORY) file = read.string();
    else read.skip(1 + offsetBytes);
    if (kind === 'SEQUENCE SET' && definition !== undefined) setvals.push(definition);
    if (kind === 'TABLE') made.add(JSON.stringify([schema, name]));
    if (kind === 'ENCODING') encoding = /'([^']*)'/.exec(definition ?? '')?.[1];
    const isTable = kind === 'TABLE DATA';
    if (hasData && (isTable || LARGE_OBJECTS.has(kind)))
      entries.push({ id, schema, name, isTable, file, copy });
  }
  const contents = new ArchiveContents({ entries, setvals, encoding, dataKinds, made });
  return { contents, end: read.at };
}

class ArchiveReader {
  at = 0;
  integerBytes = 4;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(count: number): number {
    const from = this.at;
    if (from + count > this.#bytes.byteLength) throw new NotEnough();
    this.at += count;
    return from;
  }

  byte(): number {
    return this.#bytes[this.skip(1)]!;
  }

  /** A sign, then the bytes of the number, the lowest first. */
  integer(): number {
    const negative = this.byte() !== 0;
    const from = this.skip(this.integerBytes);
    const value = this.#bytes.readUIntLE(from, this.integerBytes);
    return negative ? -value : value;
  }

  /** Undefined for none. */
  string(): string | undefined {
    const length = this.integer();
    return length < 0 ? undefined : this.text(length);
  }

  text(length: number): string {
    const from = this.skip(length);
    return this.#bytes.toString('utf8', from, from + length);
  }
}
