/**
 * Reassembly of IPv4 and IPv6 datagrams. RFC 791 3.2, RFC 1122 3.3.2, RFC 1858, RFC 5722, RFC 8200 4.5, RFC 3168 5.3.
 *
 * Promises: bounded in datagrams, pieces and bytes, the oldest datagram goes first; any overlap gives the whole datagram up, and what
 * is still to come of it too, in silence (an exact copy of a fragment is only ignored, RFC 8200 4.5); ports and header checks
 * see the datagram as if it had come whole. Leaves to others: ICMP about what timed out.
 */

import { equalBytes, write16 } from '../../base/bytes.ts';
import { copyBytes } from '../../base/copy-bytes.ts';
import { Event } from '../../trace/events.ts';
import { addressLength } from '../../wire/ip-address.ts';
import { writeIpv4Checksum } from '../../wire/ipv4.ts';
import { IPV6_HEADER_LENGTH } from '../../wire/ipv6.ts';
import type { AgendaItem } from './agenda.ts';
import type { IpContext } from './context.ts';
import type { Interface, RxPacket } from './types.ts';

/** Fragments of one datagram: 65535 bytes over a link of 68 would be 1366; over 576 they are 119. */
export const FRAGMENTS_MAX = 1400;
/** Room for the IP header in front of the data. */
const DATA_AT = 64;
/** Of the first fragment as much is kept as an ICMP error may quote. */
const QUOTE_MAX = 1280;
const FIRST_CAPACITY = 4096;
/** Datagrams whose memory is kept for the next ones. */
const SPARES_MAX = 4;

/** ECN field values. RFC 3168 section 5. */
const ECN_NOT_ECT = 0;
const ECN_CE = 3;

/** A datagram in the making. */
export class Datagram {
  family: 4 | 6 = 4;
  id = 0;
  protocol = 0;
  /** Header room, then the data. */
  bytes: Uint8Array = new Uint8Array(DATA_AT + FIRST_CAPACITY);
  /** Length of the data; -1: not known before the last fragment. */
  total = -1;
  /** Bytes of data that are there. */
  received = 0;
  /** Starts and ends of the pieces, in order. */
  pieces: Int32Array = new Int32Array(32);
  pieceCount = 0;
  /** Both addresses, source first. */
  readonly addresses: Uint8Array = new Uint8Array(32);
  expiresUs = 0;
  /** Given up: what still comes of it is thrown away. */
  isDead = false;
  /** Whether the fragment with offset 0 is here: its header is that of the datagram, and its start is kept. */
  hasFirst = false;
  headerLength = 0;
  quote: Uint8Array = NO_BYTES;
  quoteLength = 0;
  /** ECN codepoints seen, as bits. */
  ecnSeen = 0;
  /** How the first fragment came: whether an ICMP error may answer it. */
  iface: Interface | null = null;
  wasToGroup = false;
  wasLinkBroadcast = false;

  /** Where the IP header of the whole datagram stands, once it is complete. */
  get headerAt(): number {
    return DATA_AT - this.headerLength;
  }
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

export class Reassembler implements AgendaItem {
  readonly #context: IpContext;
  readonly #onTimeout: (datagram: Datagram) => void;
  /** Oldest first. */
  readonly #datagrams: Datagram[] = [];
  readonly #spares: Datagram[] = [];
  #bytes = 0;
  agendaSlot: number = -1;

  constructor(context: IpContext, onTimeout: (datagram: Datagram) => void) {
    this.#context = context;
    this.#onTimeout = onTimeout;
  }

  /** Datagrams in the making, dead ones included. */
  get count(): number {
    return this.#datagrams.length;
  }

  /** Bytes of memory they take. */
  get bytesHeld(): number {
    return this.#bytes;
  }

  /**
   * A fragment: `rx` is its packet, with `rx.at` and `rx.length` its part of the data. `nextHeader`: of the datagram. Answers
   * the datagram when this completes it; it is to be released.
   */
  add(rx: RxPacket, id: number, offset: number, isMore: boolean, nextHeader: number): Datagram | null {
    this.#context.trace.count(Event.FRAGMENT_RECEIVED);
    const headerBytes = rx.family === 4 ? rx.headerLength : 0;
    if (rx.length === 0 || (isMore && (rx.length & 7) !== 0) || headerBytes + offset + rx.length > 65_535) {
      this.#context.trace.count(Event.FRAGMENT_BAD);
      return null;
    }
    const datagram = this.#find(rx, id, nextHeader) ?? this.#begin(rx, id, nextHeader);
    if (datagram.isDead || !this.#place(datagram, rx, offset, isMore)) return null;
    if (datagram.received !== datagram.total) return null;
    if (!datagram.hasFirst || !mergeEcn(datagram)) {
      this.#kill(datagram, Event.FRAGMENT_BAD);
      return null;
    }
    this.#take(datagram);
    finishHeader(datagram);
    this.#context.trace.count(Event.DATAGRAM_REASSEMBLED);
    return datagram;
  }

  /** The datagram was delivered: its memory is free. */
  release(datagram: Datagram): void {
    if (this.#spares.length < SPARES_MAX) this.#spares.push(datagram);
  }

  onDue(nowUs: number): void {
    while (this.#datagrams.length > 0 && this.#datagrams[0]!.expiresUs <= nowUs) {
      const datagram = this.#datagrams[0]!;
      this.#take(datagram);
      if (!datagram.isDead) {
        this.#context.trace.count(Event.FRAGMENT_TIMEOUT);
        // RFC 1122 3.3.2, RFC 8200 4.5: only if the first fragment is here, so that it can be quoted.
        if (datagram.hasFirst) this.#onTimeout(datagram);
      }
      this.release(datagram);
    }
    if (this.#datagrams.length > 0) this.#context.agenda.set(this, this.#datagrams[0]!.expiresUs);
  }

  #find(rx: RxPacket, id: number, protocol: number): Datagram | null {
    const size = addressLength(rx.family);
    for (let i = this.#datagrams.length - 1; i >= 0; i--) {
      const one = this.#datagrams[i]!;
      // IPv6: the first fragment's next header counts, whatever the others say (RFC 8200 4.5).
      if (one.id !== id || one.family !== rx.family || (rx.family === 4 && one.protocol !== protocol)) continue;
      if (!equalBytes(one.addresses, 0, rx.bytes, rx.srcAt, size)) continue;
      if (equalBytes(one.addresses, size, rx.bytes, rx.dstAt, size)) return one;
    }
    return null;
  }

  #begin(rx: RxPacket, id: number, protocol: number): Datagram {
    const { reassemblyDatagrams, reassemblyTimeoutUs } = this.#context.options;
    if (this.#datagrams.length >= reassemblyDatagrams) this.#evictOldest();
    const datagram = this.#spares.pop() ?? new Datagram();
    datagram.family = rx.family;
    datagram.id = id;
    datagram.protocol = protocol;
    datagram.total = -1;
    datagram.received = 0;
    datagram.pieceCount = 0;
    datagram.isDead = false;
    datagram.hasFirst = false;
    datagram.ecnSeen = 0;
    const size = addressLength(rx.family);
    copyBytes(rx.bytes, rx.srcAt, size, datagram.addresses, 0);
    copyBytes(rx.bytes, rx.dstAt, size, datagram.addresses, size);
    datagram.expiresUs = this.#context.runtime.nowUs() + reassemblyTimeoutUs;
    this.#datagrams.push(datagram);
    this.#bytes += datagram.bytes.length;
    if (this.#datagrams.length === 1) this.#context.agenda.set(this, datagram.expiresUs);
    this.#shrink(datagram);
    return datagram;
  }

  /** Puts a fragment where it belongs; false: it was not taken. */
  #place(datagram: Datagram, rx: RxPacket, offset: number, isMore: boolean): boolean {
    const end = offset + rx.length;
    const at = this.#positionFor(datagram, offset);
    if (this.#isCopy(datagram, rx, at, offset)) return false;
    if (!isMore) {
      const isLast = datagram.pieceCount === 0 || datagram.pieces[2 * datagram.pieceCount - 1]! <= offset;
      if (datagram.total >= 0 || !isLast) return this.#kill(datagram, Event.FRAGMENT_OVERLAP);
      datagram.total = end;
    } else if (datagram.total >= 0 && end > datagram.total) return this.#kill(datagram, Event.FRAGMENT_OVERLAP);
    const { pieces, pieceCount } = datagram;
    const overlapsBefore = at > 0 && pieces[2 * at - 1]! > offset;
    const overlapsAfter = at < pieceCount && pieces[2 * at]! < end;
    if (overlapsBefore || overlapsAfter) return this.#kill(datagram, Event.FRAGMENT_OVERLAP);
    if (pieceCount >= FRAGMENTS_MAX) return this.#kill(datagram, Event.FRAGMENT_LIMIT);
    this.#ensure(datagram, end);
    insertPiece(datagram, at, offset, end);
    copyBytes(rx.bytes, rx.at, rx.length, datagram.bytes, DATA_AT + offset);
    datagram.received += rx.length;
    datagram.ecnSeen |= 1 << (rx.tos & 3);
    if (offset === 0) keepFirst(datagram, rx);
    return true;
  }

  /** The number of pieces that start before `offset`; almost always all of them. */
  #positionFor(datagram: Datagram, offset: number): number {
    let at = datagram.pieceCount;
    while (at > 0 && datagram.pieces[2 * at - 2]! >= offset) at--;
    return at;
  }

  /** Whether the very same fragment is there already. */
  #isCopy(datagram: Datagram, rx: RxPacket, at: number, offset: number): boolean {
    const { pieces } = datagram;
    if (at >= datagram.pieceCount || pieces[2 * at] !== offset || pieces[2 * at + 1] !== offset + rx.length)
      return false;
    return equalBytes(datagram.bytes, DATA_AT + offset, rx.bytes, rx.at, rx.length);
  }

  #ensure(datagram: Datagram, end: number): void {
    const needed = DATA_AT + end;
    if (needed <= datagram.bytes.length) return;
    const grown = new Uint8Array(Math.min(DATA_AT + 65_536, Math.max(needed, 2 * datagram.bytes.length)));
    grown.set(datagram.bytes);
    this.#bytes += grown.length - datagram.bytes.length;
    datagram.bytes = grown;
    this.#shrink(datagram);
  }

  /** Keeps the memory bounded: older datagrams go. */
  #shrink(keep: Datagram): void {
    while (this.#bytes > this.#context.options.reassemblyBytes && this.#datagrams[0] !== keep) this.#evictOldest();
  }

  #evictOldest(): void {
    const oldest = this.#datagrams[0]!;
    if (!oldest.isDead) this.#context.trace.count(Event.FRAGMENT_LIMIT);
    this.#take(oldest);
    this.release(oldest);
  }

  /** Gives a datagram up; it stays until its time is over, so that the rest of it is thrown away too. RFC 5722. */
  #kill(datagram: Datagram, event: number): false {
    this.#context.trace.count(event);
    datagram.isDead = true;
    return false;
  }

  #take(datagram: Datagram): void {
    this.#datagrams.splice(this.#datagrams.indexOf(datagram), 1);
    this.#bytes -= datagram.bytes.length;
    if (this.#datagrams.length === 0) this.#context.agenda.clear(this);
  }
}

function insertPiece(datagram: Datagram, at: number, start: number, end: number): void {
  if (2 * datagram.pieceCount === datagram.pieces.length) {
    const grown = new Int32Array(2 * datagram.pieces.length);
    grown.set(datagram.pieces);
    datagram.pieces = grown;
  }
  const { pieces } = datagram;
  if (at < datagram.pieceCount) pieces.copyWithin(2 * at + 2, 2 * at, 2 * datagram.pieceCount);
  pieces[2 * at] = start;
  pieces[2 * at + 1] = end;
  datagram.pieceCount++;
}

/** The first fragment: its header becomes the datagram's, its beginning is kept to be quoted. */
function keepFirst(datagram: Datagram, rx: RxPacket): void {
  datagram.hasFirst = true;
  datagram.iface = rx.iface;
  datagram.wasToGroup = rx.toMulticast || rx.toBroadcast;
  datagram.wasLinkBroadcast = rx.linkBroadcast;
  datagram.headerLength = rx.family === 4 ? rx.headerLength : IPV6_HEADER_LENGTH;
  copyBytes(rx.bytes, rx.headerAt, datagram.headerLength, datagram.bytes, datagram.headerAt);
  if (rx.family === 6) {
    // What the fragment header names; extension headers before it were walked when the fragment came.
    datagram.bytes[datagram.headerAt + 6] = rx.protocol;
  }
  const length = Math.min(QUOTE_MAX, rx.packetLength);
  if (datagram.quote.length < length) datagram.quote = new Uint8Array(QUOTE_MAX);
  copyBytes(rx.bytes, rx.headerAt, length, datagram.quote, 0);
  datagram.quoteLength = length;
}

/** RFC 3168 5.3: one CE marks the whole; CE beside a fragment that could not carry it is a fault. */
function mergeEcn(datagram: Datagram): boolean {
  const hasCe = (datagram.ecnSeen & (1 << ECN_CE)) !== 0;
  if (!hasCe) return true;
  if ((datagram.ecnSeen & (1 << ECN_NOT_ECT)) !== 0) return false;
  const at = datagram.headerAt;
  if (datagram.family === 4) datagram.bytes[at + 1] = datagram.bytes[at + 1]! | ECN_CE;
  else datagram.bytes[at + 1] = datagram.bytes[at + 1]! | (ECN_CE << 4);
  return true;
}

/** Makes the header that of the whole datagram. */
function finishHeader(datagram: Datagram): void {
  const at = datagram.headerAt;
  if (datagram.family === 6) {
    write16(datagram.bytes, at + 4, datagram.total);
    return;
  }
  write16(datagram.bytes, at + 2, datagram.headerLength + datagram.total);
  write16(datagram.bytes, at + 6, 0);
  writeIpv4Checksum(datagram.bytes, at, datagram.headerLength);
}
