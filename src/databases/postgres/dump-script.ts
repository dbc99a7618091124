/**
 * Reads a dump in plain form while it passes: the rows between `COPY … FROM stdin;` and `\.`, sequences, and its last
 * line. What pg_dump says in a comment before the rows is what tells them from the text of a function.
 */

import type { DumpReader } from '../client-process.ts';
import { CopyLines } from './copy-lines.ts';
import { type DumpContent, damaged, namesIn } from './dump-content.ts';

const NEWLINE = 0x0a;
/** Longer lines are passed over: they are no comment, no COPY and no setval. */
const LINE_BYTES_MAX = 64 * 1024;

export class DumpScript implements DumpReader {
  readonly #content: DumpContent;
  #lines: CopyLines | undefined;
  #begun: Buffer[] = [];
  #begunBytes = 0;
  /** A comment that says that the rows of a table follow, or where a sequence stands. */
  #announced = false;
  /** Lines of a statement with a name that has line breaks in it. */
  #statement = '';
  #complete = false;

  constructor(content: DumpContent) {
    this.#content = content;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#lines !== undefined) {
        at = this.#lines.push(chunk, at, chunk.byteLength);
        if (this.#lines.ended) this.#lines = undefined;
        continue;
      }
      const end = chunk.indexOf(NEWLINE, at);
      if (end < 0) {
        this.#keep(chunk.subarray(at));
        return;
      }
      this.#line(chunk.subarray(at, end));
      at = end + 1;
    }
  }

  end(): void {
    if (this.#lines !== undefined) throw damaged('it ends inside of the rows of a table');
    if (!this.#complete) throw damaged('its last line, "PostgreSQL database dump complete", is not there');
  }

  #keep(piece: Buffer): void {
    this.#begunBytes += piece.byteLength;
    if (this.#begunBytes <= LINE_BYTES_MAX) this.#begun.push(Buffer.from(piece));
  }

  #line(last: Buffer): void {
    const bytes = this.#begunBytes + last.byteLength;
    const whole = bytes > LINE_BYTES_MAX ? '' : Buffer.concat([...this.#begun, last]).toString('utf8');
    this.#begun = [];
    this.#begunBytes = 0;
    if (this.#statement !== '' || (this.#announced && STATEMENT.test(whole))) {
      this.#statement += whole;
      if (isQuoteOpen(this.#statement)) this.#statement += '\n';
      else this.#take();
      return;
    }
    const text = whole.trimEnd();
    if (ANNOUNCEMENT.test(text)) this.#announced = true;
    else if (text === '-- PostgreSQL database dump complete') this.#complete = true;
    else if (text !== '' && text !== '--') this.#announced = false;
  }

  #take(): void {
    const statement = this.#statement;
    this.#statement = '';
    this.#announced = false;
    if (statement.startsWith('COPY ')) this.#beginRows(statement);
    else this.#content.setval(statement);
  }

  /** `COPY public."a b" (id, name) FROM stdin;` */
  #beginRows(text: string): void {
    const match = /^COPY ((?:"(?:[^"]|"")*"|[^". ]+)(?:\.(?:"(?:[^"]|"")*"|[^". ]+))?) /.exec(text);
    const [schema, name] = namesIn(match?.[1] ?? '');
    if (schema === undefined || name === undefined) throw damaged(`it has rows of nothing: ${text}`);
    this.#lines = new CopyLines(this.#content.table({ schema, name }));
  }
}

const ANNOUNCEMENT = /^-- (?:Data for )?Name: .*; Type: (?:TABLE DATA|SEQUENCE SET); /;
const STATEMENT = /^(?:COPY |SELECT pg_catalog\.setval\()/;

/** Quotes inside of names and texts are doubled. */
function isQuoteOpen(statement: string): boolean {
  const quote = statement.startsWith('COPY ') ? '"' : "'";
  return statement.split(quote).length % 2 === 0;
}
