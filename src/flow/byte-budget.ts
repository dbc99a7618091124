/** A bound on the bytes of bodies that are in memory at once, shared by all who read them. */

export class ByteBudget {
  readonly #total: number;
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  #free: number;

  /** @param total bytes; an amount above it waits until nothing else is taken */
  constructor(total: number) {
    this.#total = total;
    this.#free = total;
  }

  /** Takes a share for as long as `work` runs; the first to ask goes first. */
  async within<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const share = Math.min(bytes, this.#total);
    if (this.#waiting.length > 0 || share > this.#free) {
      await new Promise<void>((go) => this.#waiting.push({ bytes: share, go }));
    } else this.#free -= share;
    try {
      return await work();
    } finally {
      this.#free += share;
      while (this.#waiting.length > 0 && this.#waiting[0]!.bytes <= this.#free) {
        const next = this.#waiting.shift()!;
        this.#free -= next.bytes;
        next.go();
      }
    }
  }
}
