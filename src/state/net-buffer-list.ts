/**
 * Net buffer lists: how data and frames are described to whoever is to send, fill or take them.
 *
 * A list (NET_BUFFER_LIST) holds one or more buffers (NET_BUFFER), a buffer a chain of memory descriptors (MDL). Lists are
 * chained by `next`. Whoever is handed a list owns it, its buffers and the memory they describe until it is given back; the
 * very same list is what comes back. They live in this room, not in `ndis`, because delegated TCP state refers to them and
 * the TCP engine reads send data out of them without seeing any driver (docs/adr/0001).
 * Source: chimney-ddi sections 4, 7.8, 8.8; names are those of the NDIS documentation.
 */

import { type CopyBytes, copyBytes } from '../base/copy-bytes.ts';
import type { MemoryOffer } from '../base/memory-offer.ts';

/** A memory descriptor: a run of bytes inside some buffer. MDL. */
export class Mdl {
  next: Mdl | null = null;
  buffer: Uint8Array;
  /** Where the run starts in `buffer`, bytes. */
  byteOffset: number;
  /** How long the run is, bytes. */
  byteCount: number;
  /** Indicated data of connections: whoever is shown the run may keep all of `buffer`, in which nothing else is. Null: not offered. */
  memoryOffer: MemoryOffer | null = null;

  constructor(buffer: Uint8Array, byteOffset = 0, byteCount: number = buffer.length - byteOffset) {
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.byteCount = byteCount;
  }
}

/** A run of data (or of room to be filled) over an MDL chain. NET_BUFFER. */
export class NetBuffer {
  next: NetBuffer | null = null;
  mdlChain: Mdl | null;
  /** The MDL in which the data starts now. */
  currentMdl: Mdl | null;
  /** Where in {@link currentMdl} the data starts, bytes. */
  currentMdlOffset = 0;
  /** From the start of the chain to the start of the data, bytes. */
  dataOffset = 0;
  /** Bytes of data from there on. */
  dataLength: number;

  constructor(mdlChain: Mdl | null, dataLength: number) {
    this.mdlChain = mdlChain;
    this.currentMdl = mdlChain;
    this.dataLength = dataLength;
  }
}

/** One or more net buffers that travel together. NET_BUFFER_LIST. */
export class NetBufferList {
  next: NetBufferList | null = null;
  firstNetBuffer: NetBuffer | null;
  /** An NDIS_STATUS, written by whoever completes the list. */
  status = 0;
  /** NET_BUFFER_LIST_INFO TcpReceiveNoPush: true asks for nonpush mode (posted receives). */
  tcpReceiveNoPush = false;
  /** NET_BUFFER_LIST_INFO TcpReceiveBytesTransferred: bytes that are already in a posted receive buffer. */
  tcpReceiveBytesTransferred = 0;
  /** NET_BUFFER_LIST_INFO TcpOffloadBytesTransferred: bytes sent and acknowledged, or placed, when completed. */
  tcpOffloadBytesTransferred = 0;
  /**
   * NET_BUFFER_LIST_INFO TcpLargeSendNetBufferListInfo and TcpIpChecksumNetBufferListInfo in one number, for ordinary frames, both
   * ways: payload bytes of each segment that the one in the list stands for, its checksum being left to the device (received: vouched
   * for by it). 0: the frame is complete. All headers of one that is not are in its first MDL. Its meaning is that of `segmentBytes` in link/link.ts.
   */
  largeSendMss = 0;
  /**
   * Received ordinary frames: whoever is indicated the list may keep the memory of its first MDL (and with a borrowed list nothing else). Null:
   * not offered. A driver that indicates a frame in a list of its own offers nothing.
   */
  memoryOffer: MemoryOffer | null = null;
  /** NET_BUFFER_LIST_INFO NetBufferListHashValue: the RSS hash of the connection, on received data. RSS-004. */
  hashValue = 0;
  /** Who made the list; for NDIS. */
  sourceHandle: unknown = null;
  /** For the layer that posted it. ProtocolReserved. */
  protocolReserved: unknown = null;
  /** A second ProtocolReserved word of the layer that posted it: the host names the connection here. */
  protocolReserved2: unknown = null;
  /** For the layer that owns it below, for example to queue it. MiniportReserved. */
  miniportReserved: unknown = null;
  /** Context areas pushed by drivers on the way, last first. NET_BUFFER_LIST_CONTEXT. */
  context: unknown = null;

  /**
   * BufferedData of an initiate: urgent data is in it, or in what is chained behind it (TCP-086). The pages say what the target
   * does then and not how it learns of it; this is how.
   */
  hasUrgentData = false;

  constructor(firstNetBuffer: NetBuffer | null) {
    this.firstNetBuffer = firstNetBuffer;
  }
}

/** A list of one buffer over one run of bytes: the shape of most sends, posted receives, disconnects and forwards. */
export function netBufferListOver(buffer: Uint8Array, at = 0, length: number = buffer.length - at): NetBufferList {
  return new NetBufferList(new NetBuffer(new Mdl(buffer, at, length), length));
}

/** A list of one empty buffer: an abortive or data-less disconnect, a zero-byte receive. */
export function emptyNetBufferList(): NetBufferList {
  return new NetBufferList(new NetBuffer(null, 0));
}

/** Bytes of data in all buffers of one list (not of the lists chained behind it). */
export function dataLengthOf(list: NetBufferList): number {
  let bytes = 0;
  for (let nb = list.firstNetBuffer; nb !== null; nb = nb.next) bytes += nb.dataLength;
  return bytes;
}

/**
 * Moves the start of the data forward by `bytes`. NdisAdvanceNetBufferDataStart with FreeMdl NULL: no MDL is unlinked.
 * `bytes` is at most `nb.dataLength`.
 */
export function advanceNetBufferDataStart(nb: NetBuffer, bytes: number): void {
  nb.dataOffset += bytes;
  nb.dataLength -= bytes;
  let left = bytes;
  while (left > 0 && nb.currentMdl !== null) {
    const room = nb.currentMdl.byteCount - nb.currentMdlOffset;
    if (left < room) {
      nb.currentMdlOffset += left;
      return;
    }
    left -= room;
    if (nb.currentMdl.next === null) {
      nb.currentMdlOffset = nb.currentMdl.byteCount;
      return;
    }
    nb.currentMdl = nb.currentMdl.next;
    nb.currentMdlOffset = 0;
  }
}

/** Copies `length` bytes from `from` bytes behind the start of the data into `out` at `at`; answers how many there were. */
export function copyFromNetBuffer(
  nb: NetBuffer,
  from: number,
  length: number,
  out: Uint8Array,
  at: number,
  copy: CopyBytes = copyBytes,
): number {
  let mdl = nb.currentMdl;
  let offset = nb.currentMdlOffset + from;
  let left = Math.min(length, nb.dataLength - from);
  let to = at;
  while (mdl !== null && left > 0) {
    const room = mdl.byteCount - offset;
    if (room <= 0) {
      offset -= mdl.byteCount;
      mdl = mdl.next;
      continue;
    }
    const n = left < room ? left : room;
    const start = mdl.byteOffset + offset;
    copy(mdl.buffer, start, n, out, to);
    to += n;
    left -= n;
    offset += n;
  }
  return to - at;
}

/** Shows the data of `nb`, a run of bytes that lie together at a time. */
export function eachRun(nb: NetBuffer, see: (bytes: Uint8Array, at: number, length: number) => void): void {
  let left = nb.dataLength;
  let offset = nb.currentMdlOffset;
  for (let mdl = nb.currentMdl; mdl !== null && left > 0; mdl = mdl.next) {
    const n = Math.min(left, mdl.byteCount - offset);
    if (n > 0) see(mdl.buffer, mdl.byteOffset + offset, n);
    left -= Math.max(0, n);
    offset = Math.max(0, offset - mdl.byteCount);
  }
}

/** Copies `length` bytes of `bytes` into the data of `nb`, `from` bytes behind its start; answers how many fitted. */
export function copyIntoNetBuffer(
  nb: NetBuffer,
  from: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  copy: CopyBytes = copyBytes,
): number {
  let mdl = nb.currentMdl;
  let offset = nb.currentMdlOffset + from;
  let left = Math.min(length, nb.dataLength - from);
  let source = at;
  while (mdl !== null && left > 0) {
    const room = mdl.byteCount - offset;
    if (room <= 0) {
      offset -= mdl.byteCount;
      mdl = mdl.next;
      continue;
    }
    const n = left < room ? left : room;
    copy(bytes, source, n, mdl.buffer, mdl.byteOffset + offset);
    source += n;
    left -= n;
    offset += n;
  }
  return source - at;
}
