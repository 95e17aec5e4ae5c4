/**
 * The library's records of an adapter and of the protocol that is bound to it.
 *
 * Promises: one binding an adapter, so that every completion and indication has exactly one way up. A driver that serves
 * several protocols shows several adapters (IM-053).
 */

import type {
  ClientGenericHandlers,
  ClientTcpHandlers,
  ProviderGenericHandlers,
  ProviderTcpHandlers,
} from './characteristics.ts';
import type { PendingRequest } from './hang-watch.ts';
import type { MiniportDriver, NdisMiniportHandle } from './miniport.ts';
import type { NdisOffloadHandle } from './offload-block.ts';
import type { NdisBindingHandle, NetPnpEvent, ProtocolDriver } from './protocol.ts';
import type { MiniportRegistration, ProtocolRegistration } from './registration.ts';
import type { BindingTap } from './tap.ts';

/** How an adapter is: NDIS passes frames down only while it runs. */
export const AdapterState = { RUNNING: 0, PAUSED: 1, REMOVED: 2 } as const;
export type AdapterState = (typeof AdapterState)[keyof typeof AdapterState];

/** An adapter: a miniport driver's instance. Its handle in all NdisM calls. */
export class Adapter implements NdisMiniportHandle {
  readonly adapterName: string;
  readonly driver: MiniportDriver;
  /** Chimney functions that the driver named in MiniportSetOptions; null: none. */
  readonly generic: ProviderGenericHandlers | null;
  readonly tcp: ProviderTcpHandlers | null;
  /** MiniportAdapterContext. */
  context: unknown = null;
  /** Who is bound to it. */
  upper: Binding | null = null;
  /** Who looks at what passes between it and the protocol above. */
  tap: BindingTap | null = null;
  /** Called when the binding above is gone; set while MiniportHaltEx waits for that. */
  onUnbound: (() => void) | null = null;
  state: AdapterState = AdapterState.RUNNING;
  /** A pause, restart or reset that the driver answered with PENDING. */
  onLifeComplete: ((status: number) => void) | null = null;
  /** Requests that the driver has not completed, by what it completes them with; only while somebody watches (hang-watch.ts). */
  readonly pending: Map<object, PendingRequest> = new Map();
  /** The driver has asked for no more offloads (OFFLOAD_PAUSE, UPLOAD_ALL): initiates may wait. */
  isOffloadPaused = false;
  /** A driver that hangs is being reset. */
  isResetting = false;
  /** Looks in a row at which it did. */
  hangsInRow = 0;
  /** A driver that hung could not be reset: nothing is called on it any more, and nothing that it says counts. */
  isGivenUp = false;
  /** Connections that it had, once their first terminate has failed. */
  readonly lost: Set<NdisOffloadHandle> = new Set();
  /** Called when it is given up; set while MiniportHaltEx is waited for. */
  onGivenUp: (() => void) | null = null;
  /** Steps of its life that are under way: pause, restart, reset. */
  lifeSteps = 0;

  constructor(adapterName: string, driver: MiniportDriver, registration: MiniportRegistration) {
    this.adapterName = adapterName;
    this.driver = driver;
    this.generic = registration.generic;
    this.tcp = registration.tcp;
  }

  /** Whether the driver is a protocol to another adapter, and waits for what is below. */
  get isIntermediate(): boolean {
    return 'receiveNetBufferLists' in this.driver;
  }

  /** Whether connections can be offloaded to it: generic functions alone are no TCP chimney (CAP-008). */
  get hasChimney(): boolean {
    return this.generic !== null && this.tcp !== null;
  }
}

/** A protocol bound to an adapter. Its handle in all calls on the upper door that are not about one connection. */
export class Binding implements NdisBindingHandle {
  readonly adapterName: string;
  readonly adapter: Adapter;
  readonly protocol: ProtocolDriver;
  /** Chimney functions that the protocol named in ProtocolSetOptions; null: none. */
  readonly generic: ClientGenericHandlers | null;
  readonly tcp: ClientTcpHandlers | null;
  /** ProtocolBindingContext. */
  readonly context: unknown;
  /** Lists that the protocol took through chimney indications, or got as BufferedData, and has not returned. RECV-086. */
  chimneyLists = 0;
  /** Ordinary indications not returned. */
  frameLists = 0;
  /** Ordinary sends not completed. */
  sendLists = 0;
  /** State operations not completed. */
  operations = 0;
  /** A driver further down was given up with frames: not all sends will be completed. */
  hasLostFrames = false;
  /** False from NdisCloseAdapterEx on. */
  isOpen = true;
  onClosed: (() => void) | null = null;
  /** PnP events that the protocol answered with PENDING. */
  readonly pnpEvents: Map<NetPnpEvent, (status: number) => void> = new Map();

  constructor(adapter: Adapter, protocol: ProtocolDriver, registration: ProtocolRegistration, context: unknown) {
    this.adapterName = adapter.adapterName;
    this.adapter = adapter;
    this.protocol = protocol;
    this.generic = registration.generic;
    this.tcp = registration.tcp;
    this.context = context;
  }

  /** Whether nothing of either side is with the other. */
  get isQuiet(): boolean {
    const areSendsBack = this.sendLists === 0 || this.hasLostFrames;
    return this.chimneyLists === 0 && this.frameLists === 0 && areSendsBack && this.operations === 0;
  }
}
