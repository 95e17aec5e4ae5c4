/**
 * Between a stack and its device: holds what passes in both directions until it is let go, so that packets of both ends cross.
 */
import type { Link, LinkReceiver, Medium } from '../../../src/link/link.ts';

interface HeldFrame {
  readonly bytes: Uint8Array;
  readonly segmentBytes: number | undefined;
}

export class HeldLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  /** What waits, by direction. */
  readonly out: HeldFrame[] = [];
  readonly in: HeldFrame[] = [];
  isHeld = false;
  readonly #link: Link;
  #receiver: LinkReceiver | null = null;

  constructor(link: Link) {
    this.#link = link;
    this.name = link.name;
    this.medium = link.medium;
    this.mtu = link.mtu;
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#link.start({
      receive: (bytes, at, length, segmentBytes) => {
        if (this.isHeld) this.in.push({ bytes: bytes.slice(at, at + length), segmentBytes });
        else receiver.receive(bytes, at, length, segmentBytes);
      },
      receiveDone: () => receiver.receiveDone(),
      linkState: (isUp) => receiver.linkState(isUp),
      writable: () => receiver.writable(),
    });
  }

  transmit(bytes: Uint8Array, at: number, length: number, segmentBytes?: number): boolean {
    if (!this.isHeld) return this.#link.transmit(bytes, at, length, segmentBytes);
    this.out.push({ bytes: bytes.slice(at, at + length), segmentBytes });
    return true;
  }

  /** Lets everything go: what went out first, then what came in, each in its order. */
  release(): void {
    this.isHeld = false;
    for (const { bytes, segmentBytes } of this.out.splice(0)) this.#link.transmit(bytes, 0, bytes.length, segmentBytes);
    for (const { bytes, segmentBytes } of this.in.splice(0))
      this.#receiver!.receive(bytes, 0, bytes.length, segmentBytes);
    this.#receiver!.receiveDone();
  }

  close(): void {
    // The device is closed by whoever opened it.
  }
}

/** How many of these IPv4 packets are TCP segments with all of `flags`. */
export function countFlags(frames: readonly HeldFrame[], flags: number): number {
  return frames.filter(({ bytes }) => bytes[0]! >> 4 === 4 && bytes[9] === 6 && (bytes[33]! & flags) === flags).length;
}
