/** Reads CSV (RFC 4180) from a stream, in flat memory: quoted fields may hold commas, quotes and line breaks. */

import { LongshoreError } from '../errors.ts';

/** One line of a file: its fields, unquoted. */
export type CsvRecord = readonly string[];

/**
 * Records in the order of the file, in batches as chunks arrive. Lines end in LF or CRLF; empty lines are left out.
 * @throws CHECK_FAILED for text that ends inside a quoted field, and for fields of more than a mebibyte
 */
export async function* readCsv(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<CsvRecord[]> {
  const decoder = new TextDecoder('utf-8');
  const parser = new CsvParser();
  for await (const chunk of chunks) {
    const records = parser.push(decoder.decode(chunk, { stream: true }));
    if (records.length > 0) yield records;
  }
  const records = parser.push(decoder.decode());
  const last = parser.end();
  if (last !== undefined) records.push(last);
  if (records.length > 0) yield records;
}

const FIELD_LENGTH_MAX = 1024 ** 2;
const [COMMA, QUOTE, LF] = [44, 34, 10];

/** States: at the start of a field → plain, or quoted → after a quote → quoted again (`""`) or plain. */
class CsvParser {
  #state: 'start' | 'plain' | 'quoted' | 'after-quote' = 'start';
  #field = '';
  /** Whether the field ends in a CR that stood outside quotes: it belongs to the end of the line. */
  #endsInCr = false;
  #record: string[] = [];

  push(text: string): CsvRecord[] {
    const records: CsvRecord[] = [];
    let at = 0;
    while (at < text.length) {
      if (this.#state === 'start') {
        this.#state = 'plain';
        if (text.charCodeAt(at) === QUOTE) {
          this.#state = 'quoted';
          at++;
        }
      } else if (this.#state === 'quoted') {
        const end = text.indexOf('"', at);
        this.#append(text.slice(at, end < 0 ? text.length : end));
        this.#endsInCr = false;
        if (end < 0) return records;
        this.#state = 'after-quote';
        at = end + 1;
      } else if (this.#state === 'after-quote') {
        this.#state = 'plain';
        if (text.charCodeAt(at) === QUOTE) {
          this.#field += '"';
          this.#state = 'quoted';
          at++;
        }
      } else {
        at = this.#plain(text, at, records);
      }
    }
    return records;
  }

  /** What stands after the last end of a line. */
  end(): CsvRecord | undefined {
    if (this.#state === 'quoted') throw broken('the file ends inside a quoted field');
    if (this.#state === 'start' && this.#record.length === 0) return undefined;
    const records: CsvRecord[] = [];
    this.#endRecord(records);
    return records[0];
  }

  #plain(text: string, from: number, records: CsvRecord[]): number {
    let at = from;
    let code = 0;
    while (at < text.length) {
      code = text.charCodeAt(at);
      if (code === COMMA || code === LF) break;
      at++;
    }
    if (at > from) {
      this.#append(text.slice(from, at));
      this.#endsInCr = text[at - 1] === '\r';
    }
    if (at === text.length) return at;
    if (code === COMMA) this.#endField();
    else this.#endRecord(records);
    return at + 1;
  }

  #append(text: string): void {
    this.#field += text;
    if (this.#field.length > FIELD_LENGTH_MAX) throw broken('a field is longer than a mebibyte');
  }

  #endField(): void {
    this.#record.push(this.#field);
    this.#field = '';
    this.#endsInCr = false;
    this.#state = 'start';
  }

  #endRecord(records: CsvRecord[]): void {
    if (this.#endsInCr) this.#field = this.#field.slice(0, -1);
    this.#endField();
    if (this.#record.length > 1 || this.#record[0] !== '') records.push(this.#record);
    this.#record = [];
  }
}

function broken(why: string): LongshoreError {
  return new LongshoreError('CHECK_FAILED', `this is not CSV: ${why}`, {
    hint: 'fields that hold commas, quotes or line breaks must be quoted, and quotes in them doubled (RFC 4180)',
  });
}
