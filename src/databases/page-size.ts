/** How many rows to read at once, so that neither many small rows nor a few large ones fill the memory. */

/** About so much is read at once. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
/** The size of the rows is not known yet. */
const ROWS_FIRST = 16;
/** A page of small rows says little about rows that come much later. */
const GROWTH_MAX = 8;

/** Learns the size of rows from the pages read, and tells how many the next page may have. */
export class PageSize {
  readonly #rowsMax: number;
  #rows: number;
  #bytesPerRow = 0;

  constructor(rowsMax: number) {
    this.#rowsMax = Math.max(1, Math.trunc(rowsMax));
    this.#rows = Math.min(this.#rowsMax, ROWS_FIRST);
  }

  /** Rows to ask for next. */
  get rows(): number {
    return this.#rows;
  }

  /** Tells what a page held. */
  took(rows: readonly { readonly value: string }[]): void {
    if (rows.length === 0) return;
    let bytes = 0;
    for (const { value } of rows) bytes += value.length;
    const mean = bytes / rows.length;
    // Larger rows count at once, smaller ones only when they keep coming.
    this.#bytesPerRow = Math.max(mean, (this.#bytesPerRow + mean) / 2);
    const fit = Math.floor(PAGE_BYTES_MAX / Math.max(1, this.#bytesPerRow));
    this.#rows = Math.max(1, Math.min(this.#rowsMax, this.#rows * GROWTH_MAX, fit));
  }

  /** Whether rows of so many bytes are a page already, where rows come one by one. */
  isFull(rows: number, bytes: number): boolean {
    return rows >= this.#rowsMax || bytes >= PAGE_BYTES_MAX;
  }
}
