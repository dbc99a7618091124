/**
 * Memory that the row groups of a thread share, one after another. Memory that is fresh for every page costs more than
 * what is done in it: the system clears it, and V8, which is told how much there is, looks for what may be given back.
 */

const BLOCK_BYTES = 4 * 1024 ** 2;

export class GroupMemory {
  #page = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  /** Filled one after another. */
  readonly #blocks: Buffer[] = [];
  #block = 0;
  #end = 0;

  /** For a page that is put together; good until the next one. */
  readonly page = (bytes: number): Uint8Array => {
    return bytes <= BLOCK_BYTES ? this.#page : Buffer.allocUnsafeSlow(bytes);
  };

  /** @returns a copy, good until {@link reset} */
  keep(bytes: Uint8Array): Uint8Array {
    const { byteLength } = bytes;
    // What is larger than a block is rare, and not kept for longer than it is needed.
    if (byteLength > BLOCK_BYTES) return Buffer.from(bytes);
    if (this.#end + byteLength > BLOCK_BYTES) {
      this.#block++;
      this.#end = 0;
    }
    this.#blocks[this.#block] ??= Buffer.allocUnsafeSlow(BLOCK_BYTES);
    const block = this.#blocks[this.#block]!;
    block.set(bytes, this.#end);
    this.#end += byteLength;
    return block.subarray(this.#end - byteLength, this.#end);
  }

  /** What was kept is of no use any more. */
  reset(): void {
    this.#block = 0;
    this.#end = 0;
  }
}

/** Gives the memory of bytes that nobody reads any more back at once, and not when it is collected. */
export function release({ buffer }: Uint8Array): void {
  // Small ones lie in a pool that others share.
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}
