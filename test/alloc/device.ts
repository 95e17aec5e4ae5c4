/**
 * Measures what a device allocates for each frame: super-segments cut and written, and segments read and joined, over a pair of sockets, in
 * a process of its own.
 *
 * Run with the flags of test/support/child.ts. Answers with one line of JSON: bytes and nanoseconds a frame, by scenario.
 */
import { Gather, type LinkReceiver } from '../../src/link/link.ts';
import { Device, Outcome } from '../../src/link/node/device.ts';
import { FrameReader } from '../../src/link/node/frame-reader.ts';
import { openPair } from '../../src/link/node/open-pair.ts';
import { encodeIpv4Header, Ipv4Header } from '../../src/wire/ipv4.ts';
import { encodeTcp, writeTcpPartialChecksum } from '../../src/wire/tcp.ts';
import { TcpSegment } from '../../src/wire/tcp-segment.ts';
import { leastOf } from '../support/least.ts';

const MSS = 1448;
const FRAMES = 44;
const TIMES = 3000;
const TEXT = FRAMES * MSS;
const HEAD = 52;

/** The headers of a super-segment, and its text in two runs elsewhere. */
const head = new Uint8Array(128);
const text = new Gather();
const seg = new TcpSegment();
seg.hasTimestamps = true;
seg.flags = 16;
const ip = Object.assign(new Ipv4Header(), { totalLength: HEAD + TEXT, flags: 2, ttl: 64, protocol: 6 });
encodeIpv4Header(head, 0, ip, new Uint8Array(4).fill(1), 0, new Uint8Array(4).fill(2), 0);
encodeTcp(head, 20, seg);
writeTcpPartialChecksum(head, 20, HEAD - 20 + TEXT, 4, 12, 16);
text.add(new Uint8Array(100_000), 11, 30_000);
text.add(new Uint8Array(100_000), 7, TEXT - 30_000);

let taken = 0;
const receiver: LinkReceiver = {
  receive: (_bytes, _at, length) => {
    taken += length;
  },
  receiveDone() {},
  linkState() {},
  writable() {},
};

interface Result {
  readonly bytesPerFrame: number;
  readonly nsPerFrame: number;
}

/** `work` does {@link FRAMES} frames. */
function measure(work: () => void): Result {
  const once = (): Result => {
    gc!();
    const before = process.memoryUsage().heapUsed;
    const start = process.cpuUsage();
    for (let i = 0; i < TIMES; i++) work();
    const { user, system } = process.cpuUsage(start);
    return {
      bytesPerFrame: (process.memoryUsage().heapUsed - before) / (TIMES * FRAMES),
      nsPerFrame: (1000 * (user + system)) / (TIMES * FRAMES),
    };
  };
  once();
  return leastOf(once, ({ bytesPerFrame }) => bytesPerFrame);
}

/** Writes, and reads what was written. */
function scenario(checksums: boolean): () => void {
  const [a, b] = openPair({ medium: 'ip', offload: 'none', bufferBytes: 1 << 20 });
  const writer = new Device({ ...a, checksums, hasHeader: checksums });
  const reader = new FrameReader(new Device({ ...b, hasHeader: checksums }));
  return () => {
    if (writer.write(head, 0, HEAD, MSS, text) !== 0) throw new Error('not taken');
    if (reader.drain(receiver, 0, 1000, 1 << 20) !== Outcome.AGAIN) throw new Error('not all of it');
  };
}

const garbage: unknown[] = [null];
const results: Record<string, Result> = {
  'whole frames': measure(scenario(false)),
  'checksums left to the device': measure(scenario(true)),
  control: measure(() => {
    for (let i = 0; i < FRAMES; i++) garbage[0] = { i, taken };
  }),
};
console.log(JSON.stringify({ results, taken }));
