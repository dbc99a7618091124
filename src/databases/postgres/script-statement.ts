/**
 * Finds the end of one statement of an SQL script, past quotes, comments, parentheses and bodies of routines. Reference:
 * "Lexical Structure" of PostgreSQL's manual, and psql's own scanner.
 */

import type { ScriptSource } from './script-source.ts';

export interface ScriptStatement {
  /** Without the comments before it and the semicolon behind it; of a command of psql, its line. */
  readonly text: string;
  /** Where it begins, from 1. */
  readonly line: number;
  readonly kind: 'statement' | 'copy' | 'command';
}

/**
 * @param backslashEscapes whether `standard_conforming_strings` is off
 * @returns undefined at the end
 * @throws CONFIG_INVALID where the script ends inside of something
 */
export function readStatement(
  source: ScriptSource,
  backslashEscapes: boolean,
): Promise<ScriptStatement | undefined> {
  return new StatementScanner(source, backslashEscapes).read();
}

const BLANKS = /[ \t\n\r\f\v\uFEFF]+/y;
const WORD = /[A-Za-z_\u0080-\uFFFF][\w$\u0080-\uFFFF]*/y;
/** Neither a word nor the begin or end of anything. */
const PLAIN = /[^A-Za-z_\u0080-\uFFFF'"$;()\\/ \t\n\r\f\v-]+/y;
const DOLLAR_QUOTE = /\$(?:[A-Za-z_\u0080-\uFFFF][\w\u0080-\uFFFF]*)?\$/y;
/** What may become one when more is read. */
const DOLLAR_BEGUN = /\$[\w\u0080-\uFFFF]*$/y;
/** A statement is one string; the server takes no more than 1 GB either. */
const STATEMENT_CHARACTERS_MAX = 256 * 1024 ** 2;
const ROUTINE = /^create (?:or replace )?(?:function|procedure)\b/;

class StatementScanner {
  readonly #source: ScriptSource;
  readonly #backslashEscapes: boolean;
  readonly #pieces: string[] = [];
  /** The first ones, in small letters: enough to know a routine. */
  readonly #words: string[] = [];
  #lastWord = '';
  /** A string that ended, with nothing but blanks since: another quote goes on with it. */
  #lastString: { readonly escapes: boolean } | undefined;
  #escapeString = false;
  #parentheses = 0;
  /** Open `BEGIN` and `CASE` of a routine's body, whose semicolons are its own. */
  #blocks = 0;
  #copiesIn = false;
  #characters = 0;

  constructor(source: ScriptSource, backslashEscapes: boolean) {
    this.#source = source;
    this.#backslashEscapes = backslashEscapes;
  }

  async read(): Promise<ScriptStatement | undefined> {
    const source = this.#source;
    while (await source.has(1)) {
      if (this.#run(BLANKS) || (await this.#comment())) continue;
      if (source.text[source.at] !== ';') break;
      source.take(source.at + 1);
    }
    if (!(await source.has(1))) return undefined;
    this.#pieces.length = 0;
    this.#characters = 0;
    const { line } = source;
    if (source.text[source.at] === '\\') {
      await this.#through(/\n/g, 0);
      return { kind: 'command', text: this.#text(), line };
    }
    while (await source.has(1)) {
      if (source.text[source.at] === ';' && this.#parentheses <= 0 && this.#blocks === 0) {
        source.take(source.at + 1);
        return { kind: this.#copiesIn ? 'copy' : 'statement', text: this.#text(), line };
      }
      await this.#token();
    }
    // psql sends what stands at the end without a semicolon, too.
    return { kind: 'statement', text: this.#text(), line };
  }

  #text(): string {
    return this.#pieces.join('').trim();
  }

  async #token(): Promise<void> {
    const source = this.#source;
    if (this.#run(BLANKS) || (await this.#comment())) return;
    const mark = source.text[source.at]!;
    if (mark === "'") return this.#string();
    this.#lastString = undefined;
    if (this.#run(PLAIN)) return;
    switch (mark) {
      case '"':
        return this.#closed('a quoted name', /"/g);
      case '$':
        return this.#dollar();
      case '\\':
        throw source.error(`in line ${source.line} a command of psql stands inside of a statement`);
      case '(':
        this.#parentheses++;
        return this.#push(source.at + 1);
      case ')':
        this.#parentheses--;
        return this.#push(source.at + 1);
      case ';':
      case '-':
      case '/':
        return this.#push(source.at + 1);
      default:
        return this.#word();
    }
  }

  async #word(): Promise<void> {
    const source = this.#source;
    const endsInside = () => {
      WORD.lastIndex = source.at;
      return WORD.test(source.text) && WORD.lastIndex === source.text.length;
    };
    while (endsInside() && (await source.more()));
    const begin = source.at;
    this.#run(WORD);
    const word = source.text.slice(begin, source.at).toLowerCase();
    if (this.#words.length < 4) this.#words.push(word);
    if (this.#parentheses === 0) {
      if (word === 'stdin' && this.#lastWord === 'from' && this.#words[0] === 'copy') this.#copiesIn = true;
      if (ROUTINE.test(this.#words.join(' '))) this.#countBlocks(word);
    }
    this.#lastWord = word;
    this.#escapeString = word === 'e' && source.text[source.at] === "'";
  }

  #countBlocks(word: string): void {
    if (word === 'begin' || (word === 'case' && this.#blocks > 0)) this.#blocks++;
    else if (word === 'end' && this.#blocks > 0) this.#blocks--;
  }

  /** `''` ends a string and begins it again, which comes to the same. */
  async #string(): Promise<void> {
    const escapes = this.#lastString?.escapes ?? (this.#backslashEscapes || this.#escapeString);
    this.#escapeString = false;
    if (escapes) await this.#closed('a string', /\\[\s\S]|'/g, 1, (mark) => mark === "'");
    else await this.#closed('a string', /'/g);
    this.#lastString = { escapes };
  }

  async #dollar(): Promise<void> {
    const source = this.#source;
    const begun = () => {
      DOLLAR_BEGUN.lastIndex = source.at;
      return DOLLAR_BEGUN.test(source.text);
    };
    while (begun() && (await source.more()));
    DOLLAR_QUOTE.lastIndex = source.at;
    const quote = DOLLAR_QUOTE.exec(source.text)?.[0];
    if (quote === undefined) return this.#push(source.at + 1);
    this.#push(source.at + quote.length - 1);
    return this.#closed(`a ${quote} quote`, new RegExp(quote.replaceAll('$', '\\$'), 'g'), quote.length - 1);
  }

  /** @returns whether there was one */
  async #comment(): Promise<boolean> {
    const source = this.#source;
    const first = source.text[source.at];
    if (first !== '-' && first !== '/') return false;
    await source.has(2);
    const begin = source.text.slice(source.at, source.at + 2);
    if (begin === '--') {
      await this.#through(/\n/g, 0);
      return true;
    }
    if (begin !== '/*') return false;
    let depth = 1;
    this.#push(source.at + 1);
    await this.#closed('a comment', /\/\*|\*\//g, 1, (mark) => {
      depth += mark === '/*' ? 1 : -1;
      return depth === 0;
    });
    return true;
  }

  /** Takes the mark that opens, and everything through the one that closes. @throws where there is none */
  async #closed(what: string, marks: RegExp, overlap = 0, closes?: (mark: string) => boolean): Promise<void> {
    const source = this.#source;
    const { line } = source;
    this.#push(source.at + 1);
    if (!(await this.#through(marks, overlap, closes)))
      throw source.error(`it ends inside of ${what} that begins in line ${line}`);
  }

  /**
   * Takes everything through the mark that closes, or to the end.
   * @param overlap how many characters at the end of a chunk may begin a mark
   */
  async #through(
    marks: RegExp,
    overlap: number,
    closes: (mark: string) => boolean = () => true,
  ): Promise<boolean> {
    const source = this.#source;
    do {
      let taken = source.at;
      marks.lastIndex = source.at;
      for (let match = marks.exec(source.text); match !== null; match = marks.exec(source.text)) {
        if (closes(match[0])) {
          this.#push(marks.lastIndex);
          return true;
        }
        taken = marks.lastIndex;
      }
      this.#push(Math.max(taken, source.text.length - overlap));
    } while (await source.more());
    this.#push(source.text.length);
    return false;
  }

  /** Takes what matches here. */
  #run(pattern: RegExp): boolean {
    pattern.lastIndex = this.#source.at;
    if (!pattern.test(this.#source.text)) return false;
    this.#push(pattern.lastIndex);
    return true;
  }

  #push(end: number): void {
    const source = this.#source;
    this.#characters += end - source.at;
    if (this.#characters > STATEMENT_CHARACTERS_MAX)
      throw source.error(`the statement before line ${source.line} does not end`);
    this.#pieces.push(source.take(end));
  }
}
