/**
 * A link of one's own between the stack and the device, which loses, repeats and swaps packets: the public Link interface at
 * work, and the kernel's loss recovery against ours.
 */
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

interface Faults {
  readonly loss: number;
  readonly repeat: number;
  readonly swap: number;
}

/** Passes on what another link carries, less what it loses, more what it repeats, and not always in order. */
class FaultyLink implements Link, LinkReceiver {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  lost = 0;
  readonly #inner: Link;
  readonly #faults: Faults;
  readonly #random: SeededRandom = new SeededRandom(seed);
  #receiver: LinkReceiver | null = null;
  /** A packet each way that its successor overtakes. */
  readonly #held: [Uint8Array | null, Uint8Array | null] = [null, null];

  constructor(inner: Link, faults: Faults) {
    this.name = inner.name;
    this.medium = inner.medium;
    this.mtu = inner.mtu;
    this.#inner = inner;
    this.#faults = faults;
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#inner.start(this);
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    this.#pass(0, bytes, at, length, (b, from, count) => this.#inner.transmit(b, from, count));
    return true;
  }

  receive(bytes: Uint8Array, at: number, length: number): void {
    this.#pass(1, bytes, at, length, (b, from, count) => this.#receiver?.receive(b, from, count));
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

  #pass(
    way: 0 | 1,
    bytes: Uint8Array,
    at: number,
    length: number,
    on: (bytes: Uint8Array, at: number, length: number) => unknown,
  ): void {
    if (this.#chance(this.#faults.loss)) {
      this.lost++;
      return;
    }
    const held = this.#held[way];
    if (held === null && this.#chance(this.#faults.swap)) {
      this.#held[way] = bytes.slice(at, at + length);
      return;
    }
    this.#held[way] = null;
    on(bytes, at, length);
    if (held !== null) on(held, 0, held.length);
    if (this.#chance(this.#faults.repeat)) on(bytes, at, length);
  }

  #chance(probability: number): boolean {
    return this.#random.nextUint32() < probability * 0x1_0000_0000;
  }
}

let world: KernelWorld | undefined;

afterEach(async () => {
  await world?.close();
  world = undefined;
});

describeIf([requires.tun, requires.program('curl'), requires.program('tshark')], 'over a link of bad quality', () => {
  test.each([
    ['1 % loss', 4, { loss: 0.01, repeat: 0, swap: 0 }],
    ['1 % loss', 6, { loss: 0.01, repeat: 0, swap: 0 }],
    ['loss, repeats and swapped packets', 4, { loss: 0.02, repeat: 0.02, swap: 0.05 }],
  ] as const)(
    '%s over IPv%i: curl has every byte both ways while the connection moves',
    async (_name, family, faults) => {
      let link: FaultyLink | undefined;
      world = new KernelWorld({
        // A move drops what was received out of order (TERM-043): moved in every recovery, the kernel hardly comes forward.
        moveEveryMs: 60,
        wrap: (device) => {
          link = new FaultyLink(device, faults);
          return link;
        },
      });
      const server = await serveFiles(world.stack, 8080, (socket) => world!.mover.add(socket));
      const url = `http://${world.host(family)}:8080`;
      const down = await world.shell(`curl -sS -g ${url}/${16 * MIB} | sha256sum`);
      expect(down.stdout.split(' ')[0]).toBe(contentHash(16 * MIB));
      const up = await world.shell(`head -c ${8 * MIB} /dev/zero | curl -sS -g -H Expect: -T - ${url}/`);
      const zeros = createHash('sha256')
        .update(Buffer.alloc(8 * MIB))
        .digest('hex');
      expect(up.stdout).toBe(`${8 * MIB} ${zeros}\n`);
      world.mover.stop();
      server.close();
      expect(link!.lost).toBeGreaterThan(50);
      expect(world.mover.toHost).toBeGreaterThan(3);
      expect(world.stack.trace.countOf('TCP_RESET_BY_PEER')).toBe(0);
      // What is lost is sent again, and not much more than that.
      const ours = `${family === 4 ? 'ip' : 'ipv6'}.src==${world.stackAddress(family)} && tcp.len>0`;
      const [sent, again] = await world.capture.count(ours, `${ours} && tcp.analysis.retransmission`);
      expect(again! / sent!).toBeLessThan(3 * faults.loss);
    },
    120_000,
  );
});
