/**
 * The host stack: IP layer, transports and chimney client joined, over the upper door of NDIS.
 *
 * Promises: everything happens on the runtime's timers and deferred tasks and on calls from below; nothing here reads a clock
 * or a random source of its own. Leaves to others: the adapters, which are NDIS's, and streams, which are socket/'s.
 */

import type { Runtime } from '../base/runtime.ts';
import {
  type NdisBindingHandle,
  type NdisForProtocol,
  NdisStatus,
  type NetPnpEvent,
  type TcpConnectionOffloadParameters,
} from '../ndis/protocol.ts';
import type { Trace } from '../trace/trace.ts';
import { IpProtocol } from '../wire/protocol.ts';
import { AdapterControl, type AdapterLife, type StackStatistics } from './adapter-control.ts';
import type {
  ConnectOptions,
  Endpoint,
  ListenOptions,
  OffloadPolicy,
  ReserveOptions,
  TakeBackPolicy,
  TcpEndpoint,
  TcpHandler,
  TcpListener,
  TcpReservation,
  Transports,
  UdpBindOptions,
  UdpHandler,
  UdpPort,
} from './api.ts';
import { ChimneyClient } from './chimney/client.ts';
import type { MoveListener } from './chimney/context.ts';
import { OidRequests } from './oid-requests.ts';
import type { IpOptions } from './path/context.ts';
import { IpLayer } from './path/ip-layer.ts';
import type { Interface, InterfaceConfig } from './path/types.ts';
import { HostBinding, HostProtocol } from './protocol-driver.ts';
import { isLive } from './transport/tcp-input.ts';
import { type TcpOptions, TcpTransport } from './transport/tcp-transport.ts';
import { UdpTransport } from './transport/udp.ts';

/** How a host stack is set up; everything has a default. */
export interface HostOptions {
  /** For messages. */
  readonly name?: string;
  readonly ip?: Partial<IpOptions>;
  readonly tcp?: TcpOptions;
  /** Which connections are offloaded without being asked; none: only by hand. */
  readonly policy?: OffloadPolicy;
  /** False: the stack shows no chimney to the drivers below. Default true. */
  readonly hasChimney?: boolean;
  /** Tunables that targets are given. */
  readonly offloadParameters?: Readonly<TcpConnectionOffloadParameters>;
  /** Whether a target may give connections back for a discretionary reason. Default true. */
  readonly grantsOptionalUploads?: boolean;
  /** Whether what a target has sent back all together goes down again when it resumes. Default false. */
  readonly offloadsAgain?: boolean;
  /** When connections are taken back for reasons of the host's own. Default: never. */
  readonly takeBack?: TakeBackPolicy;
  /** Sees every finished move. */
  readonly onMove?: MoveListener;
}

/** One host: addresses, connections, ports. */
export class HostStack implements Transports {
  readonly name: string;
  readonly runtime: Runtime;
  readonly trace: Trace;
  readonly ip: IpLayer;
  readonly tcp: TcpTransport;
  readonly udp: UdpTransport;
  readonly chimney: ChimneyClient;
  readonly oids: OidRequests;
  readonly #protocol: HostProtocol;
  readonly #ndis: NdisForProtocol;
  #isClosed = false;

  constructor(runtime: Runtime, trace: Trace, ndis: NdisForProtocol, options: HostOptions = {}) {
    this.name = options.name ?? 'host';
    this.runtime = runtime;
    this.#ndis = ndis;
    this.trace = trace;
    this.ip = new IpLayer(runtime, trace, ndis, options.ip ?? {});
    this.tcp = new TcpTransport(runtime, trace, this.ip, options.tcp);
    this.udp = new UdpTransport(runtime, trace, this.ip);
    this.chimney = new ChimneyClient({
      ndis,
      runtime,
      trace,
      parameters: this.tcp.parameters,
      probe: (neighbor) => this.ip.probe(neighbor),
      resolve: (neighbor) => this.ip.resolve(neighbor),
      ...(options.policy === undefined ? {} : { policy: options.policy }),
      ...(options.offloadParameters === undefined ? {} : { offloadParameters: options.offloadParameters }),
      ...(options.grantsOptionalUploads === undefined ? {} : { grantsOptionalUploads: options.grantsOptionalUploads }),
      offloadsAgain: options.offloadsAgain ?? false,
      ...(options.takeBack === undefined ? {} : { takeBack: options.takeBack }),
      ...(options.onMove === undefined ? {} : { onMove: options.onMove }),
    });
    this.tcp.chimney = this.chimney;
    this.ip.observer = this.chimney;
    this.ip.setUpper(IpProtocol.TCP, this.tcp);
    this.ip.setUpper(IpProtocol.UDP, this.udp);
    this.oids = new OidRequests(ndis);
    this.#protocol = new HostProtocol(this.name, this, options.hasChimney ?? true);
  }

  /** Binds to the adapter of that name and brings the interface up. Throws where the configuration cannot be. */
  attachInterface(adapterName: string, config: InterfaceConfig): Interface {
    const binding = new HostBinding();
    const iface = this.ip.attach(this.#protocol, binding, adapterName, config);
    binding.iface = iface;
    if (this.#protocol.hasChimney && iface.binding !== null) this.chimney.attach(iface, iface.binding);
    return iface;
  }

  /**
   * The interface goes away (ProtocolUnbindAdapterEx): what is offloaded comes back, its addresses are lost, connections from them
   * end with ENETDOWN, the adapter is let go.
   */
  async detachInterface(iface: Interface): Promise<void> {
    const { binding } = iface;
    if (binding === null) return;
    await this.chimney.detach(iface, binding);
    // Unless the whole stack was closed meanwhile.
    if (iface.binding === binding) this.ip.detach(iface);
  }

  /** NdisCompleteNetPnPEvent of a pause. */
  completeNetPnpEvent(binding: NdisBindingHandle, event: NetPnpEvent): void {
    this.#ndis.completeNetPnpEvent(binding, event, NdisStatus.SUCCESS);
  }

  /** What passed the host's own path, all interfaces together; of offloaded connections only targets know. */
  statistics(): StackStatistics {
    const established = { 4: 0, 6: 0 };
    for (const endpoint of this.tcp.endpoints()) {
      const isHere = endpoint.location === 'host' && isLive(endpoint.tcp.state);
      if (isHere) established[endpoint.path.family]++;
    }
    const [four, six] = [this.ip.statistics(4), this.ip.statistics(6)];
    return { ip4: four.ip(), ip6: six.ip(), tcp4: four.tcp(established[4]), tcp6: six.tcp(established[6]) };
  }

  /** The control of an interface's adapter; `life`: what only the owner of the adapters can do. */
  adapterControl(iface: Interface, life: AdapterLife): AdapterControl {
    return new AdapterControl(this, iface, life);
  }

  connect(options: ConnectOptions, handler: TcpHandler): TcpEndpoint {
    return this.tcp.connect(options, handler);
  }

  listen(options: ListenOptions, onConnection: (endpoint: TcpEndpoint) => void): TcpListener {
    return this.tcp.listen(options, onConnection);
  }

  reserve(options: ReserveOptions): TcpReservation {
    return this.tcp.reserve(options);
  }

  bindUdp(local: Endpoint, handler: UdpHandler, options?: UdpBindOptions): UdpPort {
    return this.udp.bind(local, handler, options);
  }

  /** Ends everything: connections are reset, offloaded ones taken back first, adapters released. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.chimney.takeBackAll();
    this.tcp.close();
    this.udp.close();
    await this.ip.close();
  }
}
