/**
 * Echo requests out and what comes back. RFC 792, RFC 4443 4. For tests and tools.
 *
 * Promises: at most {@link PINGS_MAX} are waited for; each is answered exactly once: by its reply, an ICMP error, or the timeout.
 */

import { read16 } from '../../base/bytes.ts';
import { copyBytes } from '../../base/copy-bytes.ts';
import { encodeIcmpEcho, ICMP_HEADER_LENGTH, IcmpType } from '../../wire/icmp.ts';
import { encodeIcmpv6Echo, Icmpv6Type } from '../../wire/icmpv6.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import type { TransportErrorCode } from '../api.ts';
import type { AgendaItem } from './agenda.ts';
import type { IpContext } from './context.ts';
import type { IpSender } from './ip-sender.ts';
import { type IcmpError, IcmpErrorKind, LINK_HEADROOM, type OutPacket, type PathEntry } from './types.ts';

/** Echo requests that are waited for at once. */
export const PINGS_MAX = 1024;

/** What came of an echo request. */
export interface PingReply {
  /** Null: a reply came. */
  readonly error: TransportErrorCode | null;
  /** Round trip, microseconds. */
  readonly rttUs: number;
  /** The data of the reply; empty without one. A copy. */
  readonly payload: Uint8Array;
}

class Ping implements AgendaItem {
  readonly path: PathEntry;
  readonly sequence: number;
  readonly sentUs: number;
  readonly onReply: (reply: PingReply) => void;
  readonly #pings: Pings;
  agendaSlot: number = -1;

  constructor(pings: Pings, path: PathEntry, sequence: number, sentUs: number, onReply: (reply: PingReply) => void) {
    this.#pings = pings;
    this.path = path;
    this.sequence = sequence;
    this.sentUs = sentUs;
    this.onReply = onReply;
  }

  onDue(nowUs: number): void {
    this.#pings.finish(this, 'ETIMEDOUT', nowUs, NO_BYTES);
  }
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

export class Pings {
  readonly #context: IpContext;
  readonly #sender: IpSender;
  readonly #identifier: number;
  readonly #waiting = new Map<number, Ping>();
  #nextSequence = 1;

  constructor(context: IpContext, sender: IpSender) {
    this.#context = context;
    this.#sender = sender;
    this.#identifier = context.runtime.random.nextUint32() & 0xffff;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Sends an echo request; answers null, or why none was sent. */
  send(
    path: PathEntry,
    payload: Uint8Array,
    timeoutUs: number,
    onReply: (reply: PingReply) => void,
  ): TransportErrorCode | null {
    if (this.#waiting.size >= PINGS_MAX) return 'ENOBUFS';
    const out = this.#sender.begin(path, ICMP_HEADER_LENGTH + payload.length);
    if (out === null) return payload.length + ICMP_HEADER_LENGTH > 65_527 ? 'EMSGSIZE' : 'ENOBUFS';
    do this.#nextSequence = (this.#nextSequence + 1) & 0xffff;
    while (this.#waiting.has(this.#nextSequence));
    const nowUs = this.#context.runtime.nowUs();
    const ping = new Ping(this, path, this.#nextSequence, nowUs, onReply);
    copyBytes(payload, 0, payload.length, out.bytes, out.at + ICMP_HEADER_LENGTH);
    const length = this.#write(out, path, ping.sequence, payload.length);
    const protocol = path.family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6;
    if (!this.#sender.send(out, length, protocol, 0, 0, 0, false, 0)) return 'ENETUNREACH';
    path.retain();
    this.#waiting.set(ping.sequence, ping);
    this.#context.agenda.set(ping, nowUs + timeoutUs);
    return null;
  }

  /** An echo reply: its data is `length` bytes at `at`. */
  replied(identifier: number, sequence: number, bytes: Uint8Array, at: number, length: number): void {
    const ping = identifier === this.#identifier ? this.#waiting.get(sequence) : undefined;
    if (ping === undefined) return;
    const nowUs = this.#context.runtime.nowUs();
    // RFC 4861 7.3.1: an answer is forward progress.
    ping.path.confirmReachable(nowUs);
    this.finish(ping, null, nowUs, bytes.slice(at, at + length));
  }

  /** An ICMP error about an echo request of ours. Answers whether it can be genuine. */
  icmpError(error: IcmpError): boolean {
    if (error.quotedLength < ICMP_HEADER_LENGTH) return false;
    const { bytes, quotedAt } = error;
    const ping = this.#waiting.get(read16(bytes, quotedAt + 6));
    if (ping === undefined || read16(bytes, quotedAt + 4) !== this.#identifier) return false;
    if (error.kind !== IcmpErrorKind.PACKET_TOO_BIG) {
      this.finish(ping, error.error, this.#context.runtime.nowUs(), NO_BYTES);
    }
    return true;
  }

  finish(ping: Ping, error: TransportErrorCode | null, nowUs: number, payload: Uint8Array): void {
    this.#waiting.delete(ping.sequence);
    this.#context.agenda.clear(ping);
    ping.path.release();
    ping.onReply({ error, rttUs: nowUs - ping.sentUs, payload });
  }

  /** The stack closes. */
  close(): void {
    for (const ping of [...this.#waiting.values()]) this.finish(ping, 'ECANCELED', ping.sentUs, NO_BYTES);
  }

  #write(out: OutPacket, path: PathEntry, sequence: number, length: number): number {
    if (path.family === 4) return encodeIcmpEcho(out.bytes, out.at, IcmpType.ECHO, this.#identifier, sequence, length);
    const srcAt = LINK_HEADROOM + 8;
    copyBytes(path.local.bytes, 0, 16, out.bytes, srcAt);
    copyBytes(path.remote.bytes, 0, 16, out.bytes, srcAt + 16);
    const type = Icmpv6Type.ECHO_REQUEST;
    return encodeIcmpv6Echo(out.bytes, out.at, type, this.#identifier, sequence, length, srcAt, srcAt + 16);
  }
}
