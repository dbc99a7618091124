/**
 * Makes the script of a dump fit the database it is brought into, while it passes. Dump programs write the name of the
 * dumped database in two places: `ALTER DATABASE` around triggers, routines and events of another collation, and in views
 * that call functions or whose definer is not there. Left alone, a restore under another name would change the database that was
 * dumped, or read from it.
 */

import { Transform, type TransformCallback } from 'node:stream';
import { quoteName } from './sql.ts';

export class RestoreScript extends Transform {
  readonly #target: string;
  readonly #sandbox: boolean;
  readonly #eventsOff: boolean;
  #held: Buffer = Buffer.alloc(0);
  #begun = false;
  #source: string | undefined;

  /**
   * @param target the database's name
   * @param sandbox whether the client knows the first line that newer dumps of MariaDB have; where not, it is left out
   * @param eventsOff whether events are made disabled
   */
  constructor(target: string, sandbox: boolean, eventsOff = false) {
    super();
    this.#target = target;
    this.#sandbox = sandbox;
    this.#eventsOff = eventsOff;
  }

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (this.#begun || bytes.length >= HEADER_BYTES) this.#pass(bytes, false);
    else this.#held = bytes;
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#pass(this.#held, true);
    done();
  }

  #pass(bytes: Buffer, last: boolean): void {
    let passed = bytes;
    if (!this.#begun) {
      this.#begun = true;
      this.#source = dumpedDatabase(bytes);
      if (!this.#sandbox) passed = withoutSandbox(bytes);
    }
    const whole = last ? passed.length : wholeUpTo(passed);
    this.#held = passed.subarray(whole);
    for (const part of fitted(passed.subarray(0, whole), this.#source, this.#target, this.#eventsOff))
      this.push(part);
  }
}

const HEADER_BYTES = 4096;
const ALTER = 'ALTER DATABASE `';
const VIEW = '/*!50001 VIEW `';
const EVENT = '/*!50106 CREATE*/ /*!';
/** Values and names hold no line breaks in a dump: what a line begins with tells what it is. */
const MARKS = [Buffer.from(`\n${ALTER}`), Buffer.from(`\n${VIEW}`), Buffer.from(`\n${EVENT}`)];
const NEWLINE = 0x0a;

function dumpedDatabase(header: Buffer): string | undefined {
  return /^-- Host: .*? {4}Database: (.*?)\r?$/m.exec(header.toString('utf8', 0, HEADER_BYTES))?.[1];
}

/** The line break stays, so that errors name the line of the dump. */
function withoutSandbox(bytes: Buffer): Buffer {
  const line = /^\/\*(?:M?!)999999\\- [^\n]*/.exec(bytes.toString('latin1', 0, HEADER_BYTES));
  return line === null ? bytes : bytes.subarray(line[0].length);
}

/** Up to where it can be passed on: not into a line that has to be changed and whose end has not come, or may be one. */
function wholeUpTo(bytes: Buffer): number {
  const last = bytes.lastIndexOf(NEWLINE);
  if (last < 0) return bytes.length;
  const rest = bytes.subarray(last);
  const open = MARKS.some((mark) => {
    const length = Math.min(mark.length, rest.length);
    return mark.compare(rest, 0, length, 0, length) === 0;
  });
  return open ? last : bytes.length;
}

function* fitted(
  bytes: Buffer,
  source: string | undefined,
  target: string,
  eventsOff: boolean,
): Generator<Buffer> {
  let from = 0;
  for (;;) {
    const at = nextMark(bytes, from);
    if (at < 0) break;
    const found = bytes.indexOf(NEWLINE, at + 1);
    const end = found < 0 ? bytes.length : found;
    yield bytes.subarray(from, at + 1);
    const line = bytes.toString('latin1', at + 1, end);
    const fits = line.startsWith(EVENT) ? eventLine(line, eventsOff) : fittedLine(line, source, target);
    yield Buffer.from(fits, 'latin1');
    from = end;
  }
  if (from < bytes.length) yield bytes.subarray(from);
}

function nextMark(bytes: Buffer, from: number): number {
  const places = MARKS.map((mark) => bytes.indexOf(mark, from)).filter((place) => place >= 0);
  return places.length === 0 ? -1 : Math.min(...places);
}

/** @param line its bytes as characters */
function fittedLine(line: string, source: string | undefined, target: string): string {
  const name = bytesOf(quoteName(target));
  if (line.startsWith(ALTER)) return line.replace(/`(?:[^`]|``)*`/, () => name);
  if (source === undefined || source === target) return line;
  const before = `${bytesOf(quoteName(source))}.`;
  return line.replace(/'(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`\.?/g, (token) =>
    token === before ? `${name}.` : token,
  );
}

/** As the server writes events: what they do comes last. */
const ENABLED_EVENT =
  /^(\S+ CREATE\*\/ (?:\/\*!50117 DEFINER=`(?:[^`]|``)*`@`(?:[^`]|``)*`\*\/ )?\/\*!50106 EVENT `(?:[^`]|``)*` ON SCHEDULE .*? ON COMPLETION (?:NOT )?PRESERVE )ENABLE\b/;

function eventLine(line: string, off: boolean): string {
  return off ? line.replace(ENABLED_EVENT, '$1DISABLE') : line;
}

function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}
