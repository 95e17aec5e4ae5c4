/**
 * Captures: a pcapng file of packets and chimney operations, for Wireshark.
 *
 * Every packet says in a comment which engine handled it (host path or offload target); every chimney operation stands in the
 * file as a custom block (copied by tools that do not know it) and, so that Wireshark shows it in place, as a comment on the
 * next packet. Promises: output is bounded by `limitBytes`; beyond it packets are counted, not written. The file itself stays
 * outside: whoever has one provides `write`. Source: draft-ietf-opsawg-pcapng.
 */

import { checkNeeded, type Expectations, FUNCTION, numberFrom, oneOf, TEXT } from '../base/options.ts';
import type { HandledBy, PacketTap } from '../trace/trace.ts';
import type { Medium } from './link.ts';

export interface PcapngOptions {
  /** Takes finished pieces of the file, in order; they are the taker's. */
  readonly write: (bytes: Uint8Array) => void;
  readonly medium?: Medium;
  /** Name of the interface in the file. */
  readonly interfaceName?: string;
  /** What the runtime's zero is in Unix time, microseconds, so that the capture shows wall-clock time. Default 0. */
  readonly epochOffsetUs?: number;
  /** Bytes of each packet kept; default all. */
  readonly snapLength?: number;
  /** Bytes of file at most; default 256 MiB. */
  readonly limitBytes?: number;
}

const OPTIONS: Expectations = {
  write: FUNCTION,
  medium: oneOf('ethernet', 'ip'),
  interfaceName: TEXT,
  epochOffsetUs: numberFrom(0),
  snapLength: numberFrom(1),
  limitBytes: numberFrom(0),
};

const LINKTYPE_ETHERNET = 1;
const LINKTYPE_RAW = 101;
const BLOCK_SECTION = 0x0a0d0d0a;
const BLOCK_INTERFACE = 1;
const BLOCK_ENHANCED_PACKET = 6;
const BLOCK_CUSTOM = 0x00000bad;
const OPTION_COMMENT = 1;
const OPTION_IF_NAME = 2;
const OPTION_IF_TSRESOL = 9;
const OPTION_EPB_FLAGS = 2;
/** Private Enterprise Number of example use, RFC 5612: we have none of our own. */
const PEN_EXAMPLE = 32473;
const LIMIT_DEFAULT = 256 << 20;
const FLUSH_AT = 1 << 16;
const PENDING_OPERATIONS_MAX = 64;

/** Writes a capture; a {@link PacketTap}. */
export class PcapngWriter implements PacketTap {
  readonly #options: PcapngOptions;
  readonly #snapLength: number;
  readonly #limitBytes: number;
  readonly #encoder: { encode(text: string): Uint8Array };
  #buffer: Uint8Array;
  #view: DataView;
  #length = 0;
  #written = 0;
  #operations: string[] = [];
  /** Packets in the file. */
  packets = 0;
  /** Packets left out because the file had reached its limit. */
  packetsLeftOut = 0;
  /** Chimney operations in the file. */
  operations = 0;

  constructor(options: PcapngOptions) {
    checkNeeded('PcapngWriter', options, OPTIONS, 'write');
    this.#options = options;
    this.#snapLength = options.snapLength ?? 0x40000;
    this.#limitBytes = options.limitBytes ?? LIMIT_DEFAULT;
    this.#encoder = utf8;
    this.#buffer = new Uint8Array(FLUSH_AT * 2);
    this.#view = new DataView(this.#buffer.buffer);
    this.#writeSection();
    this.#writeInterface();
  }

  packet(direction: 0 | 1, handledBy: HandledBy, bytes: Uint8Array, at: number, length: number, nowUs: number): void {
    if (this.#written + this.#length + length > this.#limitBytes) {
      this.packetsLeftOut++;
      return;
    }
    const kept = Math.min(length, this.#snapLength);
    const start = this.#begin(BLOCK_ENHANCED_PACKET, kept + 256);
    const timeUs = nowUs + (this.#options.epochOffsetUs ?? 0);
    this.#u32(0);
    this.#u32(Math.floor(timeUs / 0x1_0000_0000));
    this.#u32(timeUs >>> 0);
    this.#u32(kept);
    this.#u32(length);
    this.#bytes(bytes, at, kept);
    this.#option32(OPTION_EPB_FLAGS, direction === 0 ? 1 : 2);
    this.#option(OPTION_COMMENT, this.#encoder.encode(HANDLED_BY_TEXT[handledBy]!));
    for (const text of this.#operations) this.#option(OPTION_COMMENT, this.#encoder.encode(text));
    this.#operations = [];
    this.#end(start);
    this.packets++;
  }

  operation(text: string, nowUs: number): void {
    if (this.#written + this.#length > this.#limitBytes) return;
    const timeUs = nowUs + (this.#options.epochOffsetUs ?? 0);
    const start = this.#begin(BLOCK_CUSTOM, 512 + text.length * 3);
    this.#u32(PEN_EXAMPLE);
    this.#bytesPadded(this.#encoder.encode(`chimney ${timeUs} ${text}`));
    this.#end(start);
    this.operations++;
    if (this.#operations.length < PENDING_OPERATIONS_MAX) this.#operations.push(`chimney: ${text}`);
  }

  /** Hands on what is buffered. */
  flush(): void {
    if (this.#length === 0) return;
    this.#options.write(this.#buffer.slice(0, this.#length));
    this.#written += this.#length;
    this.#length = 0;
  }

  #writeSection(): void {
    const start = this.#begin(BLOCK_SECTION, 64);
    this.#u32(0x1a2b3c4d);
    this.#u32(1); // version 1.0
    this.#u32(0xffffffff); // section length unknown
    this.#u32(0xffffffff);
    this.#end(start);
  }

  #writeInterface(): void {
    const start = this.#begin(BLOCK_INTERFACE, 128);
    this.#u32((this.#options.medium ?? 'ethernet') === 'ethernet' ? LINKTYPE_ETHERNET : LINKTYPE_RAW);
    this.#u32(0);
    if (this.#options.interfaceName !== undefined) {
      this.#option(OPTION_IF_NAME, this.#encoder.encode(this.#options.interfaceName));
    }
    this.#option(OPTION_IF_TSRESOL, MICROSECONDS);
    this.#end(start);
  }

  #begin(type: number, room: number): number {
    const needed = this.#length + room + 4096;
    if (this.#length >= FLUSH_AT) this.flush();
    else if (needed > this.#buffer.length) {
      this.flush();
      if (room + 4096 > this.#buffer.length) {
        this.#buffer = new Uint8Array(room + 4096 + FLUSH_AT);
        this.#view = new DataView(this.#buffer.buffer);
      }
    }
    const start = this.#length;
    this.#u32(type);
    this.#u32(0); // total length, written by #end
    return start;
  }

  #end(start: number): void {
    if (this.#length - start > 8) this.#u32(0); // opt_endofopt (or padding, where a block has no options)
    const total = this.#length - start + 4;
    this.#u32(total);
    this.#view.setUint32(start + 4, total, true);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = new Uint8Array(this.#buffer.length * 2 + bytes);
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }

  #u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  #option32(code: number, value: number): void {
    this.#u32(code | (4 << 16));
    this.#u32(value);
  }

  #option(code: number, value: Uint8Array): void {
    this.#u32(code | (value.length << 16));
    this.#bytesPadded(value);
  }

  #bytesPadded(value: Uint8Array): void {
    this.#bytes(value, 0, value.length);
  }

  /** Bytes and the padding to 32 bits behind them. */
  #bytes(value: Uint8Array, at: number, length: number): void {
    const padded = (length + 3) & ~3;
    this.#reserve(padded);
    this.#buffer.set(value.subarray(at, at + length), this.#length);
    this.#buffer.fill(0, this.#length + length, this.#length + padded);
    this.#length += padded;
  }
}

const MICROSECONDS: Uint8Array = Uint8Array.of(6);

const HANDLED_BY_TEXT: readonly string[] = [
  'handled by nobody',
  'handled by the host stack',
  'handled by the offload target',
];

/** UTF-8 without a platform's TextEncoder, which the core's type library does not have. */
const utf8 = {
  encode(text: string): Uint8Array {
    const escaped = encodeURIComponent(text);
    const out: number[] = [];
    for (let i = 0; i < escaped.length; i++) {
      if (escaped[i] === '%') {
        out.push(Number.parseInt(escaped.slice(i + 1, i + 3), 16));
        i += 2;
      } else out.push(escaped.charCodeAt(i));
    }
    return Uint8Array.from(out);
  },
};
