/** A link whose other end is the test: what is sent is kept in copies, and it can be full. */
import type { Link, LinkReceiver, Medium } from '../../../src/link/link.ts';

export class TestLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly macAddress: Uint8Array = new Uint8Array([2, 0, 0, 0, 0, 1]);
  receiver: LinkReceiver | null = null;
  /** Frames that were sent and not looked at yet. */
  sent: Uint8Array[] = [];
  sentCount = 0;
  /** Frames it still takes before it is full. */
  room: number = Number.POSITIVE_INFINITY;
  isClosed = false;
  /** Called after each batch. */
  onDelivered: () => void = () => {};

  constructor(name = 'test', medium: Medium = 'ethernet', mtu = 1500) {
    this.name = name;
    this.medium = medium;
    this.mtu = mtu;
  }

  start(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.room <= 0) return false;
    this.room--;
    this.sentCount++;
    this.sent.push(bytes.slice(at, at + length));
    return true;
  }

  close(): void {
    this.isClosed = true;
  }

  /** What was sent since the last look. */
  take(): Uint8Array[] {
    const sent = this.sent;
    this.sent = [];
    return sent;
  }

  /** A batch of frames arrives, each at an odd place of a buffer that is overwritten afterwards. */
  deliver(...frames: Uint8Array[]): void {
    for (const frame of frames) {
      const borrowed = new Uint8Array(frame.length + 7);
      borrowed.set(frame, 3);
      this.receiver!.receive(borrowed, 3, frame.length);
      borrowed.fill(0xee);
    }
    this.receiver!.receiveDone();
    this.onDelivered();
  }
}
