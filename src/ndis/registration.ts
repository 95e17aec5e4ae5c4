/**
 * What NDIS keeps of a driver's registration: which chimney functions it named, checked once.
 *
 * Promises: a structure of a wrong revision or size, with reserved flags, of an unknown chimney type or without one of its
 * functions is refused and changes nothing. A chimney is there only where both structures are. Rules CAP-002 to CAP-008, IM-056.
 */

import {
  CHARACTERISTICS_REVISION_1,
  CLIENT_GENERIC_SIZE,
  CLIENT_TCP_SIZE,
  type ClientGenericHandlers,
  type ClientTcpHandlers,
  clientGeneric,
  clientTcp,
  type NdisDriverHandle,
  type NdisRegistration,
  type OptionalHandlers,
  PROVIDER_GENERIC_SIZE,
  PROVIDER_TCP_SIZE,
  type ProviderGenericHandlers,
  type ProviderTcpHandlers,
  providerGeneric,
  providerTcp,
} from './characteristics.ts';
import type { MiniportDriver } from './miniport.ts';
import type { ProtocolDriver } from './protocol.ts';
import { NdisChimneyOffloadType, NdisStatus } from './status.ts';

const PROVIDER_GENERIC: readonly (keyof ProviderGenericHandlers)[] = [
  'initiateOffload',
  'terminateOffload',
  'updateOffload',
  'invalidateOffload',
  'queryOffload',
];
const PROVIDER_TCP: readonly (keyof ProviderTcpHandlers)[] = [
  'tcpOffloadSend',
  'tcpOffloadReceive',
  'tcpOffloadDisconnect',
  'tcpOffloadForward',
  'tcpOffloadReceiveReturn',
];
const CLIENT_GENERIC: readonly (keyof ClientGenericHandlers)[] = [
  'initiateOffloadComplete',
  'terminateOffloadComplete',
  'updateOffloadComplete',
  'invalidateOffloadComplete',
  'queryOffloadComplete',
  'indicateOffloadEvent',
];
const CLIENT_TCP: readonly (keyof ClientTcpHandlers)[] = [
  'tcpOffloadSendComplete',
  'tcpOffloadReceiveComplete',
  'tcpOffloadDisconnectComplete',
  'tcpOffloadForwardComplete',
  'tcpOffloadEvent',
  'tcpOffloadReceiveIndicate',
];

/** The registration of a miniport driver. */
export class MiniportRegistration implements NdisDriverHandle {
  readonly role: 'miniport' = 'miniport';
  /** For every type of chimney (CAP-008). */
  generic: ProviderGenericHandlers | null = null;
  /** For the TCP chimney. */
  tcp: ProviderTcpHandlers | null = null;
}

/** The registration of a protocol driver. */
export class ProtocolRegistration implements NdisDriverHandle {
  readonly role: 'protocol' = 'protocol';
  generic: ClientGenericHandlers | null = null;
  tcp: ClientTcpHandlers | null = null;
}

/** NdisSetOptionalHandlers. */
export function setOptionalHandlers(handle: NdisDriverHandle, structure: OptionalHandlers): number {
  const { header, flags, handlers } = structure;
  if (header.revision !== CHARACTERISTICS_REVISION_1 || flags !== 0) return NdisStatus.INVALID_PARAMETER;
  const type = 'offloadType' in structure ? structure.offloadType : null;
  if (type !== null && type !== NdisChimneyOffloadType.TCP) return NdisStatus.NOT_SUPPORTED;
  if (handle instanceof MiniportRegistration) {
    if (isTaken(header.size, PROVIDER_GENERIC_SIZE, type, false, handlers, PROVIDER_GENERIC)) {
      handle.generic = handlers as ProviderGenericHandlers;
      return NdisStatus.SUCCESS;
    }
    if (isTaken(header.size, PROVIDER_TCP_SIZE, type, true, handlers, PROVIDER_TCP)) {
      handle.tcp = handlers as ProviderTcpHandlers;
      return NdisStatus.SUCCESS;
    }
  } else if (handle instanceof ProtocolRegistration) {
    if (isTaken(header.size, CLIENT_GENERIC_SIZE, type, false, handlers, CLIENT_GENERIC)) {
      handle.generic = handlers as ClientGenericHandlers;
      return NdisStatus.SUCCESS;
    }
    if (isTaken(header.size, CLIENT_TCP_SIZE, type, true, handlers, CLIENT_TCP)) {
      handle.tcp = handlers as ClientTcpHandlers;
      return NdisStatus.SUCCESS;
    }
  }
  return NdisStatus.INVALID_PARAMETER;
}

function isTaken(
  size: number,
  expectedSize: number,
  type: number | null,
  isTyped: boolean,
  handlers: unknown,
  names: readonly string[],
): boolean {
  if (size !== expectedSize || (type !== null) !== isTyped) return false;
  const functions = handlers as Readonly<Record<string, unknown>>;
  return names.every((name) => typeof functions[name] === 'function');
}

/**
 * MiniportSetOptions of a driver. One that has no such function registers, in effect, itself: both structures if it says that
 * it has a chimney, else none.
 */
export function registerMiniport(driver: MiniportDriver, ndis: NdisRegistration): MiniportRegistration {
  const registration = new MiniportRegistration();
  if (driver.setOptions !== undefined) driver.setOptions(registration, ndis);
  else if (driver.hasChimney) {
    ndis.setOptionalHandlers(registration, providerGeneric(driver));
    ndis.setOptionalHandlers(registration, providerTcp(driver));
  }
  return registration;
}

/** ProtocolSetOptions of a driver, likewise. */
export function registerProtocol(protocol: ProtocolDriver, ndis: NdisRegistration): ProtocolRegistration {
  const registration = new ProtocolRegistration();
  if (protocol.setOptions !== undefined) protocol.setOptions(registration, ndis);
  else if (protocol.hasChimney) {
    ndis.setOptionalHandlers(registration, clientGeneric(protocol));
    ndis.setOptionalHandlers(registration, clientTcp(protocol));
  }
  return registration;
}
