/**
 * The capture file of a demonstration: a pcapng of the server's links, and a count of the resets that went by.
 *
 * The resets are read from the packets themselves, not taken from anybody's counters. Promises: the file is opened before
 * anything else happens, so that a path that cannot be written is told at once.
 */
import { createWriteStream, openSync, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { type HandledBy, type Medium, type PacketTap, PcapngWriter, type Runtime } from 'chimney';

/** Enough for every header and option; the text of a segment tells nothing that its checksum does not. */
const SNAP_LENGTH = 160;

const ETHERNET_HEADER = 14;
const PROTOCOL_TCP = 6;
const FLAG_RST = 4;

/** Sees the packets of all links of the server. */
export class Capture implements PacketTap {
  readonly path: string;
  readonly #headerBytes: number;
  readonly #out: WriteStream;
  readonly #writer: PcapngWriter;
  /** TCP segments with RST set, either way. */
  resets = 0;

  /** Throws node's file system error when the file cannot be written. */
  constructor(path: string, medium: Medium, runtime: Runtime) {
    this.path = path;
    this.#headerBytes = medium === 'ethernet' ? ETHERNET_HEADER : 0;
    this.#out = createWriteStream(path, { fd: openSync(path, 'w') });
    this.#writer = new PcapngWriter({
      write: (bytes) => void this.#out.write(bytes),
      medium,
      interfaceName: 'server',
      snapLength: SNAP_LENGTH,
      epochOffsetUs: Math.round(Date.now() * 1000 - runtime.nowUs()),
    });
  }

  get packets(): number {
    return this.#writer.packets;
  }

  packet(direction: 0 | 1, handledBy: HandledBy, bytes: Uint8Array, at: number, length: number, nowUs: number): void {
    if (isReset(bytes, at + this.#headerBytes, length - this.#headerBytes)) this.resets++;
    this.#writer.packet(direction, handledBy, bytes, at, length, nowUs);
  }

  operation(text: string, nowUs: number): void {
    this.#writer.operation(text, nowUs);
  }

  async close(): Promise<void> {
    this.#writer.flush();
    this.#out.end();
    await finished(this.#out);
  }
}

/** Whether an IP packet carries a TCP header with RST. Fragments and extension headers do not occur here. */
function isReset(bytes: Uint8Array, at: number, length: number): boolean {
  if (length < 40) return false;
  const version = bytes[at]! >> 4;
  if (version === 4) {
    const header = (bytes[at]! & 15) << 2;
    return bytes[at + 9] === PROTOCOL_TCP && (bytes[at + header + 13]! & FLAG_RST) !== 0;
  }
  return version === 6 && bytes[at + 6] === PROTOCOL_TCP && length >= 60 && (bytes[at + 40 + 13]! & FLAG_RST) !== 0;
}
