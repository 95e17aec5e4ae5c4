/**
 * A stack and the kernel of this machine on one TUN or TAP device, or on a veth pair whose near end is an AF_PACKET socket: the stage of
 * the tests in this folder.
 *
 * Every world has a subnet of its own and takes its device away when it is closed, or, with `settings` and where it is a veth pair, lives
 * with the kernel's end in a network namespace, whose settings may be changed without touching the machine's.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { expect } from 'vitest';
import { findingText } from '../../../src/contract/finding.ts';
import type { Link } from '../../../src/link/link.ts';
import type { DeviceLink } from '../../../src/link/node/device-link.ts';
import { PacketLink } from '../../../src/link/node/packet.ts';
import { TunLink } from '../../../src/link/node/tun.ts';
import { createStack, type Stack } from '../../../src/stack.ts';
import type { StackLink, StackOptions } from '../../../src/stack-options.ts';
import { Capture } from './capture.ts';
import { type Features, setFeatures } from './ethtool.ts';
import { Mover } from './mover.ts';
import { type Outcome, type RunOptions, run, shell } from './programs.ts';

export type Family = 4 | 6;

export interface KernelWorldOptions {
  readonly kind?: 'tun' | 'tap' | 'packet';
  /** Of a veth pair: what its ends leave to each other; the near one, and the kernel's. */
  readonly features?: readonly [Features, Features];
  readonly mtu?: number;
  /** What is left to the device. Default 'none': every packet of the capture is as on a wire. */
  readonly offload?: 'all' | 'checksum' | 'none';
  /** What is not left to the device is done at it, in bulk (`TunOptions.bulk`, `kernelThread`). Default false. */
  readonly bulk?: boolean;
  /** Settings of the kernel under net.: { 'ipv4.tcp_sack': 0 }. The kernel's end then lives in a namespace of its own. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Keeps every byte of each packet, so that checksums can be checked. */
  readonly captureAll?: boolean;
  /** Milliseconds between two moves of a connection. Default 25. */
  readonly moveEveryMs?: number;
  readonly stackLink?: Partial<StackLink>;
  readonly stack?: Partial<StackOptions>;
  /** Puts something of one's own between the stack and the device. */
  readonly wrap?: (link: Link) => Link;
}

let worlds = 0;

export class KernelWorld {
  readonly device: DeviceLink;
  readonly stack: Stack;
  readonly capture: Capture;
  readonly mover: Mover;
  readonly #namespace: string | null;
  readonly #isPair: boolean;
  readonly #prefix4: string;
  readonly #prefix6: string;

  constructor(options: KernelWorldOptions = {}) {
    const n = (process.pid + worlds++ * 7) % 250;
    this.#prefix4 = `10.201.${n}`;
    this.#prefix6 = `fd00:c41:${n.toString(16)}:`;
    const { kind = 'tun' } = options;
    this.#isPair = kind === 'packet';
    const isApart = options.settings !== undefined || kind === 'packet';
    this.#namespace = isApart ? `chimney-${process.pid}-${worlds}` : null;
    const { mtu = 1500, offload = 'none', bulk = false } = options;
    if (kind === 'packet') this.device = PacketLink.open({ name: this.#makePair(options.features), offload, bulk });
    else {
      const addresses = isApart ? [] : this.#kernelAddresses();
      this.device = TunLink.open({ kind, mtu, offload, bulk, kernelThread: bulk, addresses });
    }
    if (this.#namespace !== null) this.#moveDevice(mtu, options.settings ?? {});
    const link = options.wrap?.(this.device) ?? this.device;
    this.capture = new Capture(link.medium, options.captureAll ? 0x40000 : 128);
    this.mover = new Mover(options.moveEveryMs ?? 25);
    this.stack = createStack({
      verify: true,
      ...options.stack,
      links: [
        {
          link,
          addresses: [`${this.stackAddress(4)}/24`, ...(mtu < 1280 ? [] : [`${this.stackAddress(6)}/64`])],
          capture: this.capture.tap,
          ...options.stackLink,
        },
      ],
    });
  }

  stackAddress(family: Family): string {
    return family === 4 ? `${this.#prefix4}.2` : `${this.#prefix6}:2`;
  }

  kernelAddress(family: Family): string {
    return family === 4 ? `${this.#prefix4}.1` : `${this.#prefix6}:1`;
  }

  /** The stack's address as it stands in a URL. */
  host(family: Family): string {
    return family === 4 ? this.stackAddress(4) : `[${this.stackAddress(6)}]`;
  }

  /** A program on the kernel's side. */
  command(program: string, args: readonly string[]): [string, string[]] {
    if (this.#namespace === null) return [program, [...args]];
    return ['ip', ['netns', 'exec', this.#namespace, program, ...args]];
  }

  /** A line of shell on the kernel's side. */
  shell(line: string, options: RunOptions = {}): Promise<Outcome> {
    if (this.#namespace === null) return shell(line, options);
    return run(...this.command('bash', ['-o', 'pipefail', '-c', line]), options);
  }

  /** Takes everything down; demands that nothing is held and no rule was broken. */
  async close(): Promise<void> {
    this.mover.stop();
    try {
      await this.stack.close();
      expect(this.stack.findings.map(findingText)).toEqual([]);
      expect(this.stack.held()).toEqual({ buffers: 0, stateObjects: 0, connections: 0 });
      expect(this.mover.refusals).toEqual([]);
    } finally {
      this.capture.close();
      await this.device.close();
      // A namespace is there, with its end of a pair, until the last program in it has ended. A test may have removed the pair.
      if (this.#isPair) spawnSync('ip', ['link', 'delete', this.device.name]);
      if (this.#namespace !== null) execFileSync('ip', ['netns', 'delete', this.#namespace]);
    }
  }

  #kernelAddresses(): { address: Uint8Array; prefixLength: number }[] {
    const n = Number(this.#prefix4.split('.')[2]);
    const six = new Uint8Array(16);
    six.set([0xfd, 0, 0x0c, 0x41, 0, n]);
    six[15] = 1;
    return [
      { address: Uint8Array.of(10, 201, n, 1), prefixLength: 24 },
      { address: six, prefixLength: 64 },
    ];
  }

  /** A veth pair, both ends of one name and the far one on its way to the namespace; answers the name. */
  #makePair([near, far]: readonly [Features, Features] = [{}, {}]): string {
    const name = `chv${process.pid % 100_000}x${worlds}`;
    const end = `${name}k`;
    execFileSync('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', end], { stdio: 'pipe' });
    setFeatures(name, near);
    setFeatures(end, far);
    execFileSync('ip', ['link', 'set', name, 'up'], { stdio: 'pipe' });
    return name;
  }

  #moveDevice(mtu: number, settings: Readonly<Record<string, string | number>>): void {
    const name = this.#isPair ? `${this.device.name}k` : this.device.name;
    const ns = this.#namespace!;
    const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: 'pipe' });
    ip('netns', 'add', ns);
    ip('link', 'set', name, 'netns', ns);
    ip('-n', ns, 'link', 'set', 'lo', 'up');
    ip('-n', ns, 'link', 'set', name, 'up', 'mtu', String(mtu), 'txqueuelen', '5000');
    ip('-n', ns, 'addr', 'add', `${this.kernelAddress(4)}/24`, 'dev', name);
    if (mtu >= 1280) ip('-n', ns, 'addr', 'add', `${this.kernelAddress(6)}/64`, 'dev', name, 'nodad');
    const write = (file: string, value: string | number): string => `echo '${value}' > /proc/sys/net/${file}`;
    const lines = Object.entries(settings).map(([key, value]) => write(key.replaceAll('.', '/'), value));
    execFileSync('ip', ['netns', 'exec', ns, 'sh', '-ec', lines.join('\n')], { stdio: 'pipe' });
  }
}

/** Resolves when `isTrue`, rejects after `timeoutMs`. */
export async function until(isTrue: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
