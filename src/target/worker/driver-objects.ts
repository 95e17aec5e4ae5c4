/**
 * What the driver half keeps of each object that is offloaded through it, and of what is on its way to the NIC half.
 *
 * The contexts are what goes into the slots of the driver above. Plain data; what is done with it is in the other files.
 */

import { NEVER } from '../../base/runtime.ts';
import { asSeq, type Seq } from '../../base/seq.ts';
import type { NdisOffloadHandle } from '../../ndis/miniport.ts';
import type { Mdl, NetBuffer, NetBufferList } from '../../state/net-buffer-list.ts';
import type { TcpConnection } from '../../tcp/connection.ts';
import { ConnectionFlags } from '../engine/connection-flags.ts';
import { Standing } from '../engine/contexts.ts';
import { BufferedData } from '../engine/receive-pool.ts';
import type { Receiver } from '../engine/receiver.ts';

/** An offloaded neighbor. */
export class DriverNeighbor {
  readonly layer = 'neighbor' as const;
  /** The NIC half's name for it; 0: it is not offloaded any more. */
  id: number;
  readonly handle: NdisOffloadHandle;

  constructor(id: number, handle: NdisOffloadHandle) {
    this.id = id;
    this.handle = handle;
  }
}

/** An offloaded path. */
export class DriverPath {
  readonly layer = 'path' as const;
  id: number;
  readonly handle: NdisOffloadHandle;
  readonly family: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;

  constructor(id: number, handle: NdisOffloadHandle, family: number, source: Uint8Array, destination: Uint8Array) {
    this.id = id;
    this.handle = handle;
    this.family = family;
    this.source = source;
    this.destination = destination;
  }
}

/** A list of the host on its way out: a send, or the graceful disconnect. */
export class SendItem {
  readonly list: NetBufferList;
  readonly isDisconnect: boolean;
  next: SendItem | null = null;
  /** Where it is to be read on: everything before is in parts. */
  nb: NetBuffer | null;
  mdl: Mdl | null;
  mdlOffset: number;
  /** Bytes of {@link nb} that are left. */
  nbLeft: number;
  /** Whether all of it is in parts. */
  isShipped = false;
  /** Parts that were made, and those that are with the NIC half. */
  parts = 0;
  partsOut = 0;
  /** Bytes acknowledged by the peer. */
  acked = 0;
  /** It comes back as it went: its first part was not taken. */
  isReturned = false;
  /** REQUEST_ABORTED, once a part came back so; else 0. */
  failure = 0;

  constructor(list: NetBufferList, isDisconnect: boolean) {
    this.list = list;
    this.isDisconnect = isDisconnect;
    this.nb = list.firstNetBuffer;
    this.mdl = this.nb === null ? null : this.nb.currentMdl;
    this.mdlOffset = this.nb === null ? 0 : this.nb.currentMdlOffset;
    this.nbLeft = this.nb === null ? 0 : this.nb.dataLength;
  }
}

/** Memory of the send pool that the NIC half has: part of a send, or a forwarded segment. */
export class Part {
  readonly data: BufferedData = new BufferedData();
  connection: DriverConnection | null = null;
  /** The send; null: a forwarded segment, {@link list}. */
  item: SendItem | null = null;
  list: NetBufferList | null = null;
  isFirst = false;
  isLast = false;
}

/** An offloaded connection. */
export class DriverConnection extends ConnectionFlags implements Receiver {
  readonly layer = 'tcp' as const;
  id: number;
  readonly handle: NdisOffloadHandle;
  readonly path: DriverPath | null;
  readonly localPort: number;
  readonly remotePort: number;
  /** The state in which it came, and whether it counts as established (STAT-018). */
  readonly state: number;
  isEstablished: boolean;
  standing: Standing = Standing.NORMAL;
  due = 0;
  nextQueued: DriverConnection | null = null;

  // Receiving; see Receiver.
  firstRequest: NetBufferList | null = null;
  lastRequest: NetBufferList | null = null;
  filled = 0;
  requestedBytes = 0;
  firstDone: NetBufferList | null = null;
  lastDone: NetBufferList | null = null;
  pushAtUs: number = NEVER;
  rcvIndicationSize: number;
  readonly hashValue: number;
  /** Bytes that the NIC half believes to be not taken. */
  untakenBytes = 0;

  // Sending: lists of the host, oldest first; those from `firstUnshipped` on are not with the NIC half, or not wholly.
  firstItem: SendItem | null = null;
  lastItem: SendItem | null = null;
  firstUnshipped: SendItem | null = null;
  /** It stands among those that wait for room in the send pool. */
  isWaiting = false;
  /** The graceful disconnect that is not complete, and the status it has, while parts of it are out. */
  disconnect: SendItem | null = null;
  disconnectStatus: number | null = null;
  /** Abortive disconnects that are not complete, oldest first. */
  readonly aborts: NetBufferList[] = [];
  /** Segments that were not forwarded, to be given back. */
  readonly unforwarded: NetBufferList[] = [];
  /** It is offloaded: the NIC half has taken it. */
  isTaken = false;
  /** Segments forwarded and not complete. */
  forwardsOut = 0;
  /** SND.UNA when it came, and the bytes acknowledged since then of which the NIC half has told. */
  sndUna: Seq = asSeq(0);
  ackedBytes = 0;
  /** Its record, when the NIC half has died and left it whole. */
  remains: TcpConnection | null = null;

  constructor(
    id: number,
    handle: NdisOffloadHandle,
    path: DriverPath | null,
    ports: readonly [local: number, remote: number],
    state: number,
    isEstablished: boolean,
    hashValue: number,
    rcvIndicationSize: number,
  ) {
    super();
    this.id = id;
    this.handle = handle;
    this.path = path;
    this.localPort = ports[0];
    this.remotePort = ports[1];
    this.state = state;
    this.isEstablished = isEstablished;
    this.hashValue = hashValue;
    this.rcvIndicationSize = rcvIndicationSize;
  }

  get isAborting(): boolean {
    return this.aborts.length > 0;
  }
}

export type DriverObject = DriverNeighbor | DriverPath | DriverConnection;
