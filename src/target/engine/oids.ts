/**
 * MiniportOidRequest: capabilities, tunables, statistics, power (CAP-018 to CAP-036, STAT-001 to STAT-025, PWR-001 to PWR-005).
 */

import {
  type FamilyStatistics,
  NdisDevicePowerState,
  type NdisM,
  type NdisMiniportHandle,
  NdisStatus,
  Oid,
  type OidRequest,
  type TcpConnectionOffloadParameters,
} from '../../ndis/miniport.ts';
import type { TcpParameters } from '../../tcp/parameters.ts';
import { capabilitiesOf } from './capacity.ts';
import {
  type Configurable,
  changeConfiguration,
  currentConfig,
  hardwareCapabilities,
  setOffloadParameters,
  takesFamily,
} from './configuration.ts';
import { applyTunables, areTunablesValid } from './tunables.ts';

/** Who answers: the engine target, or the driver half of the worker target. */
export interface OidSubject extends Configurable {
  readonly allowSourceMac: boolean;
  readonly supports8021p: boolean;
  readonly parameters: TcpParameters;
  tunables: TcpConnectionOffloadParameters;
  /** The host has set OID_TCP_TASK_OFFLOAD (CAP-022). */
  isEnabled: boolean;
  readonly scaling: { set(information: unknown): number } | null;
  powerState: number;
  pendingPower: OidRequest | null;
  readonly connectionCount: number;
  readonly ndisM: NdisM;
  readonly handle: NdisMiniportHandle;
  statistics(family: number): FamilyStatistics;
  /** Connections of a family in ESTABLISHED or CLOSE_WAIT (STAT-018). */
  establishedCount(family: number): number;
}

/** Answers a status; PENDING for a power-down while connections are offloaded. */
export function oidRequest(engine: OidSubject, request: OidRequest): number {
  switch (request.oid) {
    case Oid.TCP_TASK_OFFLOAD:
      return request.kind === 'query' ? queryCapabilities(engine, request) : enable(engine, request);
    case Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS:
      if (request.kind === 'set') return setTunables(engine, request.information);
      request.information = { ...engine.tunables };
      return NdisStatus.SUCCESS;
    case Oid.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES:
      return answer(request, hardwareCapabilities(engine));
    case Oid.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG:
      return answer(request, currentConfig(engine));
    case Oid.TCP_OFFLOAD_PARAMETERS:
      return request.kind === 'set' ? setOffloadParameters(engine, request.information) : NdisStatus.NOT_SUPPORTED;
    case Oid.IP4_OFFLOAD_STATS:
      return ipStatistics(engine, request, 4);
    case Oid.IP6_OFFLOAD_STATS:
      return ipStatistics(engine, request, 6);
    case Oid.TCP4_OFFLOAD_STATS:
      return tcpStatistics(engine, request, 4);
    case Oid.TCP6_OFFLOAD_STATS:
      return tcpStatistics(engine, request, 6);
    case Oid.GEN_RECEIVE_SCALE_PARAMETERS:
      if (engine.scaling === null || request.kind === 'query') return NdisStatus.NOT_SUPPORTED;
      return engine.scaling.set(request.information);
    case Oid.PNP_SET_POWER:
      return request.kind === 'set' ? setPower(engine, request) : NdisStatus.NOT_SUPPORTED;
    default:
      return NdisStatus.NOT_SUPPORTED;
  }
}

/** An OID that can be queried and not set. */
function answer(request: OidRequest, information: unknown): number {
  if (request.kind === 'set') return NdisStatus.NOT_SUPPORTED;
  request.information = information;
  return NdisStatus.SUCCESS;
}

function queryCapabilities(engine: OidSubject, request: OidRequest): number {
  request.information = {
    ...capabilitiesOf(engine.capacity, engine.allowSourceMac, engine.supports8021p),
    ip4: takesFamily(engine, 4),
    ip6: takesFamily(engine, 6),
  };
  return NdisStatus.SUCCESS;
}

/** Set with tunables: the chimney is on (CAP-020, CAP-021). Set with null: off; what is offloaded stays until terminated. */
function enable(engine: OidSubject, request: OidRequest): number {
  if (request.information === null) {
    engine.isEnabled = false;
    return NdisStatus.SUCCESS;
  }
  const status = setTunables(engine, request.information);
  if (status === NdisStatus.SUCCESS) engine.isEnabled = true;
  return status;
}

function setTunables(engine: OidSubject, information: unknown): number {
  if (!areTunablesValid(information)) return NdisStatus.INVALID_PARAMETER;
  changeConfiguration(engine, () => {
    engine.tunables = { ...information };
    applyTunables(engine.tunables, engine.parameters);
  });
  return NdisStatus.SUCCESS;
}

function ipStatistics(engine: OidSubject, request: OidRequest, family: number): number {
  const statistics = engine.statistics(family);
  if (request.kind === 'set') statistics.resetIp();
  else request.information = statistics.ip();
  return NdisStatus.SUCCESS;
}

function tcpStatistics(engine: OidSubject, request: OidRequest, family: number): number {
  const statistics = engine.statistics(family);
  if (request.kind === 'set') statistics.resetTcp();
  else request.information = statistics.tcp(engine.establishedCount(family));
  return NdisStatus.SUCCESS;
}

/** A lower state waits for the last terminate (PWR-002, PWR-003). */
function setPower(engine: OidSubject, request: OidRequest): number {
  const { D0, D3 } = NdisDevicePowerState;
  const state = request.information;
  if (typeof state !== 'number' || !Number.isInteger(state) || state < D0 || state > D3) {
    return NdisStatus.INVALID_PARAMETER;
  }
  engine.powerState = state;
  if (state === D0 || engine.connectionCount === 0) return NdisStatus.SUCCESS;
  if (engine.pendingPower !== null) return NdisStatus.FAILURE;
  engine.pendingPower = request;
  return NdisStatus.PENDING;
}

/** After a terminate: the last one lets a power request that waits be answered (PWR-004). */
export function answerPendingPower(engine: OidSubject): void {
  const request = engine.pendingPower;
  if (request === null || engine.connectionCount > 0) return;
  engine.pendingPower = null;
  engine.ndisM.oidRequestComplete(engine.handle, request, NdisStatus.SUCCESS);
}
