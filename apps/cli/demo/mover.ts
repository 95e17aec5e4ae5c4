/**
 * Moves the connections of a server up and down its chimneys while their bytes flow.
 *
 * Each connection is handed to the target, is queried and updated there, and comes back: taken back by hand, asked back by the
 * target (retrieve), or because its state was invalidated. Now and then a target gives everything back at once (upload-all).
 * A connection is left alone once it is closed; most are closed while the target has them.
 */
import { type ChimneyHandle, type Move, SeededRandom, type Stack, TcpUploadReason } from 'chimney';

/** A link of the server, and whether a driver sits between the host and its target. */
export interface Route {
  /** Name of the adapter with the target. */
  readonly adapter: string;
  /** The server's addresses on it. */
  readonly addresses: readonly string[];
  readonly isViaIntermediate: boolean;
}

/** What is used here of the stack's sockets. */
interface MovableSocket {
  readonly chimney: ChimneyHandle | null;
  readonly destroyed: boolean;
  readonly localAddress?: string | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  setKeepAlive(on: boolean, delayMs: number): unknown;
  setNoDelay(on: boolean): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/** A connection that is being moved. */
interface Moved {
  readonly socket: MovableSocket;
  readonly chimney: ChimneyHandle;
  readonly route: Route;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Round trips down and up so far; decides how it comes back next. */
  rounds: number;
  /** Whether it was asked after, and changed, at a target. */
  wasUsed: boolean;
}

/** Reasons for which a target that is well asks for an upload. */
const REASONS = [
  TcpUploadReason.UPLOAD_REQUESTED,
  TcpUploadReason.HIGH_DROP_RATE,
  TcpUploadReason.HIGH_OUT_OF_ORDER_PACKETS,
  TcpUploadReason.LOW_ACTIVITY,
  TcpUploadReason.SMALL_IO,
] as const;

/** How a connection comes back, in turn. */
const WAYS_BACK = ['manual', 'retrieve', 'manual', 'invalidate', 'retrieve'] as const;

/** The status of what is asked of a connection that is not, or no longer, offloaded. */
const NOT_OFFLOADABLE = 'NOT_OFFLOADABLE';

/** How long a new connection stays on the host: spread, so that not all go down at once. */
const FIRST_MS = [20, 300] as const;
const AT_TARGET_MS = [30, 120] as const;
const ON_HOST_MS = [5, 40] as const;
const UPLOAD_ALL_EVERY_MS = [350, 650] as const;
/** How often somebody looks whether what was asked for has happened, milliseconds. */
const LOOK_MS = 2;
/** How long a target may take to ask for its upload before the host takes it back itself, milliseconds. */
const ASKED_BACK_WITHIN_MS = 1000;

export class Mover {
  readonly #stack: Stack;
  readonly #routes: readonly Route[];
  readonly #random: SeededRandom;
  readonly #connections: Moved[] = [];
  readonly #bySocket: WeakMap<object, Moved> = new WeakMap();
  readonly #uploadAlls: Map<Route, number> = new Map();
  /** Moves that every connection makes at least. */
  readonly #movesEach: number;
  /** Adapters that have given everything back and take nothing new. */
  readonly #closedTo: Set<Route> = new Set();
  #isStopped = false;
  #uploadingAll: Promise<void> | null = null;
  /** Offloads that did not happen, by reason. */
  readonly refusals: Map<string, number> = new Map();
  /** What should not have happened: an operation that failed although its connection lived. */
  readonly failures: string[] = [];

  constructor(stack: Stack, routes: readonly Route[], seed: number, movesEach: number) {
    this.#stack = stack;
    this.#routes = routes;
    this.#random = new SeededRandom(`moves ${seed}`);
    this.#movesEach = movesEach;
  }

  /** Connections that were ever seen. */
  get connectionCount(): number {
    return this.#connections.length;
  }

  /** Moves of all connections, finished with success. */
  moves(): { readonly move: Move; readonly isViaIntermediate: boolean }[] {
    return this.#connections.flatMap(({ chimney, route }) =>
      chimney.moves
        .filter((move) => move.status === 'SUCCESS')
        .map((move) => ({ move, isViaIntermediate: route.isViaIntermediate })),
    );
  }

  /** Finished moves of all connections, for progress. */
  get moveCount(): number {
    return this.#connections.reduce((sum, { chimney }) => sum + chimney.moveCount, 0);
  }

  /** Moves of the connection that has moved least. */
  get leastMoves(): number {
    return Math.min(...this.#connections.map(({ chimney }) => chimney.moveCount));
  }

  /** Begins to move a connection that the server has accepted. */
  follow(given: unknown): void {
    const socket = given as MovableSocket;
    const local = unmapped(socket.localAddress);
    const route = this.#routes.find(({ addresses }) => addresses.includes(local));
    if (socket.chimney === null || route === undefined) {
      this.failures.push(`a connection came to ${local}, which is on no link of the server`);
      return;
    }
    const moved: Moved = {
      socket,
      chimney: socket.chimney,
      route,
      remoteAddress: unmapped(socket.remoteAddress),
      remotePort: socket.remotePort ?? 0,
      rounds: this.#connections.length,
      wasUsed: false,
    };
    this.#connections.push(moved);
    this.#bySocket.set(socket, moved);
    this.#uploadingAll ??= this.#uploadAllNowAndThen();
    void this.#move(moved);
  }

  /** Resolves once the connection has moved as often as it must when `part` (0 to 1) of its bytes are sent. */
  async hasKeptUp(socket: object, part: number): Promise<void> {
    const moved = this.#bySocket.get(socket);
    if (moved === undefined) return;
    const isLate = (): boolean =>
      moved.chimney.moveCount < Math.floor(part * (this.#movesEach + 1)) ||
      (part > 0.9 && !this.#routes.every((route) => this.#uploadAlls.has(route) || !this.#isUsed(route)));
    while (isLate() && !moved.socket.destroyed && !this.#isStopped) await this.#sleep(LOOK_MS);
  }

  /** Resolves as soon as the target has the connection; at once when it will not be moved again. */
  async isAtTarget(socket: object): Promise<void> {
    const moved = this.#bySocket.get(socket);
    if (moved === undefined) return;
    while (moved.chimney.location !== 'target' && !moved.socket.destroyed && !this.#isStopped)
      await this.#sleep(LOOK_MS);
  }

  /** Stops moving; resolves when nothing of it is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#uploadingAll;
  }

  async #move(moved: Moved): Promise<void> {
    const isOver = (): boolean => this.#isStopped || moved.socket.destroyed;
    await this.#sleep(this.#between(FIRST_MS));
    while (!isOver()) {
      await this.#sleep(this.#between(ON_HOST_MS));
      if (isOver()) return;
      if (this.#closedTo.has(moved.route) || !(await this.#handDown(moved))) continue;
      await this.#sleep(this.#between(AT_TARGET_MS) / 2);
      if (isOver()) return;
      await this.#use(moved);
      await this.#sleep(this.#between(AT_TARGET_MS) / 2);
      if (isOver()) return;
      moved.rounds++;
      await this.#bringUp(moved, WAYS_BACK[moved.rounds % WAYS_BACK.length]!);
    }
  }

  async #handDown(moved: Moved): Promise<boolean> {
    try {
      await moved.chimney.offload();
      return true;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!moved.socket.destroyed) this.refusals.set(why, (this.refusals.get(why) ?? 0) + 1);
      return false;
    }
  }

  /** Asks after the connection at its target, and changes what the host may change. */
  async #use(moved: Moved): Promise<void> {
    const { chimney, socket, wasUsed } = moved;
    const isGone = (): boolean => socket.destroyed || chimney.location !== 'target';
    if (isGone()) return;
    moved.wasUsed = true;
    if (!wasUsed || this.#random.nextFloat() < 0.6) {
      try {
        const answer = await chimney.query();
        if (Object.keys(answer.delegated).length === 0) this.failures.push('a query was answered with nothing');
      } catch (error) {
        // On its way back already, which is no failure.
        if (statusOf(error) !== NOT_OFFLOADABLE) this.failures.push(`a query failed: ${String(error)}`);
      }
    }
    if (isGone() || (wasUsed && this.#random.nextFloat() >= 0.6)) return;
    socket.setKeepAlive(true, 1000 * (30 + (this.#random.nextUint32() % 90)));
    socket.setNoDelay(this.#random.nextFloat() < 0.5);
  }

  async #bringUp(moved: Moved, way: (typeof WAYS_BACK)[number]): Promise<void> {
    const { chimney, socket, route } = moved;
    if (chimney.location !== 'target') return;
    try {
      if (way === 'retrieve') {
        const reason = REASONS[this.#random.nextUint32() % REASONS.length]!;
        this.#stack.target(route.adapter).control.retrieve((it) => isSame(it, moved), reason);
        await this.#untilBack(moved);
      } else if (way === 'invalidate') {
        await chimney.invalidate();
        await this.#untilBack(moved);
      }
      if (!socket.destroyed) await chimney.takeBack();
    } catch (error) {
      if (statusOf(error) !== NOT_OFFLOADABLE) this.failures.push(`${way}: ${String(error)}`);
    }
  }

  /** Until the target has asked for the upload and the connection is back; not for ever, for it may be closing. */
  async #untilBack({ chimney, socket }: Moved): Promise<void> {
    const until = Date.now() + ASKED_BACK_WITHIN_MS;
    while (chimney.location !== 'host' && !socket.destroyed && Date.now() < until) await this.#sleep(LOOK_MS);
  }

  async #uploadAllNowAndThen(): Promise<void> {
    for (let turn = 0; !this.#isStopped; turn++) {
      await this.#sleep(this.#between(UPLOAD_ALL_EVERY_MS) / this.#routes.length);
      const route = this.#routes[turn % this.#routes.length]!;
      const { control } = this.#stack.target(route.adapter);
      if (this.#isStopped || control.held().tcpObjects === 0) continue;
      this.#closedTo.add(route);
      control.uploadAll();
      while (control.held().tcpObjects > 0 && !this.#isStopped) await this.#sleep(LOOK_MS);
      control.resume();
      this.#closedTo.delete(route);
      this.#uploadAlls.set(route, (this.#uploadAlls.get(route) ?? 0) + 1);
    }
  }

  #isUsed(route: Route): boolean {
    return this.#connections.some((moved) => moved.route === route && !moved.socket.destroyed);
  }

  #between([least, most]: readonly [number, number]): number {
    return least + this.#random.nextFloat() * (most - least);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}

function statusOf(error: unknown): string {
  return (error as { status?: string }).status ?? '';
}

/** A server that listens on '::' is shown IPv4 as IPv6 ('::ffff:10.0.0.1'); here as it is. */
function unmapped(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/, '');
}

/** Whether the target's connection is this one. */
function isSame(
  it: { readonly localAddress: string; readonly remoteAddress: string; readonly remotePort: number },
  moved: Moved,
): boolean {
  return it.remotePort === moved.remotePort && it.remoteAddress === moved.remoteAddress;
}
