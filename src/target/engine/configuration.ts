/**
 * What the chimney of this target is allowed to do now: by the administrator (OID_TCP_OFFLOAD_PARAMETERS) and by the encapsulation
 * settings of the host (CAP-025), and how both are reported (OID_TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES, ..._CURRENT_CONFIG).
 *
 * A change of what is in force is indicated, so that the host takes back what is not offloaded any more; until it does, what is
 * offloaded goes on. Source: chimney-ddi 7.9, 11; the structures are NDIS_TCP_CONNECTION_OFFLOAD and NDIS_OFFLOAD_PARAMETERS.
 */

import {
  type AdapterAttributes,
  NDIS_OBJECT_TYPE_DEFAULT,
  NdisEncapsulation,
  NdisStatus,
  OffloadParameter,
  type OffloadParameters,
  type TcpConnectionOffload,
  type TcpConnectionOffloadParameters,
} from '../../ndis/miniport.ts';
import type { Capacity } from './capacity.ts';
import { OperationKind } from './engine.ts';

/** Size of NDIS_TCP_CONNECTION_OFFLOAD, bytes. */
const TCP_CONNECTION_OFFLOAD_SIZE = 24;

/** What the administrator allows. */
export interface Administration {
  ip4: boolean;
  ip6: boolean;
}

/** Whose configuration this is: the engine target, or the driver half of the worker target. */
export interface Configurable {
  readonly attributes: AdapterAttributes;
  readonly administration: Administration;
  readonly capacity: Capacity;
  readonly tunables: TcpConnectionOffloadParameters;
  readonly isHalted: boolean;
  /** Queues a status indication. */
  enqueue(kind: typeof OperationKind.STATUS, root: null, statusCode: number): void;
}

/** Encapsulations that the medium has. */
function encapsulationsOf(engine: Configurable): number {
  if (engine.attributes.medium === 'ip') return NdisEncapsulation.NULL;
  return NdisEncapsulation.IEEE_802_3 | NdisEncapsulation.IEEE_802_3_P_AND_Q;
}

/** Whether objects of a family may be offloaded now. */
export function takesFamily(engine: Configurable, family: 4 | 6): boolean {
  const { administration, tunables } = engine;
  if (!(family === 4 ? administration.ip4 : administration.ip6)) return false;
  const setting = family === 4 ? tunables.encapsulation.ipv4 : tunables.encapsulation.ipv6;
  return setting.enabled && (setting.types & encapsulationsOf(engine)) !== 0;
}

/** Whether frames of offloaded connections may carry tags. */
export function allowsTags(engine: Configurable): boolean {
  const { ipv4, ipv6 } = engine.tunables.encapsulation;
  return ((ipv4.types | ipv6.types) & NdisEncapsulation.IEEE_802_3_P_AND_Q) !== 0;
}

/** OID_TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES: what there is, whatever is allowed. */
export function hardwareCapabilities(engine: Configurable): TcpConnectionOffload {
  return describe(engine, encapsulationsOf(engine), true, true);
}

/** OID_TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG: what of it is in force. */
export function currentConfig(engine: Configurable): TcpConnectionOffload {
  const { ipv4, ipv6 } = engine.tunables.encapsulation;
  const ip4 = takesFamily(engine, 4);
  const ip6 = takesFamily(engine, 6);
  const used = ((ip4 ? ipv4.types : 0) | (ip6 ? ipv6.types : 0)) & encapsulationsOf(engine);
  return describe(engine, used, ip4, ip6);
}

function describe(engine: Configurable, encapsulation: number, ip4: boolean, ip6: boolean): TcpConnectionOffload {
  return {
    header: { type: NDIS_OBJECT_TYPE_DEFAULT, revision: 1, size: TCP_CONNECTION_OFFLOAD_SIZE },
    encapsulation,
    supportIPv4: ip4,
    supportIPv6: ip6,
    supportIPv6ExtensionHeaders: false,
    supportSack: true,
    tcpConnectionOffloadCapacity: engine.capacity.tcpEntries,
  };
}

/** OID_TCP_OFFLOAD_PARAMETERS, set. */
export function setOffloadParameters(engine: Configurable, information: unknown): number {
  if (!areParameters(information)) return NdisStatus.INVALID_PARAMETER;
  changeConfiguration(engine, () => {
    const { administration } = engine;
    administration.ip4 = wanted(information.tcpConnectionIPv4, administration.ip4);
    administration.ip6 = wanted(information.tcpConnectionIPv6, administration.ip6);
  });
  return NdisStatus.SUCCESS;
}

/** Does `change`; indicates NDIS_STATUS_TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG if it made a difference. */
export function changeConfiguration(engine: Configurable, change: () => void): void {
  const before = fingerprint(currentConfig(engine));
  change();
  if (fingerprint(currentConfig(engine)) === before || engine.isHalted) return;
  engine.enqueue(OperationKind.STATUS, null, NdisStatus.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG);
}

/** What goes with a status: the configuration or the MTU that it is about, as it is now. */
export function statusBufferOf(subject: Configurable & { readonly linkMtu?: number }, statusCode: number): unknown {
  if (statusCode === NdisStatus.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG) return currentConfig(subject);
  if (statusCode === NdisStatus.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES) return hardwareCapabilities(subject);
  return statusCode === NdisStatus.L2_MTU_SIZE_CHANGE ? subject.linkMtu : null;
}

function fingerprint(config: TcpConnectionOffload): string {
  const { encapsulation, supportIPv4, supportIPv6, tcpConnectionOffloadCapacity } = config;
  return `${encapsulation} ${supportIPv4} ${supportIPv6} ${tcpConnectionOffloadCapacity}`;
}

function areParameters(value: unknown): value is OffloadParameters {
  if (typeof value !== 'object' || value === null) return false;
  const { tcpConnectionIPv4, tcpConnectionIPv6 } = value as OffloadParameters;
  return isSetting(tcpConnectionIPv4) && isSetting(tcpConnectionIPv6);
}

function isSetting(value: unknown): value is OffloadParameter {
  return (Object.values(OffloadParameter) as unknown[]).includes(value);
}

function wanted(setting: OffloadParameter, now: boolean): boolean {
  if (setting === OffloadParameter.NO_CHANGE) return now;
  return setting === OffloadParameter.CONNECTION_OFFLOAD_ENABLED;
}
