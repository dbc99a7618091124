/** The text of an SQL script while it is read: what has come and is not taken yet. */

import { LongshoreError } from '../../errors.ts';

export class ScriptSource {
  text = '';
  /** Where the text begins that is not taken. */
  at = 0;
  /** Of that place, from 1. */
  line = 1;
  ended = false;
  readonly #chunks: AsyncIterator<string> | Iterator<string>;

  constructor(chunks: AsyncIterable<string> | Iterable<string>) {
    this.#chunks =
      Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  }

  /** Reads on; `at` moves. @returns whether there was more */
  async more(): Promise<boolean> {
    if (this.ended) return false;
    const next = await this.#chunks.next();
    if (next.done === true) {
      this.ended = true;
      return false;
    }
    this.text = this.text.slice(this.at) + next.value;
    this.at = 0;
    return true;
  }

  /** Reads until so many characters are there. @returns whether they are */
  async has(characters: number): Promise<boolean> {
    while (this.text.length - this.at < characters) if (!(await this.more())) return false;
    return true;
  }

  /** Takes the text up to `end`. */
  take(end: number): string {
    const taken = this.text.slice(this.at, end);
    for (let i = taken.indexOf('\n'); i >= 0; i = taken.indexOf('\n', i + 1)) this.line++;
    this.at = end;
    return taken;
  }

  /** Closes what the text comes from. */
  async close(): Promise<void> {
    this.ended = true;
    await this.#chunks.return?.();
  }

  error(what: string): LongshoreError {
    return new LongshoreError('CONFIG_INVALID', `cannot read the SQL script: ${what}`, {
      hint: 'give a whole script in plain form, as `pg_dump --format=plain` writes it',
      context: { line: this.line },
    });
  }
}
