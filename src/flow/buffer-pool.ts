/**
 * Buffers that are used again. Memory of buffers counts as garbage of the whole heap: a stream that allocates its pieces
 * anew has everything else collected with every few dozen megabytes that pass.
 */

export class BufferPool {
  readonly bufferBytes: number;
  readonly #most: number;
  readonly #free: Buffer[] = [];
  /** What is out, by its memory; whoever never gives one back leaves it to the garbage. */
  readonly #lent = new WeakMap<ArrayBufferLike, Buffer>();

  /** @param most buffers that are kept while nobody uses them */
  constructor(bufferBytes: number, most: number) {
    this.bufferBytes = bufferBytes;
    this.#most = most;
  }

  /** Of any content. */
  take(): Buffer {
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bufferBytes);
    this.#lent.set(buffer.buffer, buffer);
    return buffer;
  }

  /** Nobody may look at it any more. @param part all or a part of one that was taken; what is of others is left alone */
  give(part: Uint8Array): void {
    const buffer = this.#lent.get(part.buffer);
    if (buffer === undefined) return;
    this.#lent.delete(part.buffer);
    if (this.#free.length < this.#most) this.#free.push(buffer);
  }
}

/** Of a stream whose pieces may be given back, by whoever is sure that nobody else has them. */
export interface PieceLender {
  giveBack(piece: Uint8Array): void;
}
