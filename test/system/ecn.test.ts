/** ECN with the kernel: both ends ask for it, a link between them marks instead of losing, and nothing is sent twice for it. */
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { SeededRandom } from '../../src/base/random.ts';
import type { Link, LinkReceiver, Medium } from '../../src/link/link.ts';
import { describeIf, requires } from '../support/requires.ts';
import { seed } from '../support/seed.ts';
import { contentHash } from './support/content.ts';
import { serveFiles } from './support/file-server.ts';
import { KernelWorld } from './support/kernel-world.ts';

const MIB = 1 << 20;
/** Of a thousand ECN-capable packets, how many a congested router would have marked. */
const MARKED_PER_MILLE = 5;

/** Marks ECN-capable packets of either way now and then (RFC 3168 section 5); the link carries IP packets. */
class MarkingLink implements Link, LinkReceiver {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly marked: [number, number] = [0, 0];
  readonly #inner: Link;
  readonly #random: SeededRandom = new SeededRandom(seed);
  #receiver: LinkReceiver | null = null;

  constructor(inner: Link) {
    this.name = inner.name;
    this.medium = inner.medium;
    this.mtu = inner.mtu;
    this.#inner = inner;
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#inner.start(this);
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    this.#mark(0, bytes, at);
    return this.#inner.transmit(bytes, at, length);
  }

  receive(bytes: Uint8Array, at: number, length: number): void {
    this.#mark(1, bytes, at);
    this.#receiver?.receive(bytes, at, length);
  }

  receiveDone(): void {
    this.#receiver?.receiveDone();
  }

  linkState(isUp: boolean): void {
    this.#receiver?.linkState(isUp);
  }

  writable(): void {
    this.#receiver?.writable();
  }

  close(): void | Promise<void> {
    return this.#inner.close();
  }

  #mark(way: 0 | 1, bytes: Uint8Array, at: number): void {
    const isIpv6 = bytes[at]! >> 4 === 6;
    const field = isIpv6 ? (bytes[at + 1]! >> 4) & 3 : bytes[at + 1]! & 3;
    if (field !== 2 || this.#random.nextUint32() % 1000 >= MARKED_PER_MILLE) return;
    this.marked[way]++;
    if (isIpv6) {
      bytes[at + 1]! |= 0x30;
      return;
    }
    bytes[at + 1]! |= 3;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const sum = (~view.getUint16(10) & 0xffff) + 1;
    view.setUint16(10, ~((sum & 0xffff) + (sum >> 16)));
  }
}

let world: KernelWorld | undefined;

afterEach(async () => {
  await world?.close();
  world = undefined;
});

const NEEDS = [requires.tun, requires.netns, requires.program('curl'), requires.program('tshark')];

describeIf(NEEDS, 'with a kernel that asks for ECN', () => {
  test.each([
    [4, 'newreno'],
    [6, 'cubic'],
  ] as const)(
    'over IPv%i with %s: marks slow both down, and nothing is lost or repeated [3168-2, 3168-10, 3168-11, 3168-14, 3168-16]',
    async (family, congestion) => {
      let link: MarkingLink | undefined;
      world = new KernelWorld({
        settings: { 'ipv4.tcp_ecn': 1 },
        stack: { tcp: { ecn: true, congestion } },
        wrap: (device) => {
          link = new MarkingLink(device);
          return link;
        },
      });
      const server = await serveFiles(world.stack, 8080, () => {});
      const url = `http://${world.host(family)}:8080`;
      const down = await world.shell(`curl -sS -g ${url}/${16 * MIB} | sha256sum`);
      expect(down.stdout.split(' ')[0]).toBe(contentHash(16 * MIB));
      const up = await world.shell(`head -c ${16 * MIB} /dev/zero | curl -sS -g -H Expect: -T - ${url}/`);
      const zeros = createHash('sha256')
        .update(Buffer.alloc(16 * MIB))
        .digest('hex');
      expect(up.stdout).toBe(`${16 * MIB} ${zeros}\n`);
      server.close();
      expect(link!.marked[0]).toBeGreaterThan(10);
      expect(link!.marked[1]).toBeGreaterThan(10);
      const ip = family === 4 ? 'ip' : 'ipv6';
      const ours = `${ip}.src==${world.stackAddress(family)} && tcp.flags.syn==0`;
      const theirs = `${ip}.src==${world.kernelAddress(family)} && tcp.flags.syn==0`;
      const field = family === 4 ? 'ip.dsfield.ecn' : 'ipv6.tclass.ecn';
      const counts = await world.capture.count(
        `${ours} && tcp.len>0 && ${field}==0`,
        `${ours} && tcp.len==0 && ${field}!=0`,
        `${ours} && tcp.flags.cwr==1`,
        `${ours} && tcp.flags.ece==1`,
        `${theirs} && tcp.flags.cwr==1`,
        `${theirs} && tcp.flags.ece==1`,
        'tcp.analysis.retransmission',
      );
      const [plainData, markedAcks, ourCwr, ourEce, theirCwr, theirEce, again] = counts;
      expect([plainData, markedAcks, again]).toEqual([0, 0, 0]);
      for (const count of [ourCwr, ourEce, theirCwr, theirEce]) expect(count).toBeGreaterThan(3);
    },
    60_000,
  );
});
