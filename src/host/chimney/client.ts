/**
 * The chimney client: the host's half of the chimney contract.
 *
 * It stands between the endpoints (ChimneyPort: what happens to connections that are not on the host path) and NDIS (the
 * Protocol* functions of the chimney), and watches the IP layer for changes of state that targets have copies of. Moves, data
 * and the other operations are each in a file of their own; this one only hands calls on. Theory: docs/ARCHITECTURE.md.
 */

import { Later } from '../../base/later.ts';
import type { Runtime } from '../../base/runtime.ts';
import {
  type BytesConsumed,
  IndicateOffloadEvent,
  type NdisBindingHandle,
  type NdisForProtocol,
  type NdisOffloadHandle,
  NdisStatus,
  type OidRequest,
  type ProtocolOffloadBlock,
  type StatusIndication,
  type TcpConnectionOffloadParameters,
} from '../../ndis/protocol.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import { TcpWord } from '../../state/tcp.ts';
import type { TcpParameters } from '../../tcp/parameters.ts';
import type { Trace } from '../../trace/trace.ts';
import { Toeplitz } from '../../wire/toeplitz.ts';
import type { ChimneyHandle, Move, OffloadPolicy, TakeBackPolicy } from '../api.ts';
import type { Interface, NeighborEntry, PathEntry, PathObserver } from '../path/types.ts';
import { OffloadSwitch } from '../switch.ts';
import type { ChimneyPort } from '../transport/chimney-port.ts';
import type { HostEndpoint } from '../transport/tcp-endpoint.ts';
import { ChimneyAdapter, type StandingStill } from './adapter.ts';
import { resumeAdapter, suspendAdapter, wakeSleepers } from './adapter-life.ts';
import { hasHopLimitOfPath } from './cached-state.ts';
import type { ChimneyContext, MoveListener } from './context.ts';
import { DataPath } from './data-path.ts';
import { type FlightJudge, FlightQueries } from './flight-queries.ts';
import { ConnectionHandle } from './handle.ts';
import { Moves } from './moves.ts';
import { ObjectState, OffloadedConnection, OffloadedNeighbor, OffloadedPath } from './objects.ts';
import { StateOperations } from './operations.ts';
import { OwnReasons } from './own-reasons.ts';
import { statusIndicated } from './status-indications.ts';
import { forEachBlock } from './tree.ts';

/** What the client is made of. */
export interface ChimneyClientOptions {
  readonly ndis: NdisForProtocol;
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly parameters: TcpParameters;
  /** Tunables given to every target; absent: the defaults. */
  readonly offloadParameters?: Readonly<TcpConnectionOffloadParameters>;
  readonly policy?: OffloadPolicy;
  /** Whether a target's wish to be rid of a connection for a discretionary reason is granted. Default true. */
  readonly grantsOptionalUploads?: boolean;
  /** Whether what a target has sent back all together goes down again when it resumes. Default false. */
  readonly offloadsAgain?: boolean;
  /** When connections are taken back for reasons of the host's own. Default: never. */
  readonly takeBack?: TakeBackPolicy;
  /** Sends a unicast probe to a neighbor. */
  readonly probe: (neighbor: NeighborEntry) => void;
  /** Asks for the link-layer address of a neighbor. */
  readonly resolve: (neighbor: NeighborEntry) => void;
  readonly onMove?: MoveListener;
}

export class ChimneyClient implements ChimneyPort, PathObserver {
  readonly #context: ChimneyContext;
  readonly #offloadParameters: Readonly<TcpConnectionOffloadParameters> | undefined;
  readonly #adapters: Map<NdisBindingHandle, ChimneyAdapter> = new Map();
  readonly #byInterface: Map<Interface, ChimneyAdapter> = new Map();
  readonly #switch: OffloadSwitch;
  readonly #later: Later;
  readonly #flights: FlightQueries;

  constructor(options: ChimneyClientOptions) {
    const context: ChimneyContext = {
      ndis: options.ndis,
      runtime: options.runtime,
      trace: options.trace,
      parameters: options.parameters,
      onMove: options.onMove ?? null,
      grantsOptionalUploads: options.grantsOptionalUploads ?? true,
      offloadsAgain: options.offloadsAgain ?? false,
      takeBack: options.takeBack ?? {},
      probe: options.probe as (neighbor: unknown) => void,
      resolve: options.resolve as (neighbor: unknown) => void,
      moves: null as unknown as Moves,
      data: null as unknown as DataPath,
      operations: null as unknown as StateOperations,
      own: null as unknown as OwnReasons,
    };
    context.moves = new Moves(context);
    context.data = new DataPath(context);
    context.operations = new StateOperations(context);
    context.own = new OwnReasons(context);
    this.#context = context;
    this.#later = new Later(options.runtime);
    this.#flights = new FlightQueries(context.operations);
    this.#offloadParameters = options.offloadParameters;
    this.#switch = new OffloadSwitch(options.runtime, options.policy ?? null, (endpoint) => {
      const connection = this.#connectionOf(endpoint);
      if (connection !== null) context.moves.requestOffload(connection, 'policy', null);
    });
  }

  /** An interface was attached: asks its adapter what it can do. */
  attach(iface: Interface, binding: NdisBindingHandle): void {
    const adapter = new ChimneyAdapter(iface, binding.adapterName, binding, this.#offloadParameters);
    this.#adapters.set(binding, adapter);
    this.#byInterface.set(iface, adapter);
    adapter.queryCapabilities(this.#context.ndis);
  }

  /** Everything that is below comes back, and nothing more goes down; for an orderly close. Resolves when nothing is offloaded any more. */
  async takeBackAll(): Promise<void> {
    const moves: Promise<unknown>[] = [];
    for (const adapter of this.#adapters.values()) {
      adapter.stillBecause.add('removal');
      adapter.sleepers.clear();
      for (const connection of adapter.connections) {
        moves.push(
          new Promise<void>((resolve) => {
            const waiter = { resolve: () => resolve(), reject: () => resolve() };
            this.#context.moves.requestTakeBack(connection, 'close', null, waiter);
          }),
        );
      }
    }
    await Promise.all(moves);
    await this.#untilEmpty();
  }

  /** Everything of one adapter comes back, and nothing goes down before {@link resume}. PWR-001. */
  suspend(binding: NdisBindingHandle, why: StandingStill): Promise<void> {
    const adapter = this.#adapters.get(binding);
    return adapter === undefined ? Promise.resolve() : suspendAdapter(this.#context, adapter, this.#later, why);
  }

  /** The adapter is there again. */
  resume(binding: NdisBindingHandle, why: StandingStill): void {
    const adapter = this.#adapters.get(binding);
    if (adapter !== undefined) resumeAdapter(this.#context, adapter, why);
  }

  /** The adapter goes away: everything comes back, then it is forgotten. */
  async detach(iface: Interface, binding: NdisBindingHandle): Promise<void> {
    const adapter = this.#adapters.get(binding);
    await this.suspend(binding, 'removal');
    this.#adapters.delete(binding);
    if (adapter !== undefined) this.#context.operations.adapterGone(adapter);
    if (this.#byInterface.get(iface)?.binding === binding) this.#byInterface.delete(iface);
  }

  /** The link of the adapter is down. TERM-088. */
  mediaLost(binding: NdisBindingHandle): void {
    const adapter = this.#adapters.get(binding);
    if (adapter !== undefined) this.#context.own.mediaLost(adapter);
  }

  /** Receive-side scaling hashes with another key from now on. */
  hashKeyChanged(binding: NdisBindingHandle, key: Uint8Array): void {
    const adapter = this.#adapters.get(binding);
    if (adapter !== undefined) adapter.hash = new Toeplitz(key);
  }

  /** The administrator has set other tunables. */
  parametersChanged(binding: NdisBindingHandle, parameters: Readonly<TcpConnectionOffloadParameters>): void {
    const adapter = this.#adapters.get(binding);
    if (adapter !== undefined) adapter.parameters = parameters;
  }

  /** Objects below (or on their way): for leak checks. */
  held(): { connections: number; paths: number; neighbors: number } {
    const out = { connections: 0, paths: 0, neighbors: 0 };
    for (const adapter of this.#adapters.values()) {
      out.connections += adapter.connections.size;
      out.paths += adapter.paths.size;
      out.neighbors += adapter.neighbors.size;
    }
    return out;
  }

  #untilEmpty(): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        const { connections, paths, neighbors } = this.held();
        if (connections + paths + neighbors === 0) resolve();
        else this.#later.at(this.#context.runtime.nowUs() + 1000, look);
      };
      look();
    });
  }

  // ---- ChimneyPort ----

  get afterBytes(): number {
    return this.#switch.afterBytes;
  }

  established(endpoint: HostEndpoint): void {
    this.#supplyHash(endpoint);
    this.#switch.established(endpoint);
  }

  /** The RSS hash of the connection, computed once, for its life: what received packets of it hash to. RSS-002. */
  #supplyHash(endpoint: HostEndpoint): void {
    const { tcp, path } = endpoint;
    const hash = this.#byInterface.get(path.iface)?.hash ?? null;
    if (hash === null) return;
    const bytes = path.family === 4 ? 4 : 16;
    hash.begin().add(path.remote.bytes, 0, bytes).add(path.local.bytes, 0, bytes);
    tcp.words[tcp.base + TcpWord.HASH_VALUE] = hash.addPort(tcp.remotePort).addPort(tcp.localPort).end();
  }

  bytesReached(endpoint: HostEndpoint): void {
    this.#switch.bytesReached(endpoint);
  }

  send(endpoint: HostEndpoint, list: NetBufferList): void {
    this.#context.data.send(known(endpoint), list);
  }

  disconnect(endpoint: HostEndpoint, graceful: boolean): void {
    this.#context.data.disconnect(known(endpoint), graceful);
  }

  orphaned(endpoint: HostEndpoint): void {
    this.#context.data.orphaned(known(endpoint));
  }

  readable(endpoint: HostEndpoint): void {
    if (endpoint.chimneyState !== null) this.#context.data.receives.readable(known(endpoint));
  }

  holdsText(endpoint: HostEndpoint): boolean {
    return endpoint.chimneyState !== null && known(endpoint).refusedBytes > 0;
  }

  keepData(endpoint: HostEndpoint): (() => void) | null {
    return this.#context.data.loans.keep(endpoint);
  }

  takeData(bytes: Uint8Array): boolean {
    return this.#context.data.takeMemory(bytes);
  }

  cachedChanged(endpoint: HostEndpoint, actionFlags: number): void {
    // An option of a connection that is over concerns nobody.
    if (endpoint.chimneyState !== null) this.#context.operations.connectionChanged(known(endpoint), actionFlags);
  }

  segment(endpoint: HostEndpoint, bytes: Uint8Array, at: number, length: number, _wasPassedUp: boolean): void {
    this.#context.data.segment(known(endpoint), bytes, at, length);
  }

  askFlight(endpoint: HostEndpoint, judge: FlightJudge): boolean {
    return endpoint.chimneyState !== null && this.#flights.ask(known(endpoint), judge);
  }

  sendBacklogOf(endpoint: HostEndpoint): number {
    return endpoint.chimneyState === null ? 0 : known(endpoint).sendBacklog;
  }

  handleOf(endpoint: HostEndpoint): ChimneyHandle {
    return new ConnectionHandle(this.#context, endpoint, () => this.#connectionOf(endpoint));
  }

  released(endpoint: HostEndpoint): void {
    this.#switch.released(endpoint);
    const connection = endpoint.chimneyState as OffloadedConnection | null;
    if (connection === null) return;
    connection.isReleased = true;
    if (connection.state !== ObjectState.NONE) {
      // The target must be told as well, whatever ended it above; a reset goes out through it if one was asked for.
      if (connection.disconnectWanted === 'none') this.#context.moves.requestTakeBack(connection, 'close', null, null);
    } else this.#context.moves.requestTakeBack(connection, 'close', null, null);
  }

  #connectionOf(endpoint: HostEndpoint): OffloadedConnection | null {
    const adapter = this.#byInterface.get(endpoint.path.iface);
    if (adapter === undefined) return (endpoint.chimneyState as OffloadedConnection | null) ?? null;
    let connection = endpoint.chimneyState as OffloadedConnection | null;
    if (connection === null || (connection.state === ObjectState.NONE && connection.adapter !== adapter)) {
      connection = new OffloadedConnection(adapter, endpoint, this.#pathOf(adapter, endpoint.path));
      endpoint.chimneyState = connection;
    } else if (connection.state === ObjectState.NONE) connection.path = this.#pathOf(adapter, endpoint.path);
    return connection;
  }

  #pathOf(adapter: ChimneyAdapter, entry: PathEntry): OffloadedPath {
    const neighbor = this.#neighborOf(adapter, entry.neighbor);
    let path = entry.chimney as OffloadedPath | null;
    if (path === null || (path.state === ObjectState.NONE && path.adapter !== adapter)) {
      path = new OffloadedPath(adapter, entry, neighbor);
      entry.chimney = path;
    }
    if (path.state === ObjectState.NONE) path.neighbor = neighbor;
    return path;
  }

  #neighborOf(adapter: ChimneyAdapter, entry: NeighborEntry | null): OffloadedNeighbor {
    if (entry === null) {
      adapter.linkNeighbor ??= new OffloadedNeighbor(adapter, null);
      return adapter.linkNeighbor;
    }
    const known = entry.chimney as OffloadedNeighbor | null;
    if (known !== null && known.adapter === adapter) return known;
    const neighbor = new OffloadedNeighbor(adapter, entry);
    entry.chimney = neighbor;
    return neighbor;
  }

  // ---- PathObserver ----

  neighborMacChanged(entry: NeighborEntry): void {
    const neighbor = entry.chimney as OffloadedNeighbor | null;
    if (neighbor === null) return;
    this.#context.operations.neighborMacChanged(neighbor);
  }

  neighborResolved(entry: NeighborEntry): void {
    const neighbor = entry.chimney as OffloadedNeighbor | null;
    if (neighbor !== null) this.#context.operations.neighborResolved(neighbor);
    const adapter = this.#byInterface.get(entry.iface);
    if (adapter !== undefined && adapter.sleepers.size > 0) wakeSleepers(this.#context, adapter);
  }

  neighborUnreachable(entry: NeighborEntry): void {
    const neighbor = entry.chimney as OffloadedNeighbor | null;
    if (neighbor !== null) this.#context.operations.neighborUnreachable(neighbor);
  }

  neighborDelayOver(entry: NeighborEntry): boolean {
    const neighbor = entry.chimney as OffloadedNeighbor | null;
    if (neighbor === null || neighbor.state !== ObjectState.OFFLOADED) return false;
    const askedUs = this.#context.runtime.nowUs();
    this.#context.operations.queryReachability(neighbor, (nrd) => {
      const confirmedUs = askedUs - nrd * neighbor.adapter.tickUs;
      if (confirmedUs > entry.confirmedUs && askedUs - confirmedUs < entry.iface.reachableTimeUs) {
        entry.confirmReachable(confirmedUs);
      } else this.#context.probe(entry);
    });
    return true;
  }

  nextHopChanged(entry: PathEntry, _oldNeighbor: NeighborEntry | null): void {
    const path = entry.chimney as OffloadedPath | null;
    if (path !== null) this.#followWay(path);
  }

  /** What is offloaded goes the way that its path goes now. */
  #followWay(path: OffloadedPath): void {
    const { entry } = path;
    if (!path.isOffloaded) return;
    const adapter = this.#byInterface.get(entry.iface);
    if (adapter === path.adapter && entry.isUp) {
      this.#context.operations.nextHopChanged(path, this.#neighborOf(adapter, entry.neighbor));
      return;
    }
    if (adapter === path.adapter && !entry.iface.isUp) return;
    // Another interface now, whose target knows nothing of these connections, or no way at all.
    for (const connection of path.adapter.connections) {
      if (connection.path === path) this.#context.moves.requestTakeBack(connection, 'failure', 'RouteChanged', null);
    }
  }

  pathMtuChanged(entry: PathEntry): void {
    const path = entry.chimney as OffloadedPath | null;
    if (path !== null) this.#context.operations.pathMtuChanged(path);
  }

  /** An update for each: TtlOrHopLimit is TCP's (chimney-ddi 7.7, STATE-046), as an application may choose its own; paths share PathMtu alone. */
  hopLimitChanged(iface: Interface): void {
    const adapter = this.#byInterface.get(iface);
    if (adapter === undefined) return;
    for (const connection of adapter.connections) {
      if (hasHopLimitOfPath(connection)) this.#context.operations.connectionChanged(connection, 0);
    }
  }

  // ---- the chimney half of ProtocolDriver ----

  initiateOffloadComplete(binding: NdisBindingHandle, root: ProtocolOffloadBlock): void {
    this.#context.moves.initiateComplete(this.#adapterOf(binding), root);
    // What has changed while they were on their way was told to nobody yet.
    forEachBlock(root, (block) => {
      const object = block.offloadHandle?.owner;
      if (object instanceof OffloadedNeighbor) this.#context.operations.neighborInitiated(object);
      else if (object instanceof OffloadedPath) {
        this.#context.operations.pathInitiated(object);
        this.#followWay(object);
      }
    });
  }

  terminateOffloadComplete(binding: NdisBindingHandle, root: ProtocolOffloadBlock): void {
    this.#context.moves.terminateComplete(this.#adapterOf(binding), root);
  }

  updateOffloadComplete(_binding: NdisBindingHandle, root: ProtocolOffloadBlock): void {
    this.#context.operations.updateComplete(root);
  }

  queryOffloadComplete(_binding: NdisBindingHandle, root: ProtocolOffloadBlock): void {
    this.#context.operations.queryComplete(root);
  }

  invalidateOffloadComplete(_binding: NdisBindingHandle, root: ProtocolOffloadBlock): void {
    this.#context.operations.invalidateComplete(root);
  }

  indicateOffloadEvent(_binding: NdisBindingHandle, block: ProtocolOffloadBlock | null, indicationCode: number): void {
    if (indicationCode !== IndicateOffloadEvent.NEIGHBOR_REACHABILITY_QUERY || block === null) return;
    const neighbor = block.offloadHandle?.owner;
    if (neighbor instanceof OffloadedNeighbor) this.#context.operations.reachabilityQuery(neighbor, block);
  }

  tcpOffloadSendComplete(lists: NetBufferList): void {
    this.#context.data.sendComplete(lists);
  }

  tcpOffloadReceiveComplete(lists: NetBufferList): void {
    this.#context.data.receives.complete(lists);
  }

  tcpOffloadDisconnectComplete(list: NetBufferList): void {
    this.#context.data.disconnectComplete(list);
  }

  tcpOffloadForwardComplete(lists: NetBufferList): void {
    this.#context.data.forwardComplete(lists);
  }

  tcpOffloadEvent(handle: NdisOffloadHandle, eventType: number, information: number): void {
    if (handle.owner instanceof OffloadedConnection) this.#context.data.event(handle.owner, eventType, information);
  }

  tcpOffloadReceiveIndicate(handle: NdisOffloadHandle, list: NetBufferList, bytesConsumed: BytesConsumed): number {
    if (handle.owner instanceof OffloadedConnection) {
      return this.#context.data.receiveIndicate(handle.owner, list, bytesConsumed);
    }
    bytesConsumed.value = 0;
    return NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED;
  }

  /** The batch is over. */
  receiveDone(): void {
    this.#context.data.receiveDone();
  }

  oidRequestComplete(binding: NdisBindingHandle, request: OidRequest, status: number): void {
    const adapter = this.#adapters.get(binding);
    if (adapter === undefined) return;
    adapter.oidRequestComplete(this.#context.ndis, request, status);
    if (adapter.sleepers.size > 0) wakeSleepers(this.#context, adapter);
  }

  statusEx(binding: NdisBindingHandle, indication: StatusIndication): void {
    const adapter = this.#adapters.get(binding);
    if (adapter === undefined) return;
    statusIndicated(this.#context, adapter, indication);
  }

  #adapterOf(binding: NdisBindingHandle): ChimneyAdapter {
    return this.#adapters.get(binding)!;
  }
}

/** The connection of an endpoint that is, or was, off the host path. */
function known(endpoint: HostEndpoint): OffloadedConnection {
  return endpoint.chimneyState as OffloadedConnection;
}

export type { Move };
