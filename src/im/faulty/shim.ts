/**
 * The shim of faulty drivers: a pass-through driver whose calls downward, and whose answers upward from below, a fault replaces.
 *
 * For the rules that the driver above has to keep: towards the target this driver is the driver above. `ndis` is what it calls, an
 * object of plain functions; `driver` is what is called by NDIS below it.
 */

import type { MiniportDriver, NdisM, NdisMiniportHandle, TcpOffloadEventHandlers } from '../../ndis/miniport.ts';
import {
  BlockLayer,
  forEachBlock,
  layerOf,
  type NdisBindingHandle,
  type NdisForProtocol,
  NdisOffloadHandle,
  NdisStatus,
  OffloadBlock,
  OffloadStateType,
  type ProtocolDriver,
  type ProtocolOffloadBlock,
} from '../../ndis/protocol.ts';
import { NeighborCachedState, NeighborConstState, NeighborDelegatedState } from '../../state/neighbor.ts';
import { PathCachedState, PathConstState, PathDelegatedState } from '../../state/path.ts';
import {
  TcpCachedState,
  TcpConnectionState,
  TcpConstState,
  TcpDelegatedState,
  TIMER_NOT_RUNNING,
} from '../../state/tcp.ts';
import type { IntermediateEnvironment } from '../intermediate-driver.ts';
import { PassThrough } from '../pass-through.ts';

/** How the target below behaves, within its rights, so that there is something to be done wrong. */
export type Temper =
  | 'pauses'
  | 'uploads-all'
  | 'resumes'
  | 'lends-frames'
  | 'slow-updates'
  | 'retrieves'
  | 'aborts'
  | 'fails-closes'
  | 'fails-updates'
  | 'fails-queries'
  | 'wants-all'
  | 'tells-backlogs'
  | 'asks-about-neighbors';

/** A way to break a rule towards the driver below. */
export interface DriverFault {
  readonly rule: string;
  /** What it does, as a clause. */
  readonly how: string;
  readonly seat: (shim: DriverShim) => void;
  /** Rules whose breach cannot but be reported with it, or before it. */
  readonly with?: readonly string[];
  readonly below?: Temper;
}

export function fault(
  rule: string,
  how: string,
  seat: (shim: DriverShim) => void,
  ...others: readonly string[]
): DriverFault {
  return { rule, how, seat, with: others };
}

/** The same over a target of a temper. */
export function over(below: Temper, one: DriverFault): DriverFault {
  return { ...one, below };
}

/** The same fault breaks another rule just as well: the finding names both. */
export function alias(rule: string, same: DriverFault): DriverFault {
  return { ...same, rule, with: [...(same.with ?? []), same.rule] };
}

/** A function that is called upward. */
export type Upward = (...given: unknown[]) => unknown;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const NDIS: readonly (keyof NdisForProtocol)[] = [
  ...(['openAdapterEx', 'closeAdapterEx', 'adapterAttributes', 'oidRequest', 'sendNetBufferLists'] as const),
  ...(['returnNetBufferLists', 'initiateOffload', 'terminateOffload', 'updateOffload', 'queryOffloadState'] as const),
  ...(['invalidateOffload', 'offloadTcpSend', 'offloadTcpReceive', 'offloadTcpDisconnect'] as const),
  ...(['offloadTcpForward', 'offloadTcpReceiveReturn'] as const),
];

/** A pass-through driver with a fault. */
export class DriverShim {
  readonly ndis: Mutable<NdisForProtocol> = {} as Mutable<NdisForProtocol>;
  readonly driver: PassThrough &
    Mutable<ProtocolDriver> &
    Mutable<Pick<MiniportDriver, 'initializeEx' | 'oidRequest' | 'tcpOffloadSend'>>;
  readonly environment: IntermediateEnvironment;
  binding!: NdisBindingHandle;
  /** What it calls upward, by name: what each function is replaced by, made of the former one. */
  readonly #upward: Map<PropertyKey, (former: Upward) => Upward> = new Map();
  /** Its handle as an adapter, and what it calls for connections. */
  miniportHandle!: NdisMiniportHandle;
  events!: TcpOffloadEventHandlers;
  #ndisM!: NdisM;
  /** What this driver has offloaded: its own handles, oldest first. */
  readonly neighbors: NdisOffloadHandle[] = [];
  readonly paths: NdisOffloadHandle[] = [];
  readonly connections: NdisOffloadHandle[] = [];

  constructor(environment: IntermediateEnvironment, adapterBelow: string, name: string) {
    this.environment = environment;
    const [into, functions] = [this.ndis, environment.ndis] as unknown as [
      Record<string, unknown>,
      Record<string, (...given: unknown[]) => unknown>,
    ];
    for (const method of NDIS) into[method] = (...given: unknown[]): unknown => functions[method]!(...given);
    this.ndis.openAdapterEx = (protocol, context, its) => {
      this.binding = environment.ndis.openAdapterEx(protocol, context, its);
      return this.binding;
    };
    this.driver = new PassThrough({ ...environment, ndis: this.ndis }, adapterBelow, { name });
    this.#keepBooks();
    this.#standAbove();
  }

  /** A function that the driver calls upward, as it stands. */
  upward(name: keyof NdisM | keyof TcpOffloadEventHandlers): Upward {
    const of = name in this.events ? this.events : this.#ndisM;
    return (of as unknown as Record<string, Upward>)[name]!;
  }

  /** Replaces a function that the driver calls upward. */
  onUp(name: keyof NdisM | keyof TcpOffloadEventHandlers, make: (former: Upward) => Upward): void {
    this.#upward.set(name, make);
  }

  #standAbove(): void {
    const { driver } = this;
    const former = driver.initializeEx;
    driver.initializeEx = (handle, ndisM) => {
      this.miniportHandle = handle;
      const functions = this.#replaced(ndisM);
      this.#ndisM = functions;
      const handlersOf = ndisM.getOffloadHandlers.bind(ndisM);
      this.onUp('getOffloadHandlers', () => (its, type) => {
        const handlers = handlersOf(its as NdisMiniportHandle, type as number);
        if (handlers === null) return null;
        this.events = this.#replaced(handlers);
        return this.events;
      });
      return former.call(driver, handle, functions);
    };
  }

  /** The same structure, with what is replaced in it. */
  #replaced<T extends object>(of: T): T {
    return new Proxy(of, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        const function_ = value.bind(target) as Upward;
        return this.#upward.get(name)?.(function_) ?? function_;
      },
    });
  }

  #keepBooks(): void {
    const { driver } = this;
    const [initiated, terminated] = [driver.initiateOffloadComplete, driver.terminateOffloadComplete];
    driver.initiateOffloadComplete = (context, root) => {
      forEachBlock(root, ({ constState, offloadHandle, header }) => {
        const isTaken = offloadHandle !== null && offloadHandle.miniportOffloadContext !== null;
        if (constState !== null && isTaken) this.#books(header.type).push(offloadHandle);
      });
      initiated.call(driver, context, root);
    };
    driver.terminateOffloadComplete = (context, root) => {
      forEachBlock(root, ({ offloadHandle, header, status }) => {
        const books = this.#books(header.type);
        const at = offloadHandle === null ? -1 : books.indexOf(offloadHandle);
        if (at >= 0 && status === NdisStatus.SUCCESS) books.splice(at, 1);
      });
      terminated.call(driver, context, root);
    };
  }

  #books(type: number): NdisOffloadHandle[] {
    const layer = layerOf(type);
    return layer === BlockLayer.NEIGHBOR ? this.neighbors : layer === BlockLayer.PATH ? this.paths : this.connections;
  }

  defer(task: () => void): void {
    this.environment.runtime.defer(task);
  }

  /** Calls `act` once, with the first connection that is offloaded. */
  onLive(act: (connection: NdisOffloadHandle) => void): void {
    const former = this.driver.initiateOffloadComplete;
    let isDone = false;
    this.driver.initiateOffloadComplete = (context, root) => {
      former.call(this.driver, context, root);
      const [connection] = this.connections;
      if (isDone || connection === undefined) return;
      isDone = true;
      act(connection);
    };
  }

  /** Changes trees before the driver below gets them. */
  onInitiate(change: (root: ProtocolOffloadBlock, pass: (root: ProtocolOffloadBlock) => void) => void): void {
    const former = this.ndis.initiateOffload;
    this.ndis.initiateOffload = (binding, root) => change(root, (its) => former(binding, its));
  }
}

/** Makes a driver with a fault. */
export function withDriverFault(
  one: DriverFault,
  environment: IntermediateEnvironment,
  adapterBelow: string,
  name: string,
): PassThrough & MiniportDriver {
  const shim = new DriverShim(environment, adapterBelow, name);
  one.seat(shim);
  return shim.driver;
}

// Blocks of the driver's own making.

const NOBODY = (): NdisOffloadHandle => new NdisOffloadHandle(null);

export function newNeighbor(handle: NdisOffloadHandle = NOBODY()): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.NEIGHBOR, handle);
  block.constState = new NeighborConstState();
  block.cachedState = new NeighborCachedState();
  block.delegatedState = new NeighborDelegatedState();
  return block;
}

export function newPath(handle: NdisOffloadHandle = NOBODY()): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.IP4, handle);
  block.constState = new PathConstState(Uint8Array.of(10, 9, 0, 1), Uint8Array.of(10, 9, 0, 2));
  block.cachedState = new PathCachedState(1500);
  block.delegatedState = new PathDelegatedState();
  return block;
}

export function newConnection(handle: NdisOffloadHandle = NOBODY()): OffloadBlock {
  const block = new OffloadBlock(OffloadStateType.TCP, handle);
  const delegated = new TcpDelegatedState();
  delegated.state = TcpConnectionState.ESTABLISHED;
  delegated.retransmitTimeoutDelta = TIMER_NOT_RUNNING;
  delegated.rcvWnd = 65_535;
  delegated.maxSndWnd = 65_535;
  delegated.cWnd = 14_000;
  const constant = new TcpConstState();
  constant.localPort = 9;
  constant.remotePort = 9;
  block.constState = constant;
  block.cachedState = new TcpCachedState();
  block.delegatedState = delegated;
  return block;
}

export function reference(handle: NdisOffloadHandle, type: OffloadStateType): OffloadBlock {
  return new OffloadBlock(type, handle);
}

/** Trees of one connection, for each operation. */
export function queryTree(handle: NdisOffloadHandle): OffloadBlock {
  return reference(handle, OffloadStateType.TCP_DELEGATED).withDelegated(new TcpDelegatedState());
}
export function updateTree(handle: NdisOffloadHandle): OffloadBlock {
  const block = reference(handle, OffloadStateType.TCP_CACHED);
  const cached = new TcpCachedState();
  cached.initialRcvWnd = 65_535;
  block.cachedState = cached;
  return block;
}
export function invalidateTree(handle: NdisOffloadHandle): OffloadBlock {
  return reference(handle, OffloadStateType.TCP);
}

/** The block of the first connection of a tree; null: there is none. */
export function connectionOf(root: ProtocolOffloadBlock): ProtocolOffloadBlock | null {
  let found: ProtocolOffloadBlock | null = null;
  forEachBlock(root, (block) => {
    if (found === null && layerOf(block.header.type) === BlockLayer.TCP) found = block;
  });
  return found;
}
