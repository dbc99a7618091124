/** Writes structures in Thrift's compact protocol, as page headers and footers of Parquet are. Reference: Apache Thrift. */

const TRUE = 1;
const FALSE = 2;
const I8 = 3;
const I32 = 5;
const I64 = 6;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

/** Fields of a structure, by ascending identifiers. */
export class ThriftStruct {
  readonly #bytes: number[] = [];
  #last = 0;

  bool(id: number, value: boolean): this {
    this.#field(id, value ? TRUE : FALSE);
    return this;
  }

  i8(id: number, value: number): this {
    this.#field(id, I8);
    this.#bytes.push(value & 0xff);
    return this;
  }

  i32(id: number, value: number): this {
    this.#field(id, I32);
    pushZigzag(this.#bytes, BigInt(value));
    return this;
  }

  i64(id: number, value: number): this {
    this.#field(id, I64);
    pushZigzag(this.#bytes, BigInt(value));
    return this;
  }

  binary(id: number, value: Uint8Array | string): this {
    this.#field(id, BINARY);
    pushBinary(this.#bytes, value);
    return this;
  }

  struct(id: number, value: ThriftStruct): this {
    this.#field(id, STRUCT);
    pushAll(this.#bytes, value.bytes());
    return this;
  }

  structs(id: number, values: readonly ThriftStruct[]): this {
    this.#list(id, STRUCT, values.length);
    for (const value of values) pushAll(this.#bytes, value.bytes());
    return this;
  }

  i32s(id: number, values: readonly number[]): this {
    this.#list(id, I32, values.length);
    for (const value of values) pushZigzag(this.#bytes, BigInt(value));
    return this;
  }

  binaries(id: number, values: readonly string[]): this {
    this.#list(id, BINARY, values.length);
    for (const value of values) pushBinary(this.#bytes, value);
    return this;
  }

  /** The whole structure, with its end. */
  bytes(): Uint8Array {
    return Uint8Array.from([...this.#bytes, 0]);
  }

  #list(id: number, type: number, length: number): void {
    this.#field(id, LIST);
    if (length < 15) this.#bytes.push((length << 4) | type);
    else {
      this.#bytes.push(0xf0 | type);
      pushVarint(this.#bytes, BigInt(length));
    }
  }

  #field(id: number, type: number): void {
    const delta = id - this.#last;
    if (delta < 1 || delta > 15) throw new RangeError(`field ${id} behind ${this.#last}`);
    this.#bytes.push((delta << 4) | type);
    this.#last = id;
  }
}

/** Seven bits a byte, the least significant first. */
export function pushVarint(bytes: number[], value: bigint): void {
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
}

function pushZigzag(bytes: number[], value: bigint): void {
  pushVarint(bytes, value < 0n ? -value * 2n - 1n : value * 2n);
}

function pushBinary(bytes: number[], value: Uint8Array | string): void {
  const content = typeof value === 'string' ? Buffer.from(value) : value;
  pushVarint(bytes, BigInt(content.byteLength));
  pushAll(bytes, content);
}

function pushAll(bytes: number[], more: Uint8Array): void {
  for (const byte of more) bytes.push(byte);
}
