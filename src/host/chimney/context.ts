/**
 * What the parts of the chimney client share: the door to NDIS, the clock, and each other.
 */

import type { Runtime } from '../../base/runtime.ts';
import type { NdisForProtocol } from '../../ndis/protocol.ts';
import type { TcpParameters } from '../../tcp/parameters.ts';
import type { Trace } from '../../trace/trace.ts';
import type { Move, TakeBackPolicy } from '../api.ts';
import type { DataPath } from './data-path.ts';
import type { Moves } from './moves.ts';
import type { OffloadedConnection } from './objects.ts';
import type { StateOperations } from './operations.ts';
import type { OwnReasons } from './own-reasons.ts';

/** Sees every finished move: for tables, benches and the application. */
export type MoveListener = (connection: OffloadedConnection, move: Move) => void;

export interface ChimneyContext {
  readonly ndis: NdisForProtocol;
  readonly runtime: Runtime;
  readonly trace: Trace;
  /** The host engine's. */
  readonly parameters: TcpParameters;
  moves: Moves;
  data: DataPath;
  operations: StateOperations;
  own: OwnReasons;
  /** When connections are taken back for reasons of the host's own. */
  readonly takeBack: TakeBackPolicy;
  onMove: MoveListener | null;
  /** Whether what a target has sent back all together goes down again when it resumes. */
  readonly offloadsAgain: boolean;
  /** Whether the wish of a target for a discretionary reason is granted (EVT-022). */
  grantsOptionalUploads: boolean;
  /** Sends a unicast probe to a neighbor: our check after a reachability query (NBR-024). */
  probe: (neighbor: unknown) => void;
  /** Asks for the link-layer address of a neighbor: a path is to be linked to it (UPD-011). */
  resolve: (neighbor: unknown) => void;
}

/** Most moves that are remembered of one connection. */
export const MOVES_KEPT = 1024;
/** Most segments and bytes kept of one connection between two engines; what is beyond is lost, as on a wire. */
export const HELD_SEGMENTS_MAX = 256;
export const HELD_SEGMENT_BYTES_MAX: number = 1 << 20;

/** 'ReceivedUrgentData' and so on, for moves and messages. chimney-ddi 8.4. */
export function uploadReasonName(reason: number): string {
  return REASON_NAMES[reason] ?? `reason ${reason}`;
}

const REASON_NAMES: readonly string[] = [
  '',
  'HardwareFailure',
  'InvalidState',
  'ReceivedUrgentData',
  'TimeoutExpiration',
  'UploadRequested',
  'HighDropRate',
  'HighFragmentation',
  'HighOutofOrderPackets',
  'LowActivity',
  'NoBufferPreposting',
  'SmallIO',
];
