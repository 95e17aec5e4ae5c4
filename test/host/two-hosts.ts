/**
 * Two host stacks on one wire in memory, in virtual time: what the tests of the transports run on.
 *
 * Everything is the real thing: NDIS library, plain adapters, memory link. A `Peer` is a handler that keeps what it was told.
 */

import { VirtualRuntime } from '../../src/base/virtual-runtime.ts';
import type { TcpEndpoint, TcpHandler, TransportErrorCode } from '../../src/host/api.ts';
import { type HostOptions, HostStack } from '../../src/host/host-stack.ts';
import type { InterfaceConfig } from '../../src/host/path/types.ts';
import type { HostEndpoint } from '../../src/host/transport/tcp-endpoint.ts';
import { type Impairment, type MemoryLinkPair, memoryLinkPair } from '../../src/link/memory.ts';
import type { MiniportDriver } from '../../src/ndis/miniport.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { PlainAdapter } from '../../src/target/plain/plain-adapter.ts';
import { Trace } from '../../src/trace/trace.ts';

export interface WorldOptions {
  readonly seed?: number | string;
  readonly medium?: 'ethernet' | 'ip';
  readonly mtu?: number;
  readonly impairment?: Impairment | readonly [Impairment, Impairment];
  readonly queueBytes?: number;
  readonly a?: HostOptions;
  readonly b?: HostOptions;
  readonly interfaceA?: Partial<InterfaceConfig>;
  readonly interfaceB?: Partial<InterfaceConfig>;
  /** Engine targets instead of plain adapters: connections can be offloaded. */
  readonly hasTargets?: boolean;
}

export const A4 = '10.0.0.1';
export const B4 = '10.0.0.2';
export const A6 = 'fd00::1';
export const B6 = 'fd00::2';

/** Two hosts, 'a' and 'b', with IPv4 and IPv6 addresses. */
export class World {
  readonly runtime: VirtualRuntime;
  readonly links: MemoryLinkPair;
  readonly a: HostStack;
  readonly b: HostStack;
  readonly traceA: Trace = new Trace();
  readonly traceB: Trace = new Trace();

  constructor(options: WorldOptions = {}) {
    const runtime = new VirtualRuntime(options.seed ?? 1);
    this.runtime = runtime;
    this.links = memoryLinkPair({
      runtime,
      medium: options.medium ?? 'ethernet',
      mtu: options.mtu ?? 1500,
      seed: options.seed ?? 1,
      ...(options.impairment === undefined ? {} : { impairment: options.impairment }),
      ...(options.queueBytes === undefined ? {} : { queueBytes: options.queueBytes }),
    });
    // IPv6 needs links of 1280 bytes (RFC 8200 section 5).
    const hasIpv6 = (options.mtu ?? 1500) >= 1280;
    const common = { acceptRouterAdvertisements: false, duplicateAddressDetection: 'off', linkLocal: false } as const;
    const adapterOf = options.hasTargets === true ? engineAdapter : plainAdapter;
    this.a = stack(runtime, this.traceA, adapterOf(this.links.a, runtime, this.traceA), options.a ?? {}, {
      ...common,
      addresses: hasIpv6 ? [`${A4}/24`, `${A6}/64`] : [`${A4}/24`],
      ...options.interfaceA,
    });
    this.b = stack(runtime, this.traceB, adapterOf(this.links.b, runtime, this.traceB), options.b ?? {}, {
      ...common,
      addresses: hasIpv6 ? [`${B4}/24`, `${B6}/64`] : [`${B4}/24`],
      ...options.interfaceB,
    });
    runtime.settle();
  }

  /** A connection from a to a listener on b; both ends established. */
  connection(port = 80, family: 4 | 6 = 4): { client: Peer; server: Peer } {
    const server = new Peer();
    const listener = this.b.listen({ local: { address: family === 4 ? '0.0.0.0' : '::', port } }, (endpoint) => {
      server.attach(endpoint);
    });
    const client = new Peer();
    client.attach(this.a.connect({ remote: { address: family === 4 ? B4 : B6, port } }, client));
    if (!this.runtime.runUntil(() => client.isConnected && server.isAttached, 60_000_000)) {
      throw new Error(`not connected: ${client.error}`);
    }
    listener.close();
    return { client, server };
  }

  /** Runs until `isDone`; throws when that takes more than `limitS` seconds of virtual time. */
  until(isDone: () => boolean, what: string, limitS = 600): void {
    if (!this.runtime.runUntil(isDone, limitS * 1_000_000)) throw new Error(`not within ${limitS} s: ${what}`);
  }
}

type MakeAdapter = (link: MemoryLinkPair['a'], runtime: VirtualRuntime, trace: Trace) => MiniportDriver;

const plainAdapter: MakeAdapter = (link, runtime, trace) => new PlainAdapter({ link, runtime, trace });
const engineAdapter: MakeAdapter = (link, runtime, trace) => new EngineAdapter({ link, runtime, trace });

function stack(
  runtime: VirtualRuntime,
  trace: Trace,
  adapter: MiniportDriver,
  options: HostOptions,
  config: InterfaceConfig,
): HostStack {
  const ndis = new NdisLibrary(runtime, trace);
  const name = ndis.registerAdapter(adapter);
  const host = new HostStack(runtime, trace, ndis, options);
  host.attachInterface(name, config);
  return host;
}

/** A handler that keeps what it is told, and takes as much as it is allowed to. */
export class Peer implements TcpHandler {
  isConnected = false;
  isAttached = false;
  hasEnded = false;
  isClosed = false;
  error: TransportErrorCode | null = null;
  /** What was called, in order, in short: connected, data, end, closed. */
  readonly calls: string[] = [];
  readonly chunks: Uint8Array[] = [];
  received = 0;
  batches = 0;
  /** Bytes it will still take; then it refuses until {@link take}. */
  appetite: number = Number.POSITIVE_INFINITY;
  #endpoint: TcpEndpoint | null = null;
  onData: (() => void) | null = null;

  attach(endpoint: TcpEndpoint): void {
    this.#endpoint = endpoint;
    this.isAttached = true;
    endpoint.handler = this;
  }

  get endpoint(): HostEndpoint {
    return this.#endpoint as HostEndpoint;
  }

  /** Takes `bytes` more. */
  take(bytes: number): void {
    this.appetite += bytes;
    this.endpoint.resume();
  }

  connected(): void {
    this.isConnected = true;
    this.calls.push('connected');
  }

  data(bytes: Uint8Array, at: number, length: number): number {
    if (this.isClosed || this.hasEnded) throw new Error('data after the end');
    const taken = Math.min(length, this.appetite);
    this.appetite -= taken;
    if (taken > 0) this.chunks.push(bytes.slice(at, at + taken));
    this.received += taken;
    if (this.calls.at(-1) !== 'data') this.calls.push('data');
    this.onData?.();
    return taken;
  }

  dataDone(): void {
    this.batches++;
  }

  end(): void {
    if (this.hasEnded || this.isClosed) throw new Error('end came twice, or after closed');
    this.hasEnded = true;
    this.calls.push('end');
  }

  closed(error: TransportErrorCode | null): void {
    if (this.isClosed) throw new Error('closed came twice');
    this.isClosed = true;
    this.error = error;
    this.calls.push(`closed ${error ?? 'null'}`);
  }

  /** All that was received, in one piece. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.received);
    let at = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}

/** Whether two runs of bytes are the same; an expectation over each byte would take its time. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Bytes whose place can be told from their value: no repetition within a megabyte. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = (seed * 2654435761) | 1;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) | 0;
    bytes[i] = x >>> 16;
  }
  return bytes;
}
