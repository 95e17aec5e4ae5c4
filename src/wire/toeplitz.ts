/**
 * The Toeplitz hash of receive-side scaling: the same number for all packets of a connection, spread evenly over connections.
 *
 * Input is what a received packet says, in its order: source address, destination address, source port, destination port.
 * Source: NDIS receive-side scaling, NdisHashFunctionToeplitz, with its published verification vectors.
 */

/** Bytes of a hash secret key. */
export const RSS_KEY_BYTES = 40;

/** The key of the published verification suite: what is used until another is set. */
export const DEFAULT_RSS_KEY: Uint8Array = Uint8Array.of(
  ...[0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0],
  ...[0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c],
  ...[0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa],
);

/** A hash that is being computed, byte by byte. One object serves any number of hashes, one after the other. */
export class Toeplitz {
  readonly key: Uint8Array;
  #result = 0;
  /** The 32 bits of the key that stand over the next bit of input. */
  #window = 0;
  #at = 0;

  /** `key`: 40 bytes. */
  constructor(key: Uint8Array = DEFAULT_RSS_KEY) {
    this.key = key;
  }

  begin(): this {
    const { key } = this;
    this.#result = 0;
    this.#window = (key[0]! << 24) | (key[1]! << 16) | (key[2]! << 8) | key[3]!;
    this.#at = 4;
    return this;
  }

  /** Takes in `length` bytes; at most 36 in all. */
  add(bytes: Uint8Array, at: number, length: number): this {
    for (let i = 0; i < length; i++) this.#addByte(bytes[at + i]!);
    return this;
  }

  /** Takes in a port, network order. */
  addPort(port: number): this {
    this.#addByte(port >>> 8);
    this.#addByte(port & 255);
    return this;
  }

  /** Unsigned, 32 bits. */
  end(): number {
    return this.#result >>> 0;
  }

  #addByte(byte: number): void {
    const next = this.key[this.#at++]!;
    for (let bit = 7; bit >= 0; bit--) {
      if ((byte >> bit) & 1) this.#result ^= this.#window;
      this.#window = (this.#window << 1) | ((next >> bit) & 1);
    }
  }
}
