/**
 * Reads the script that a dump program writes while it passes: which tables it makes, their rows, where sequences stand, and
 * whether its end was reached.
 *
 * Programs write line breaks within values and names as `\n`; so what a line begins with tells what it is, except within
 * the bodies of triggers, routines and events, which stand between two lines `DELIMITER`. Only the lines of an `INSERT` are
 * read byte by byte:
 *
 *     line ──INSERT INTO `t`──▶ header ──VALUES──▶ between ──(──▶ tuple ◀──'──▶ text
 *      ▲                                            │  ▲            │
 *      └──────────────────── ; ─────────────────────┘  └─────)──────┘
 */

import { LongshoreError } from '../../errors.ts';
import { RowDigest } from '../row-digest.ts';

type State = 'line' | 'rest' | 'header' | 'between' | 'tuple' | 'text';

export class DumpScript {
  /** By the name of each table that the script makes. */
  readonly tables = new Map<string, RowDigest>();
  /** By name: `3007 0`, the next value and whether it was used. */
  readonly sequences = new Map<string, string>();
  #state: State = 'line';
  /** Bytes of a line that is too short yet to tell what it is. */
  #head: Buffer | undefined;
  /** The tuple's text of the chunks before. */
  #pieces: Buffer[] = [];
  #rows = new RowDigest();
  #depth = 0;
  #escaped = false;
  #inName = false;
  #inBody = false;
  #complete = false;

  /** Whether the last line is the one that the program writes when it has dumped everything. */
  get complete(): boolean {
    return this.#complete && this.#state === 'line';
  }

  /** @param part good until this returns */
  write(part: Buffer): void {
    const chunk = this.#head === undefined ? part : Buffer.concat([this.#head, part]);
    this.#head = undefined;
    this.#read(chunk, false);
  }

  /** After the last chunk. */
  end(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined) this.#read(head, true);
    if (this.#state === 'rest') this.#state = 'line';
  }

  #read(chunk: Buffer, last: boolean): void {
    let i = 0;
    while (i < chunk.length) {
      switch (this.#state) {
        case 'line': {
          const end = chunk.indexOf(NEWLINE, i);
          if (end < 0 && chunk.length - i < HEAD_BYTES && !last) {
            this.#head = Buffer.from(chunk.subarray(i));
            return;
          }
          i = this.#line(chunk, i, end < 0 ? chunk.length : end);
          break;
        }
        case 'rest': {
          const end = chunk.indexOf(NEWLINE, i);
          if (end < 0) return;
          i = end + 1;
          this.#state = 'line';
          break;
        }
        case 'header':
          i = this.#header(chunk, i);
          break;
        case 'between':
          i = this.#between(chunk, i);
          break;
        default:
          i = this.#tuple(chunk, i);
      }
    }
  }

  /** @returns from where to go on, in the state that was set */
  #line(chunk: Buffer, from: number, end: number): number {
    this.#state = 'rest';
    const first = chunk[from]!;
    if (first === NEWLINE || first === CARRIAGE_RETURN) return from;
    this.#complete = false;
    if (!FIRST_BYTES.has(first)) return from;
    const line = chunk.toString('utf8', from, Math.min(end, from + HEAD_BYTES));
    if (line.startsWith('DELIMITER ')) this.#inBody = line.trimEnd() !== 'DELIMITER ;';
    if (this.#inBody) return from;
    if (line.startsWith('-- Dump completed')) this.#complete = true;
    const statement = STATEMENT.exec(line);
    if (statement === null) return from;
    const name = statement[2]!.replaceAll('``', '`');
    const [start] = statement;
    if (start.startsWith('INSERT')) {
      this.#rows = this.#digestOf(name);
      this.#inName = false;
      this.#state = 'header';
      return from + Buffer.byteLength(start);
    }
    if (start.startsWith('CREATE TABLE')) this.tables.set(name, new RowDigest());
    else if (!start.startsWith('CREATE')) {
      const standing = /^, (-?\d+), ([01])/.exec(line.slice(start.length));
      if (standing !== null) this.sequences.set(name, `${standing[1]} ${standing[2]}`);
    }
    return from;
  }

  #digestOf(table: string): RowDigest {
    const digest = this.tables.get(table);
    if (digest !== undefined) return digest;
    throw new LongshoreError(
      'DATABASE_FAILED',
      `Cannot read the dump: it has rows of ${table} before the table itself`,
    );
  }

  /** The names of columns may stand before `VALUES`, which is the only V outside backquotes. */
  #header(chunk: Buffer, from: number): number {
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i]!;
      if (byte === BACKQUOTE) this.#inName = !this.#inName;
      else if (byte === LETTER_V && !this.#inName) {
        this.#state = 'between';
        return i + 1;
      }
    }
    return chunk.length;
  }

  #between(chunk: Buffer, from: number): number {
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i]!;
      if (byte === OPEN) {
        this.#state = 'tuple';
        this.#depth = 0;
        return i + 1;
      }
      if (byte === SEMICOLON) {
        this.#state = 'rest';
        return i + 1;
      }
    }
    return chunk.length;
  }

  /** To the end of the tuple, or of the chunk: then what there is of it is kept. */
  #tuple(chunk: Buffer, from: number): number {
    const { length } = chunk;
    let i = from;
    let inText = this.#state === 'text';
    if (this.#escaped && i < length) {
      i++;
      this.#escaped = false;
    }
    while (i < length) {
      if (inText) {
        let byte = chunk[i]!;
        while (byte !== QUOTE && byte !== BACKSLASH && ++i < length) byte = chunk[i]!;
        if (i === length) break;
        // Of a quote that stands doubled for one, the second opens again what the first closed.
        if (byte === QUOTE) inText = false;
        else i++;
      } else {
        const byte = chunk[i]!;
        if (byte === QUOTE) inText = true;
        else if (byte === OPEN) this.#depth++;
        else if (byte === CLOSE && this.#depth-- === 0) {
          this.#add(chunk, from, i);
          this.#state = 'between';
          return i + 1;
        }
      }
      i++;
    }
    // A backslash was the last byte of the chunk.
    this.#escaped = i > length;
    this.#state = inText ? 'text' : 'tuple';
    this.#pieces.push(Buffer.from(chunk.subarray(from)));
    return length;
  }

  #add(chunk: Buffer, from: number, to: number): void {
    if (this.#pieces.length === 0) {
      this.#rows.add(chunk, from, to);
      return;
    }
    const whole = Buffer.concat([...this.#pieces, chunk.subarray(from, to)]);
    this.#pieces = [];
    this.#rows.add(whole, 0, whole.length);
  }
}

/** What is looked for stands in so many bytes of a line: names have at most 64 characters. */
const HEAD_BYTES = 2048;
const STATEMENT = /^(INSERT INTO|CREATE TABLE|CREATE SEQUENCE|DO SETVAL\(|SELECT SETVAL\() ?`((?:[^`]|``)+)`/;
const [NEWLINE, CARRIAGE_RETURN, QUOTE, BACKQUOTE, BACKSLASH] = [0x0a, 0x0d, 0x27, 0x60, 0x5c];
const [OPEN, CLOSE, SEMICOLON, LETTER_V] = [0x28, 0x29, 0x3b, 0x56];
/** Of lines that say something here: `-- Dump completed`, CREATE, DELIMITER, DO, INSERT, SELECT. */
const FIRST_BYTES = new Set(Buffer.from('-CDIS'));
