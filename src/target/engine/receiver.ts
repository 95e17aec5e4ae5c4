/**
 * What the delivery algorithm must know of a connection and of the adapter that runs it: so little that it runs for the engine
 * target's own connections and, in the driver half of the worker target, for those whose engine is in another thread.
 */

import type { CopyBytes } from '../../base/copy-bytes.ts';
import type { Runtime } from '../../base/runtime.ts';
import type {
  BytesConsumed,
  NdisMiniportHandle,
  NdisOffloadHandle,
  TcpConnectionOffloadParameters,
  TcpOffloadEventHandlers,
} from '../../ndis/miniport.ts';
import type { NetBufferList } from '../../state/net-buffer-list.ts';
import type { Standing } from './contexts.ts';
import type { BufferedData, ReceivePool } from './receive-pool.ts';

/** A connection, as far as data is received on it. */
export interface Receiver {
  readonly handle: NdisOffloadHandle;
  standing: Standing;
  /** Posted requests, oldest first, chained by `next`. */
  firstRequest: NetBufferList | null;
  lastRequest: NetBufferList | null;
  /** Bytes in the oldest request, those that came with it included. */
  filled: number;
  /** Room in all requests, bytes. */
  requestedBytes: number;
  /** Requests that are finished and about to be completed. */
  firstDone: NetBufferList | null;
  lastDone: NetBufferList | null;
  readonly buffered: BufferedData;
  /** When the push timer expires, µs; NEVER. */
  pushAtUs: number;
  readonly rcvIndicationSize: number;
  readonly hashValue: number;
  /** An abortive disconnect is under way: nothing more is indicated (DISC-011). The host may ask for one inside a completion. */
  readonly isAborting: boolean;
  // See ConnectionFlags.
  isDelivering: boolean;
  isInitiating: boolean;
  isRefused: boolean;
  isRestHeld: boolean;
  isFinReceived: boolean;
  isDisconnectIndicated: boolean;
  isBufferedPushed: boolean;
}

/** Who raises events and completes lists: the doors upward. */
export interface Indicator {
  readonly ndis: TcpOffloadEventHandlers;
  readonly handle: NdisMiniportHandle;
  /** Something was indicated or completed upward in this flush. */
  hasIndicated: boolean;
}

/** The adapter that runs the algorithm. */
export interface ReceiverHost<C extends Receiver> extends Indicator {
  readonly runtime: Runtime;
  readonly pool: ReceivePool;
  readonly tunables: TcpConnectionOffloadParameters;
  readonly consumed: BytesConsumed;
  /** What copies into requests; absent: `copyBytes`. */
  readonly copy?: CopyBytes | undefined;
  /** Data is handed on in batches and placed elsewhere: a push inside of one counts for what is behind it, too. */
  readonly keepsPush: boolean;
  /** Connections whose delivery goes on in the next turn. */
  later: C[];
  /** Notes that something is due (bits of `Due`) at the end of the batch or turn; `markSoon` makes the turn come. */
  mark(connection: C, due: number): void;
  markSoon(connection: C, due: number): void;
  schedule(): void;
  /** The algorithm has run for a connection that is processed: what was taken makes room. */
  onDelivered(connection: C, nowUs: number): void;
}
