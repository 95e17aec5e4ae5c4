/**
 * An adapter as an administrator sees it: what its chimney can do, what of it is in force, its tunables, statistics and power.
 *
 * Everything goes through the OIDs of chimney-ddi 11, so it works with any target and through any intermediate drivers. An adapter
 * that knows nothing of an OID rejects with {@link AdapterError} 'NOT_SUPPORTED'. Rules CAP-018 to CAP-036, STAT-024 to STAT-031,
 * PWR-001 to PWR-005.
 */

import {
  type IpOffloadStats,
  type NdisBindingHandle,
  NdisDevicePowerState,
  NdisStatus,
  OffloadParameter,
  type OffloadParameters,
  Oid,
  type ReceiveScaleParameters,
  type TcpConnectionOffload,
  type TcpConnectionOffloadParameters,
  type TcpOffloadStats,
} from '../ndis/protocol.ts';
import type { ChimneyClient } from './chimney/client.ts';
import { AdapterError, type OidRequests } from './oid-requests.ts';
import type { IpLayer } from './path/ip-layer.ts';
import type { Interface } from './path/types.ts';

/** Counters of both families. */
export interface StackStatistics {
  readonly ip4: IpOffloadStats;
  readonly ip6: IpOffloadStats;
  readonly tcp4: TcpOffloadStats;
  readonly tcp6: TcpOffloadStats;
}

/** The sums of several, member by member. */
export function addStatistics(parts: readonly StackStatistics[]): StackStatistics {
  return {
    ip4: sumOf(parts.map((part) => part.ip4)),
    ip6: sumOf(parts.map((part) => part.ip6)),
    tcp4: sumOf(parts.map((part) => part.tcp4)),
    tcp6: sumOf(parts.map((part) => part.tcp6)),
  };
}

function sumOf<Counters extends IpOffloadStats | TcpOffloadStats>(parts: readonly Counters[]): Counters {
  const sum = { ...parts[0]! } as unknown as Record<string, number | bigint>;
  for (const part of parts.slice(1)) {
    for (const [name, value] of Object.entries(part) as [string, number | bigint][]) {
      const before = sum[name]!;
      sum[name] = typeof value === 'bigint' ? (before as bigint) + value : (before as number) + value;
    }
  }
  return sum as unknown as Counters;
}

/** Which families the administrator wants to be offloaded; what is left out stays as it is. */
export interface OffloadSettings {
  readonly ip4?: boolean;
  readonly ip6?: boolean;
}

/** What the control is made of. */
export interface AdapterParts {
  readonly ip: IpLayer;
  readonly chimney: ChimneyClient;
  readonly oids: OidRequests;
}

/** What happens to an adapter below its bindings: the part of NDIS that no protocol calls. */
export interface AdapterLife {
  pause(): Promise<void>;
  restart(): Promise<void>;
  reset(): Promise<void>;
  remove(): Promise<void>;
}

/** The control of one adapter. */
export class AdapterControl {
  readonly #parts: AdapterParts;
  readonly #iface: Interface;
  readonly #life: AdapterLife;
  #isAsleep = false;
  #isPaused = false;
  /** Settled when everything that was asked for is done. */
  #last: Promise<void> = Promise.resolve();

  constructor(parts: AdapterParts, iface: Interface, life: AdapterLife) {
    this.#parts = parts;
    this.#iface = iface;
    this.#life = life;
  }

  /** The adapter's name. */
  get name(): string {
    return this.#iface.name;
  }

  get #binding(): NdisBindingHandle {
    const { binding } = this.#iface;
    if (binding === null) throw new AdapterError(this.name, 'it is not there any more', NdisStatus.ADAPTER_REMOVED);
    return binding;
  }

  /** Whether it was removed, or the stack was closed. */
  get isRemoved(): boolean {
    return this.#iface.binding === null;
  }

  #query(oid: number, what: string): Promise<unknown> {
    return this.#parts.oids.query(this.#binding, oid, what);
  }

  #set(oid: number, information: unknown, what: string): Promise<void> {
    return this.#parts.oids.set(this.#binding, oid, information, what);
  }

  /** OID_TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES: what the target could do. */
  async hardwareCapabilities(): Promise<TcpConnectionOffload> {
    const oid = Oid.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES;
    return (await this.#query(oid, 'hardware capabilities')) as TcpConnectionOffload;
  }

  /** OID_TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG: what of it is in force. */
  async currentConfig(): Promise<TcpConnectionOffload> {
    const oid = Oid.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG;
    return (await this.#query(oid, 'current configuration')) as TcpConnectionOffload;
  }

  /**
   * OID_TCP_OFFLOAD_PARAMETERS: allows or forbids the chimney by family. Connections of a family that is forbidden come back;
   * one that is allowed again can be offloaded at once.
   */
  async configure(settings: OffloadSettings): Promise<void> {
    const parameters: OffloadParameters = {
      tcpConnectionIPv4: settingOf(settings.ip4),
      tcpConnectionIPv6: settingOf(settings.ip6),
    };
    await this.#set(Oid.TCP_OFFLOAD_PARAMETERS, parameters, 'offload parameters');
  }

  /** OID_TCP_CONNECTION_OFFLOAD_PARAMETERS, query: the tunables in force. */
  async parameters(): Promise<TcpConnectionOffloadParameters> {
    const oid = Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS;
    return (await this.#query(oid, 'parameters')) as TcpConnectionOffloadParameters;
  }

  /** The same, set: `changes` over the tunables in force. They stay for later enablings of this adapter. */
  async setParameters(changes: Partial<TcpConnectionOffloadParameters>): Promise<void> {
    const parameters = { ...(await this.parameters()), ...changes };
    await this.#set(Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, parameters, 'parameters');
    this.#parts.chimney.parametersChanged(this.#binding, parameters);
  }

  /**
   * OID_GEN_RECEIVE_SCALE_PARAMETERS: which receive queue takes which hashes, and the key they are made with. Connections that are
   * established from now on are hashed with it.
   */
  async setReceiveScaling(parameters: ReceiveScaleParameters): Promise<void> {
    await this.#set(Oid.GEN_RECEIVE_SCALE_PARAMETERS, parameters, 'receive-side scaling');
    this.#parts.chimney.hashKeyChanged(this.#binding, parameters.hashSecretKey);
  }

  /** What the target has counted on offloaded connections: the four statistics OIDs. */
  async statistics(): Promise<StackStatistics> {
    return {
      ip4: (await this.#query(Oid.IP4_OFFLOAD_STATS, 'IPv4 statistics')) as IpOffloadStats,
      ip6: (await this.#query(Oid.IP6_OFFLOAD_STATS, 'IPv6 statistics')) as IpOffloadStats,
      tcp4: (await this.#query(Oid.TCP4_OFFLOAD_STATS, 'TCP statistics over IPv4')) as TcpOffloadStats,
      tcp6: (await this.#query(Oid.TCP6_OFFLOAD_STATS, 'TCP statistics over IPv6')) as TcpOffloadStats,
    };
  }

  /** Sets all four, which puts the counters to zero. */
  async resetStatistics(): Promise<void> {
    for (const oid of [Oid.IP4_OFFLOAD_STATS, Oid.IP6_OFFLOAD_STATS, Oid.TCP4_OFFLOAD_STATS, Oid.TCP6_OFFLOAD_STATS]) {
      await this.#set(oid, null, 'statistics');
    }
  }

  /** Whether it was sent to sleep. */
  get isAsleep(): boolean {
    return this.#isAsleep;
  }

  /**
   * Takes everything back that is offloaded, then lets the adapter sleep (OID_PNP_SET_POWER, D3): it neither sends nor receives.
   * Connections live on, silent; a peer's patience is the only limit. PWR-001.
   */
  sleep(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isAsleep) return;
      const { chimney } = this.#parts;
      const binding = this.#binding;
      await chimney.suspend(binding, 'power');
      try {
        await this.#set(Oid.PNP_SET_POWER, NdisDevicePowerState.D3, 'sleep');
        this.#isAsleep = true;
      } catch (error) {
        chimney.resume(binding, 'power');
        throw error;
      }
    });
  }

  /** Full power again (D0): traffic goes on, and what was offloaded before goes down once more. */
  wake(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isAsleep) return;
      await this.#set(Oid.PNP_SET_POWER, NdisDevicePowerState.D0, 'wake');
      this.#isAsleep = false;
      this.#parts.ip.resumed(this.#iface);
      this.#parts.chimney.resume(this.#binding, 'power');
    });
  }

  /** Whether it was paused by {@link pause}. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Takes everything back that is offloaded, then lets the adapter stand still (MiniportPause) until {@link restart}: nothing is sent or
   * received. Connections live on, as in {@link sleep}.
   */
  pause(): Promise<void> {
    return this.#inTurn(async () => {
      this.#need();
      await this.#life.pause();
      this.#isPaused = true;
    });
  }

  /** The adapter works again (MiniportRestart), and what was offloaded before goes down once more. */
  restart(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isPaused) return;
      this.#need();
      await this.#life.restart();
      this.#isPaused = false;
    });
  }

  /** Takes everything back, has the hardware begin anew (MiniportResetEx), and offloads again what was. */
  reset(): Promise<void> {
    return this.#inTurn(async () => {
      this.#need();
      await this.#life.reset();
    });
  }

  /**
   * Removes the adapter in good order (MiniportHaltEx): what is offloaded comes back, connections from addresses of the interface are
   * reset and end with ENETDOWN, and the device is closed. For good.
   */
  halt(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.isRemoved) await this.#life.remove();
    });
  }

  /** An adapter lives through one thing at a time, in the order in which they were asked for. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#last.then(step);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Throws where there is no adapter any more. */
  #need(): void {
    void this.#binding;
  }
}

function settingOf(isWanted: boolean | undefined): OffloadParameter {
  if (isWanted === undefined) return OffloadParameter.NO_CHANGE;
  return isWanted ? OffloadParameter.CONNECTION_OFFLOAD_ENABLED : OffloadParameter.CONNECTION_OFFLOAD_DISABLED;
}
