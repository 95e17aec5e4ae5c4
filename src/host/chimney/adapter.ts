/**
 * One adapter with a chimney, as the host sees it: its binding, what it can do, whether it may be given more.
 *
 * Start-up is chimney-sequences 1, steps 5 and 6: query OID_TCP_TASK_OFFLOAD, then set it, which enables the chimney and
 * carries the tunables. Pause, resume and upload-all are sections 18 and EVT-031 to 044.
 */

import {
  DEFAULT_OFFLOAD_PARAMETERS,
  type NdisBindingHandle,
  NdisChimneyOffloadType,
  type NdisForProtocol,
  NdisStatus,
  Oid,
  type OidRequest,
  type TcpConnectionOffloadCapabilities,
  type TcpConnectionOffloadParameters,
} from '../../ndis/protocol.ts';
import { Toeplitz } from '../../wire/toeplitz.ts';
import type { Interface } from '../path/types.ts';
import { ConnectionList } from './connection-list.ts';
import type { OffloadedConnection, OffloadedNeighbor, OffloadedPath } from './objects.ts';

/** Why an adapter stands still, which is also the cause of the moves that follow from it. */
export type StandingStill = 'power' | 'pause' | 'reset' | 'removal';

/** An adapter that connections can be offloaded to (or could, were it not paused). */
export class ChimneyAdapter {
  readonly name: string;
  readonly iface: Interface;
  readonly binding: NdisBindingHandle;
  /** Tunables that the target is given when it is enabled. */
  parameters: Readonly<TcpConnectionOffloadParameters>;
  /** Null: it has no chimney, or has not said yet. */
  capabilities: TcpConnectionOffloadCapabilities | null = null;
  /** OFFLOAD_PAUSE or UPLOAD_ALL, until OFFLOAD_RESUME: nothing new is offloaded. */
  isPaused = false;
  /** Of received packets, as receive-side scaling does it. */
  hash: Toeplitz = new Toeplitz();
  /** It stands still, or is about to: nothing is offloaded. */
  readonly stillBecause: Set<StandingStill> = new Set();
  /** What was offloaded when it came to that. */
  readonly sleepers: Set<OffloadedConnection> = new Set();
  /** Why it stood still last. */
  resumedBecause: StandingStill | 'upload-all' = 'power';
  /** The one neighbor of a link without link-layer addresses. */
  linkNeighbor: OffloadedNeighbor | null = null;
  /** Connections that are offloaded or on their way. */
  readonly connections: ConnectionList = new ConnectionList();
  /** Waiting for the next initiate tree, each once. */
  offloads: Set<OffloadedConnection> = new Set();
  /** Waiting for the next terminate tree, each once. */
  terminates: Set<OffloadedConnection> = new Set();
  /** Neighbors and paths that are offloaded or on their way, so that none is forgotten. */
  readonly neighbors: Set<OffloadedNeighbor> = new Set();
  readonly paths: Set<OffloadedPath> = new Set();
  isFlushDeferred = false;

  constructor(
    iface: Interface,
    name: string,
    binding: NdisBindingHandle,
    parameters: Readonly<TcpConnectionOffloadParameters> = DEFAULT_OFFLOAD_PARAMETERS,
  ) {
    this.iface = iface;
    this.name = name;
    this.binding = binding;
    this.parameters = parameters;
  }

  /** Microseconds of one tick. */
  get tickUs(): number {
    return 1_000_000 / this.parameters.ticksPerSecond;
  }

  /** Asks what the target can do, then enables it. The answer may come later, through {@link oidRequestComplete}. */
  queryCapabilities(ndis: NdisForProtocol): void {
    const request: OidRequest = { oid: Oid.TCP_TASK_OFFLOAD, kind: 'query', information: null };
    const status = ndis.oidRequest(this.binding, request);
    if (status !== NdisStatus.PENDING) this.oidRequestComplete(ndis, request, status);
  }

  /** The answer to a query or a set. */
  oidRequestComplete(ndis: NdisForProtocol, request: OidRequest, status: number): void {
    if (request.oid !== Oid.TCP_TASK_OFFLOAD || request.kind !== 'query') return;
    const capabilities = request.information as TcpConnectionOffloadCapabilities | null;
    if (status !== NdisStatus.SUCCESS || capabilities === null || !Array.isArray(capabilities.chimneyTypes)) {
      this.capabilities = null;
      return;
    }
    if (!capabilities.chimneyTypes.includes(NdisChimneyOffloadType.TCP)) {
      this.capabilities = null;
      return;
    }
    const set: OidRequest = { oid: Oid.TCP_TASK_OFFLOAD, kind: 'set', information: { ...this.parameters } };
    const answer = ndis.oidRequest(this.binding, set);
    this.capabilities = answer === NdisStatus.SUCCESS || answer === NdisStatus.PENDING ? capabilities : null;
  }
}
