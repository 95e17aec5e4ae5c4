/**
 * One of the two hosts of the example: a stack, its one connection, and what there is to tell of it.
 *
 * Used by the page and by the worker. It imports types only: whoever uses it hands it the package, which a worker has loaded by
 * its address, as import maps do not reach into workers.
 */
import type { ChimneyLocation, Link, PacketTap, Stack, SystemRuntime, TcpEndpoint } from 'chimney';

/** The package, loaded. */
export type Chimney = typeof import('chimney');

/** What a side tells, many times a second. */
export interface Report {
  readonly bytes: number;
  readonly location: ChimneyLocation | 'none';
  readonly moves: number;
  /** Of all moves, microseconds: the middle one, the one that 99 of 100 do not exceed, the longest. */
  readonly freezeUs: readonly [number, number, number];
  /** Packets that the engine of the host, and that of the target, have sent or received. */
  readonly byHost: number;
  readonly byTarget: number;
  readonly retransmitted: number;
  readonly findings: number;
  /** Operations of the chimney since the last report, oldest first. */
  readonly operations: readonly string[];
}

/** How a side is to be. */
export interface SideOptions {
  readonly chimney: Chimney;
  readonly runtime: SystemRuntime;
  readonly link: Link;
  readonly address: string;
  readonly verify: boolean;
  /** Sees the packets as well: a capture. */
  readonly tap?: PacketTap;
}

const OPERATIONS_MAX = 40;
const DATA_PATH = /Send|Receive/;
const TARGET = 2;

export class Side {
  readonly stack: Stack;
  readonly #freezes: number[] = [];
  #moves = 0;
  #byHost = 0;
  #byTarget = 0;
  #retransmitted = 0;
  #operations: string[] = [];
  #endpoint: TcpEndpoint | null = null;
  #mover: ReturnType<typeof setInterval> | undefined;
  /** Bytes of the stream so far. */
  bytes = 0;

  constructor(options: SideOptions) {
    const { runtime, verify, link, address, tap } = options;
    const capture: PacketTap = {
      packet: (direction, handledBy, bytes, at, length, nowUs) => {
        if (handledBy === TARGET) this.#byTarget++;
        else this.#byHost++;
        tap?.packet(direction, handledBy, bytes, at, length, nowUs);
      },
      operation: (text, nowUs) => {
        // Those of the data path come by the thousand, and hide the others.
        if (this.#operations.length < OPERATIONS_MAX && !DATA_PATH.test(text)) this.#operations.push(text);
        tap?.operation(text, nowUs);
      },
    };
    const links = [{ link, addresses: [`${address}/24`], capture }];
    this.stack = options.chimney.createStack({ runtime, verify, links });
    this.stack.onMove((move) => {
      this.#moves++;
      this.#freezes.push(move.freezeUs);
    });
  }

  /** The connection that is shown and moved. */
  follow(endpoint: TcpEndpoint): void {
    this.#endpoint = endpoint;
  }

  /** Moves the connection to where it is not, every so many milliseconds; 0: it stays where it is. */
  moveEvery(ms: number): void {
    clearInterval(this.#mover);
    if (ms > 0) this.#mover = setInterval(() => this.move(), ms);
  }

  /** To the target, if the host has it; to the host, if the target has. */
  move(): void {
    const handle = this.#endpoint?.chimney;
    // A connection that is about to end says no; that is no fault.
    if (handle?.location === 'host') handle.offload().catch(() => {});
    else if (handle?.location === 'target') handle.takeBack().catch(() => {});
  }

  report(): Report {
    const operations = this.#operations;
    // A connection that is over counts no more.
    this.#retransmitted = Math.max(this.#retransmitted, this.#endpoint?.info().retransmittedSegments ?? 0);
    this.#operations = [];
    const sorted = this.#freezes.slice().sort((a, b) => a - b);
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    return {
      bytes: this.bytes,
      location: this.#endpoint?.chimney.location ?? 'none',
      moves: this.#moves,
      freezeUs: [at(0.5), at(0.99), sorted.at(-1) ?? 0],
      byHost: this.#byHost,
      byTarget: this.#byTarget,
      retransmitted: this.#retransmitted,
      findings: this.stack.findings.length,
      operations,
    };
  }

  async close(): Promise<void> {
    this.moveEvery(0);
    await this.stack.close();
  }
}

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What the page and the worker say to each other. */
export type ToWorker =
  | {
      readonly kind: 'start';
      /** Where the modules are: `import.meta.resolve` of the page. */
      readonly modules: { readonly chimney: string; readonly contract: string; readonly links: string };
      readonly port: MessagePort;
      readonly bytes: number;
      readonly verify: boolean;
      readonly moveMs: number;
    }
  | { readonly kind: 'move' }
  | { readonly kind: 'moveEvery'; readonly ms: number };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'received'; readonly report: Report; readonly sha256: string }
  | { readonly kind: 'failed'; readonly why: string };
