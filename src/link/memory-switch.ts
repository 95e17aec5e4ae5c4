/**
 * An Ethernet switch in memory: any number of ports, each one end of a memory wire, and between them a table of who is where.
 *
 * It learns the port of each source address, sends frames for known addresses to their port and floods the rest, as IEEE 802.1Q
 * (8.7, 8.8) has it for one VLAN; addresses of a port whose wire is cut are forgotten. Promises: the table is bounded; what a
 * port's wire has no room for is dropped; no allocation per frame once the addresses are known.
 */

import { checkNeeded, type Expectations, expectation } from '../base/options.ts';
import { Event } from '../trace/events.ts';
import type { Trace } from '../trace/trace.ts';
import type { LinkReceiver } from './link.ts';
import { type MemoryLink, type MemoryLinkOptions, memoryLinkPair, WIRE_OPTIONS } from './memory.ts';

/** Options of a switch: those of its wires, all alike. */
export interface MemorySwitchOptions extends Omit<MemoryLinkOptions, 'names' | 'medium'> {
  /** Names of the ports, for traces: as many as there are to be ports. */
  readonly ports: readonly string[];
}

const { names: _names, medium: _medium, ...WIRE } = WIRE_OPTIONS;
const OPTIONS: Expectations = {
  ...WIRE,
  ports: expectation('an array of the names of the ports', (value) => Array.isArray(value)),
};

const MAC_BYTES = 6;
const ADDRESSES_MAX = 4096;

/** A port, from within. */
class Port implements LinkReceiver {
  readonly inner: MemoryLink;
  readonly #fabric: Fabric;
  isUp = true;

  constructor(inner: MemoryLink, fabric: Fabric) {
    this.inner = inner;
    this.#fabric = fabric;
  }

  receive(bytes: Uint8Array, at: number, length: number, segmentBytes = 0): void {
    this.#fabric.forward(this, bytes, at, length, segmentBytes);
  }
  receiveDone(): void {}
  linkState(isUp: boolean): void {
    this.isUp = isUp;
    if (!isUp) this.#fabric.forget(this);
  }
  writable(): void {}
}

/** What is between the ports. */
class Fabric {
  readonly ports: Port[] = [];
  /** By address, as a number of 48 bits. */
  readonly #table: Map<number, Port> = new Map();
  readonly #trace: Trace | null;

  constructor(trace: Trace | null) {
    this.#trace = trace;
  }

  forward(from: Port, bytes: Uint8Array, at: number, length: number, segmentBytes: number): void {
    if (length < 2 * MAC_BYTES) return;
    this.#learn(addressAt(bytes, at + MAC_BYTES), from);
    const isGroup = (bytes[at]! & 1) !== 0;
    const to = isGroup ? undefined : this.#table.get(addressAt(bytes, at));
    if (to !== undefined) {
      if (to !== from) this.#send(to, bytes, at, length, segmentBytes);
      return;
    }
    for (const port of this.ports) if (port !== from) this.#send(port, bytes, at, length, segmentBytes);
  }

  #learn(address: number, port: Port): void {
    if (this.#table.get(address) === port) return;
    if (this.#table.size >= ADDRESSES_MAX && !this.#table.has(address)) return;
    this.#table.set(address, port);
  }

  #send(port: Port, bytes: Uint8Array, at: number, length: number, segmentBytes: number): void {
    if (!port.inner.transmit(bytes, at, length, segmentBytes)) this.#trace?.count(Event.LINK_FRAME_LOST);
  }

  forget(port: Port): void {
    for (const [address, where] of this.#table) if (where === port) this.#table.delete(address);
  }
}

/** Makes a switch; answers the outer ends of its ports, in their order: a stack's links. Each can be cut and mended. */
export function memorySwitch(options: MemorySwitchOptions): MemoryLink[] {
  checkNeeded('memorySwitch', options, OPTIONS, 'runtime', 'ports');
  const { ports: names, ...wire } = options;
  const fabric = new Fabric(options.trace ?? null);
  return names.map((name, i) => {
    const { a, b } = memoryLinkPair({
      ...wire,
      names: [name, `${name} (switch)`],
      seed: `${options.seed ?? 1}/${i}`,
    });
    const port = new Port(b, fabric);
    fabric.ports.push(port);
    b.start(port);
    return a;
  });
}

function addressAt(bytes: Uint8Array, at: number): number {
  const high = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  const low = (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
  return high * 0x100_0000 + low;
}
