/**
 * Splits a plain SQL script, as pg_dump writes it and psql reads it, into statements, the rows of `COPY … FROM stdin`,
 * and commands of psql. A statement is held whole, for it is sent whole; rows go through in pieces.
 */

import { ScriptSource } from './script-source.ts';
import { readStatement } from './script-statement.ts';

export type ScriptPart =
  /** Without the comments before it and the semicolon behind it. */
  | { readonly kind: 'statement'; readonly text: string; readonly line: number }
  | {
      readonly kind: 'copy';
      readonly text: string;
      readonly line: number;
      /** What stands between the statement and `\.`, in pieces; to be read before the next part is asked for. */
      readonly rows: AsyncIterable<string>;
    }
  /** A line that is psql's and not the server's: `\connect shop`. */
  | { readonly kind: 'command'; readonly text: string; readonly line: number };

/**
 * Rows that the caller does not read are passed over.
 *
 * @param chunks the script, cut anywhere; closed with the generator
 * @throws CONFIG_INVALID where the script ends inside of something: it was cut off, or is no plain script
 */
export async function* readSqlScript(
  chunks: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<ScriptPart, void, undefined> {
  const source = new ScriptSource(chunks);
  let backslashEscapes = false;
  try {
    for (;;) {
      const statement = await readStatement(source, backslashEscapes);
      if (statement === undefined) return;
      const { kind, text, line } = statement;
      if (kind === 'copy') {
        const rows = new CopyRows(source, line);
        yield { kind, text, line, rows };
        for await (const _ of rows);
      } else {
        if (kind === 'statement') backslashEscapes = escapesAfter(text) ?? backslashEscapes;
        yield { kind, text, line };
      }
    }
  } finally {
    await source.close();
  }
}

/** Whether strings have backslash escapes from now on; undefined for a statement that is not about it. */
function escapesAfter(text: string): boolean | undefined {
  const match = /^SET\s+(?:SESSION\s+)?standard_conforming_strings\s*(?:=|TO\s)\s*'?(\w+)/i.exec(text);
  return match === null ? undefined : /^(off|false|no|0)$/i.test(match[1]!);
}

class CopyRows implements AsyncIterable<string> {
  readonly #source: ScriptSource;
  readonly #line: number;
  readonly #rows: AsyncGenerator<string, void, undefined>;

  constructor(source: ScriptSource, line: number) {
    this.#source = source;
    this.#line = line;
    this.#rows = this.#read();
  }

  /** Goes on where the one before stopped: breaking off does not end the rows. */
  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return { next: () => this.#rows.next() };
  }

  async *#read(): AsyncGenerator<string, void, undefined> {
    const source = this.#source;
    await this.#skipRestOfLine();
    for (let atLineStart = true; ; await source.more()) {
      const end = endOfRows(source, atLineStart);
      if (end !== undefined) {
        if (end.rows > source.at) yield source.take(end.rows);
        source.take(end.mark);
        return;
      }
      if (source.ended)
        throw source.error(`it ends inside of the rows of COPY that begins in line ${this.#line}`);
      const whole = withoutBegunMark(source, atLineStart);
      if (whole === source.at) continue;
      const rows = source.take(whole);
      atLineStart = rows.endsWith('\n');
      yield rows;
    }
  }

  async #skipRestOfLine(): Promise<void> {
    const source = this.#source;
    while (source.text.indexOf('\n', source.at) < 0 && (await source.more()));
    const end = source.text.indexOf('\n', source.at);
    if (source.take(end < 0 ? source.text.length : end + 1).trim() !== '')
      throw source.error(`something stands behind COPY in line ${this.#line}`);
  }
}

/** Where rows end and where the line with `\.` does; undefined where that line is not there, or not whole. */
function endOfRows(
  { text, at, ended }: ScriptSource,
  atLineStart: boolean,
): { readonly rows: number; readonly mark: number } | undefined {
  for (let i = text.indexOf('\\.', at); i >= 0; i = text.indexOf('\\.', i + 2)) {
    if (i === at ? !atLineStart : text[i - 1] !== '\n') continue;
    const behind = text[i + 2] === '\r' ? i + 3 : i + 2;
    if (text[behind] === '\n') return { rows: i, mark: behind + 1 };
    if (ended && behind === text.length) return { rows: i, mark: behind };
  }
  return undefined;
}

const MARK_CHARACTERS_MAX = 3;

/** How far the text goes without a last line that may become `\.` when more is read. */
function withoutBegunMark({ text, at }: ScriptSource, atLineStart: boolean): number {
  const line = Math.max(text.lastIndexOf('\n') + 1, at);
  const begun =
    (line > at || atLineStart) && text[line] === '\\' && text.length - line <= MARK_CHARACTERS_MAX;
  return begun ? line : text.length;
}
