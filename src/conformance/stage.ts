/**
 * The stage: everything that one run needs, and the vocabulary in which scenarios are written.
 *
 * A scenario is some actors, each with a list of steps; which actor goes on next is a choice. A step that a host which keeps the
 * contract may not take now is not ready; one that has become pointless (the connection is gone) does nothing when it is due.
 */

import type { Finding } from '../contract/finding.ts';
import {
  DEFAULT_OFFLOAD_PARAMETERS,
  NdisStatus,
  type OffloadBlock,
  Oid,
  type OidRequest,
  TcpDisconnectFlag,
} from '../ndis/protocol.ts';
import { emptyNetBufferList, type NetBufferList, netBufferListOver } from '../state/net-buffer-list.ts';
import type { ModelHost } from './model-host.ts';
import {
  asking,
  beside,
  hang,
  ModelConnection,
  ModelNeighbor,
  type ModelObject,
  ModelPath,
  neighborBlock,
  pathBlock,
  reference,
  tcpBlock,
  updating,
} from './objects.ts';
import { pattern } from './pattern.ts';
import { type ModelWire, OTHER_MAC } from './peer.ts';

/** Something an actor does. */
export interface Step {
  readonly name: string;
  readonly isReady: () => boolean;
  readonly act: () => void;
}

/** Actors of a scenario: each does its steps in their order. */
export type Actors = readonly (readonly Step[])[];

/** A small world and what happens in it. */
export interface Scenario {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  readonly build: (stage: Stage) => Actors;
  /** Frames may overtake each other. */
  readonly reorders?: boolean;
  /** Drivers are slow: what they have deferred is done last where nobody chooses otherwise. */
  readonly isLazy?: boolean;
  /** Timers may fire while other things could happen; else only when nothing else can. */
  readonly races?: boolean;
}

/** What a run is made of. */
export interface StageParts {
  readonly host: ModelHost;
  readonly wire: ModelWire;
  readonly findings: readonly Finding[];
  /** Told of frames that have to come up, and of the rules that say so. */
  readonly awaits: (frame: Uint8Array, rules: readonly string[]) => void;
}

/** How a chain of posted receives is made. */
export interface PostOptions {
  readonly noPush?: boolean;
}

/** What a connection has when it goes down. */
export interface Luggage {
  /** Bytes of each send list. */
  readonly sends?: readonly number[];
  /** Bytes received and not yet read. */
  readonly unread?: number;
}

/** The vocabulary. */
export class Stage {
  readonly host: ModelHost;
  readonly wire: ModelWire;
  readonly findings: readonly Finding[];
  readonly awaits: StageParts['awaits'];
  #others = 0;

  constructor(parts: StageParts) {
    this.host = parts.host;
    this.wire = parts.wire;
    this.findings = parts.findings;
    this.awaits = parts.awaits;
  }

  // Objects.

  neighbor(mac?: Uint8Array): ModelNeighbor {
    return this.#known(new ModelNeighbor(`neighbor${this.#others++}`, mac));
  }

  /** A second next hop. */
  otherNeighbor(): ModelNeighbor {
    return this.neighbor(OTHER_MAC);
  }

  path(neighbor: ModelNeighbor = this.neighbor(), family: 4 | 6 = 4): ModelPath {
    const index = this.#others++;
    return this.#known(new ModelPath(`path${index}`, neighbor, family, 2 + index));
  }

  connection(path: ModelPath = this.path(), luggage: Luggage = {}): ModelConnection {
    const c = this.#known(new ModelConnection(this.wire, path, this.host.connections.length));
    this.host.connections.push(c);
    const sends = luggage.sends ?? [];
    c.chain = chainOf(sends.map((bytes) => this.#data(c, bytes)));
    const unread = luggage.unread ?? 0;
    if (unread > 0) {
      c.unread = netBufferListOver(pattern(0, unread, c.peer.key));
      c.peer.sent = unread;
    }
    return c;
  }

  #known<T extends ModelObject>(object: T): T {
    object.index = this.host.objects.length;
    this.host.objects.push(object);
    return object;
  }

  #data(c: ModelConnection, bytes: number): NetBufferList {
    const list = netBufferListOver(pattern(c.posted, bytes, c.peer.key + 1));
    c.beginsAt.set(list, c.posted);
    c.posted += bytes;
    return this.host.lend(c, list);
  }

  // State operations.

  /** Offloads connections with whatever they hang on that is not there yet; `isSpaced`: a placeholder over linkers. */
  initiate(connections: readonly ModelConnection[], isSpaced = false): Step {
    return {
      name: `initiate ${connections.map(({ name }) => name).join(' ')}`,
      isReady: () => this.isInitiateBarred || connections.every(mayGoDown),
      act: () => {
        if (this.isInitiateBarred) return;
        this.askAgain();
        const root = this.#initiateTree(connections, isSpaced);
        for (const c of connections)
          for (const object of routeOf(c)) if (object.where === 'host') object.where = 'initiating';
        this.host.ndis.initiateOffload(this.host.binding, root);
      },
    };
  }

  /** A pause, an upload of everything, or no chimney. */
  get isInitiateBarred(): boolean {
    return this.host.isPaused || this.host.isUploadingAll;
  }

  /** EVT-039. */
  askAgain(): void {
    if (!this.host.needsQuery) return;
    this.host.needsQuery = false;
    this.host.ndis.oidRequest(this.host.binding, { oid: Oid.TCP_TASK_OFFLOAD, kind: 'query', information: null });
  }

  /** Offloads a connection; beside its tree stands a placeholder on which nothing hangs. */
  initiateBeside(c: ModelConnection): Step {
    const step = this.initiate([c]);
    return {
      ...step,
      act: () => {
        if (this.isInitiateBarred) return;
        const root = this.#initiateTree([c], false);
        root.nextBlock = reference(c.path.neighbor, 'all');
        root.nextBlock.offloadHandle = null;
        for (const object of routeOf(c)) if (object.where === 'host') object.where = 'initiating';
        this.host.ndis.initiateOffload(this.host.binding, root);
      },
    };
  }

  #initiateTree(connections: readonly ModelConnection[], isSpaced: boolean): OffloadBlock {
    const byNeighbor = new Map<ModelNeighbor, Map<ModelPath, ModelConnection[]>>();
    for (const c of connections) {
      const { path } = c;
      // What came back with it, or was turned away before, goes down once more.
      for (let list = c.chain; list !== null; list = list.next) this.host.lend(c, list);
      const paths = byNeighbor.get(path.neighbor) ?? new Map<ModelPath, ModelConnection[]>();
      byNeighbor.set(path.neighbor, paths);
      paths.set(path, [...(paths.get(path) ?? []), c]);
    }
    const roots = [...byNeighbor].map(([neighbor, paths]) => {
      const below = [...paths].map(([path, there]) =>
        hang(path.where === 'host' ? pathBlock(path) : reference(path, 'all'), there.map(tcpBlock)),
      );
      if (neighbor.where === 'host') return hang(neighborBlock(neighbor), below);
      if (!isSpaced) return hang(reference(neighbor, 'all'), below);
      const placeholder = reference(neighbor, 'all');
      placeholder.offloadHandle = null;
      return hang(placeholder, below);
    });
    return beside(roots)!;
  }

  /** Terminates objects that hang on each other (or one), the lowest first in the list. */
  terminate(objects: readonly ModelObject[]): Step {
    return {
      name: `terminate ${objects.map(({ name }) => name).join(' ')}`,
      // One that is on its way up already, as it was asked for, still counts as a dependent until it is here.
      isReady: () =>
        !objects.some(({ where }) => where === 'terminating') &&
        (objects.some(({ where, wasDecided }) => where === 'host' && wasDecided) ||
          objects.every((object) => mayGoUp(object, objects))),
      act: () => this.terminateNow(objects),
    };
  }

  /** The same with blocks that no structure follows. TERM-014. */
  terminateBare(objects: readonly ModelObject[]): Step {
    const blockOf = (object: ModelObject): OffloadBlock => reference(object, 'delegated');
    return { ...this.terminate(objects), act: () => this.terminateNow(objects, blockOf) };
  }

  /** Terminates what of these is at the target. */
  terminateNow(
    objects: readonly ModelObject[],
    blockOf: (object: ModelObject) => OffloadBlock = (object) => asking(object, 'delegated'),
  ): void {
    const there = objects.filter(({ where }) => where === 'target');
    if (there.length === 0) return;
    const root = this.#treeOver(there, blockOf);
    for (const object of there) object.where = 'terminating';
    this.host.ndis.terminateOffload(this.host.binding, root);
  }

  /** A tree over objects: those whose parent is among them hang on it, the others are roots beside each other. */
  #treeOver(objects: readonly ModelObject[], blockOf: (object: ModelObject) => OffloadBlock): OffloadBlock {
    const blocks = new Map<ModelObject, OffloadBlock>(objects.map((object) => [object, blockOf(object)]));
    const roots: OffloadBlock[] = [];
    for (const [object, block] of blocks) {
      const parent =
        object instanceof ModelConnection ? object.path : object instanceof ModelPath ? object.neighbor : null;
      const above = parent === null ? undefined : blocks.get(parent);
      if (above === undefined) roots.push(block);
      else {
        block.nextBlock = above.dependentBlockList;
        above.dependentBlockList = block;
      }
    }
    return beside(roots)!;
  }

  /** Queries objects, with all their state or the delegated part. */
  query(objects: readonly ModelObject[], what: 'all' | 'delegated' = 'all', isUnderPlaceholder = false): Step {
    return this.#operation('query', objects, () => {
      const tree = this.#treeOver(objects, (object) => asking(object, what));
      const first = objects[0]!;
      const parent = first instanceof ModelConnection ? first.path : null;
      if (!isUnderPlaceholder || parent === null) return this.host.ndis.queryOffloadState(this.host.binding, tree);
      const placeholder = reference(parent, 'all');
      placeholder.offloadHandle = null;
      placeholder.dependentBlockList = tree;
      this.host.ndis.queryOffloadState(this.host.binding, placeholder);
    });
  }

  /** Updates the cached state of an object; `change` makes it another. */
  update(object: ModelObject, change: () => void = () => {}): Step {
    const step = this.#operation('update', [object], () => {
      change();
      object.updates++;
      this.host.ndis.updateOffload(this.host.binding, updating(object));
    });
    return { ...step, isReady: () => step.isReady() && object.updates === 0 };
  }

  /** Updates a connection below a placeholder for its path. */
  updateBelow(c: ModelConnection): Step {
    return this.#operation('update', [c], () => {
      c.updates++;
      const placeholder = reference(c.path, 'cached');
      placeholder.offloadHandle = null;
      this.host.ndis.updateOffload(this.host.binding, hang(placeholder, [updating(c)]));
    });
  }

  /** Moves a path to another neighbor that is at the target. UPD-023. */
  relink(path: ModelPath, to: ModelNeighbor): Step {
    const step = this.#operation('relink', [path, to], () => {
      for (const object of [path, to]) object.updates++;
      path.neighbor.dependents--;
      path.neighbor = to;
      path.wasRelinked = true;
      to.dependents++;
      this.host.ndis.updateOffload(this.host.binding, hang(reference(to, 'cached'), [updating(path)]));
    });
    return { ...step, isReady: () => step.isReady() && path.updates + to.updates === 0 };
  }

  invalidate(objects: readonly ModelObject[]): Step {
    return this.#operation('invalidate', objects, () => {
      for (const object of objects) object.isInvalid = true;
      const tree = this.#treeOver(objects, (object) => reference(object, 'all'));
      this.host.ndis.invalidateOffload(this.host.binding, tree);
    });
  }

  #operation(name: string, objects: readonly ModelObject[], act: () => void): Step {
    const isDone = (): boolean => objects.some((object) => isPast(object) || object.isInvalid);
    return {
      name: `${name} ${objects.map((object) => object.name).join(' ')}`,
      isReady: () => isDone() || objects.every(({ where }) => where === 'target'),
      act: () => {
        if (isDone()) return;
        for (const object of objects) object.operations++;
        act();
      },
    };
  }

  // Data.

  /** A step about a connection at the target; nothing once it is on its way up. */
  on(c: ModelConnection, name: string, act: () => void): Step {
    return {
      name: `${name} ${c.name}`,
      isReady: () => c.where === 'target' || isPast(c),
      act: () => {
        if (c.where === 'target') act();
      },
    };
  }

  /** Sends lists of so many bytes, in one call. */
  send(c: ModelConnection, ...sizes: number[]): Step {
    return this.on(c, `send ${sizes.join('+')}`, () => {
      if (c.hasClosed || c.hasAborted) return;
      this.host.ndis.offloadTcpSend(c.handle, chainOf(sizes.map((bytes) => this.#data(c, bytes)))!);
    });
  }

  /** Posts receives of so many bytes, in one call. */
  post(c: ModelConnection, sizes: readonly number[], options: PostOptions = {}): Step {
    return this.on(c, `post ${sizes.join('+')}`, () => {
      const lists = sizes.map((bytes) => {
        const list = bytes === 0 ? emptyNetBufferList() : netBufferListOver(new Uint8Array(bytes));
        list.tcpReceiveNoPush = options.noPush ?? false;
        return this.host.lend(c, list);
      });
      this.host.ndis.offloadTcpReceive(c.handle, chainOf(lists)!);
    });
  }

  /** A graceful disconnect, with data where `bytes` is not 0. */
  close(c: ModelConnection, bytes = 0): Step {
    return this.on(c, 'close', () => {
      if (c.hasClosed || c.hasAborted) return;
      const list = bytes === 0 ? this.host.lend(c, emptyNetBufferList()) : this.#data(c, bytes);
      c.hasClosed = true;
      this.host.ndis.offloadTcpDisconnect(c.handle, list, TcpDisconnectFlag.GRACEFUL_CLOSE);
    });
  }

  abort(c: ModelConnection): Step {
    return this.on(c, 'abort', () => {
      if (c.hasAborted) return;
      c.hasAborted = true;
      c.wasAborted = true;
      const list = this.host.lend(c, emptyNetBufferList());
      this.host.aborts.add(list);
      this.host.ndis.offloadTcpDisconnect(c.handle, list, TcpDisconnectFlag.ABORTIVE_CLOSE);
    });
  }

  /** Forwards the segments that arrived while the connection went down. */
  forwardNow(c: ModelConnection): void {
    const lists = c.late.splice(0).map((segment) => this.host.lend(c, netBufferListOver(segment)));
    const chain = chainOf(lists);
    if (chain !== null) this.host.ndis.offloadTcpForward(c.handle, chain);
  }

  returns(): Step {
    return { name: 'return', isReady: () => true, act: () => this.host.returnOne() };
  }

  oid(oid: number, kind: OidRequest['kind'], information: unknown = null): Step {
    return { name: `oid ${oid} ${kind}`, isReady: () => true, act: () => void this.request(oid, kind, information) };
  }

  /** To sleep: only when every connection is terminated, or is being. PWR-001, PWR-002. */
  sleep(state: number): Step {
    const isAtRest = (): boolean =>
      this.host.connections.every(({ where }) => where === 'host' || where === 'terminating');
    return { name: 'power down', isReady: isAtRest, act: () => void this.request(Oid.PNP_SET_POWER, 'set', state) };
  }

  request(oid: number, kind: OidRequest['kind'], information: unknown): number {
    const status = this.host.ndis.oidRequest(this.host.binding, { oid, kind, information });
    if (status === NdisStatus.PENDING) this.host.pendingRequests++;
    return status;
  }

  enable(): number {
    return this.request(Oid.TCP_TASK_OFFLOAD, 'set', { ...DEFAULT_OFFLOAD_PARAMETERS });
  }

  // The peer.

  peer(c: ModelConnection, name: string, act: () => void): Step {
    return {
      name: `peer of ${c.name}: ${name}`,
      // What happened before the connection first went down is the host's business.
      isReady: () => c.where !== 'host' || c.wasDecided,
      act,
    };
  }
  text(c: ModelConnection, bytes: number): Step {
    return this.peer(c, `${bytes} bytes`, () => c.peer.send(bytes));
  }
  /** A frame that is not the chimney's: it has to come up. */
  strange(c: ModelConnection, name: string, rules: readonly string[], make: (frame: Uint8Array) => Uint8Array): Step {
    return this.peer(c, name, () => {
      const frame = make(this.wire.bareFrame(c.peer));
      this.awaits(frame, rules);
      this.wire.toTarget.push(frame);
    });
  }
  fin(c: ModelConnection): Step {
    return this.peer(c, 'FIN', () => c.peer.finish());
  }
  reset(c: ModelConnection): Step {
    return this.peer(c, 'RST', () => c.peer.reset());
  }
  /** From here on the peer acknowledges nothing, until {@link acks}. */
  mute(c: ModelConnection): Step {
    return this.peer(c, 'no ACKs', () => {
      c.peer.holdsAcks = true;
    });
  }
  acks(c: ModelConnection): Step {
    return this.peer(c, 'ACK', () => {
      c.peer.holdsAcks = false;
      c.peer.acknowledge();
    });
  }
}

/** The objects of a connection, lowest last. */
export function routeOf(c: ModelConnection): readonly ModelObject[] {
  return [c.path.neighbor, c.path, c];
}

/** Whether it was at the target and is not to be used there any more. */
function isPast({ where, wasDecided }: ModelObject): boolean {
  return where === 'terminating' || (where === 'host' && wasDecided);
}

function mayGoDown(c: ModelConnection): boolean {
  if (c.where !== 'host') return false;
  return routeOf(c).every(({ where, isInvalid }) => (where === 'host' || where === 'target') && !isInvalid);
}

/** Nothing under way, and nothing hanging on it that stays. TERM-028, TERM-063. */
function mayGoUp(object: ModelObject, together: readonly ModelObject[]): boolean {
  if (!object.isIdle) return false;
  const leaving = together.filter((other) =>
    other instanceof ModelConnection ? other.path === object : other instanceof ModelPath && other.neighbor === object,
  );
  return object.dependents <= leaving.length;
}

function chainOf(lists: readonly NetBufferList[]): NetBufferList | null {
  lists.forEach((list, i) => {
    list.next = lists[i + 1] ?? null;
  });
  return lists[0] ?? null;
}
