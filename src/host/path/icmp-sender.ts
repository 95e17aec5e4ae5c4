/**
 * ICMP and ICMPv6 errors out. RFC 792, RFC 1122 3.2.2, RFC 4443 2.4.
 *
 * Promises: none is sent where the RFCs forbid it (about errors, broadcasts, multicasts, later fragments, sources that are not one
 * host), and no more a second than the limit. Leaves to others: that there is something to report.
 */

import { copyBytes } from '../../base/copy-bytes.ts';
import { Event } from '../../trace/events.ts';
import {
  encodeIcmpError,
  ICMP_ERROR_PACKET_MAX,
  ICMP_HEADER_LENGTH,
  IcmpTimeExceeded,
  IcmpType,
  IcmpUnreachable,
  isIcmpError,
} from '../../wire/icmp.ts';
import {
  encodeIcmpv6Error,
  ICMPV6_ERROR_PACKET_MAX,
  Icmpv6TimeExceeded,
  Icmpv6Type,
  Icmpv6Unreachable,
} from '../../wire/icmpv6.ts';
import { IPV4_HEADER_LENGTH } from '../../wire/ipv4.ts';
import { IPV6_HEADER_LENGTH } from '../../wire/ipv6.ts';
import { ParameterProblem } from '../../wire/ipv6-extensions.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import type { AddressTable } from './address-table.ts';
import type { IpContext } from './context.ts';
import type { IpSender } from './ip-sender.ts';
import { isSingleHost } from './source-check.ts';
import { TokenBucket } from './token-bucket.ts';
import { LINK_HEADROOM, type OutPacket, type PathEntry, type RxPacket } from './types.ts';

/** Finds or makes the path on which a packet is answered; null: there is none. */
export type PathBack = (rx: RxPacket) => PathEntry | null;

export class IcmpSender {
  readonly #context: IpContext;
  readonly #sender: IpSender;
  readonly #addresses: AddressTable;
  readonly #pathBack: PathBack;
  readonly #bucket: TokenBucket;

  constructor(context: IpContext, sender: IpSender, addresses: AddressTable, pathBack: PathBack) {
    this.#context = context;
    this.#sender = sender;
    this.#addresses = addresses;
    this.#pathBack = pathBack;
    const { icmpErrorsPerSecond, icmpErrorsBurst } = context.options;
    this.#bucket = new TokenBucket(icmpErrorsPerSecond, icmpErrorsBurst);
  }

  /** Nobody takes the packet's protocol. RFC 1122 3.2.2.1 code 2, RFC 4443 3.4 code 1. */
  protocolUnreachable(rx: RxPacket): void {
    if (rx.family === 4) this.#error(rx, IcmpType.DESTINATION_UNREACHABLE, IcmpUnreachable.PROTOCOL, 0, false);
    else this.parameterProblem(rx, ParameterProblem.NEXT_HEADER, rx.nextHeaderAt, false);
  }

  /** Nobody listens on the packet's port. */
  portUnreachable(rx: RxPacket): void {
    if (rx.family === 4) this.#error(rx, IcmpType.DESTINATION_UNREACHABLE, IcmpUnreachable.PORT, 0, false);
    else this.#error(rx, Icmpv6Type.DESTINATION_UNREACHABLE, Icmpv6Unreachable.PORT, 0, false);
  }

  /** Something in the header, at `at` in `rx.bytes`, is wrong. `isForGroups`: RFC 4443 2.4 (e.3), second exception. */
  parameterProblem(rx: RxPacket, code: number, at: number, isForGroups: boolean): void {
    const pointer = at - rx.headerAt;
    if (rx.family === 4) this.#error(rx, IcmpType.PARAMETER_PROBLEM, code, pointer << 24, false);
    else this.#error(rx, Icmpv6Type.PARAMETER_PROBLEM, code, pointer, isForGroups);
  }

  /** Reassembly timed out; `rx` is the first fragment. */
  reassemblyTimeExceeded(rx: RxPacket): void {
    if (rx.family === 4) this.#error(rx, IcmpType.TIME_EXCEEDED, IcmpTimeExceeded.REASSEMBLY, 0, false);
    else this.#error(rx, Icmpv6Type.TIME_EXCEEDED, Icmpv6TimeExceeded.REASSEMBLY, 0, false);
  }

  #error(rx: RxPacket, type: number, code: number, rest: number, isForGroups: boolean): void {
    if (!this.#mayAnswer(rx, isForGroups)) {
      this.#context.trace.count(Event.ICMP_ERROR_SUPPRESSED);
      return;
    }
    if (!this.#bucket.take(this.#context.runtime.nowUs())) {
      this.#context.trace.count(Event.ICMP_RATE_LIMITED);
      return;
    }
    const path = this.#pathBack(rx);
    if (path === null) return;
    const most = rx.family === 4 ? ICMP_ERROR_PACKET_MAX : ICMPV6_ERROR_PACKET_MAX;
    const headers = path.headerLength + ICMP_HEADER_LENGTH;
    const quoteLength = Math.min(rx.packetLength, Math.min(most, path.mtu) - headers);
    const out = this.#sender.begin(path, ICMP_HEADER_LENGTH + quoteLength);
    if (out === null) return;
    copyBytes(rx.bytes, rx.headerAt, quoteLength, out.bytes, out.at + ICMP_HEADER_LENGTH);
    this.#context.trace.count(Event.ICMP_ERROR_SENT);
    if (rx.family === 4) this.#sendIpv4(out, type, code, rest, quoteLength);
    else this.#sendIpv6(out, path, type, code, rest, quoteLength);
  }

  #sendIpv4(out: OutPacket, type: number, code: number, rest: number, quoteLength: number): void {
    const length = encodeIcmpError(out.bytes, out.at, type, code, rest, quoteLength);
    this.#sender.send(out, length, IpProtocol.ICMP, 0, 0, 0, false, 0);
  }

  #sendIpv6(out: OutPacket, path: PathEntry, type: number, code: number, rest: number, quoteLength: number): void {
    // The checksum takes the addresses from the packet; the header in full is written when it is sent.
    const srcAt = LINK_HEADROOM + 8;
    copyBytes(path.local.bytes, 0, 16, out.bytes, srcAt);
    copyBytes(path.remote.bytes, 0, 16, out.bytes, srcAt + 16);
    const length = encodeIcmpv6Error(out.bytes, out.at, type, code, rest, quoteLength, srcAt, srcAt + 16);
    this.#sender.send(out, length, IpProtocol.ICMPV6, 0, 0, 0, false, 0);
  }

  /** RFC 1122 3.2.2, RFC 4443 2.4 (e). */
  #mayAnswer(rx: RxPacket, isForGroups: boolean): boolean {
    if ((rx.toMulticast || rx.toBroadcast || rx.linkBroadcast) && !isForGroups) return false;
    if (!isSingleHost(rx, this.#addresses)) return false;
    return rx.family === 4 ? !isAboutIcmpError(rx) : !isAboutIcmpv6Error(rx);
  }
}

/** Whether the IPv4 packet is an ICMP error, too short to tell, or a later fragment. */
function isAboutIcmpError(rx: RxPacket): boolean {
  const { bytes, headerAt } = rx;
  if ((bytes[headerAt + 6]! & 0x1f) !== 0 || bytes[headerAt + 7] !== 0) return true;
  if (bytes[headerAt + 9] !== IpProtocol.ICMP) return false;
  const headerLength = (bytes[headerAt]! & 15) << 2;
  return rx.packetLength <= Math.max(headerLength, IPV4_HEADER_LENGTH) || isIcmpError(bytes[headerAt + headerLength]!);
}

/** Whether the IPv6 packet is an ICMPv6 error or redirect, as far as its headers can be followed. */
function isAboutIcmpv6Error(rx: RxPacket): boolean {
  const { bytes } = rx;
  const end = rx.headerAt + rx.packetLength;
  let at = rx.headerAt + IPV6_HEADER_LENGTH;
  let next = bytes[rx.headerAt + 6]!;
  while (
    next === IpProtocol.HOP_BY_HOP ||
    next === IpProtocol.ROUTING ||
    next === IpProtocol.FRAGMENT ||
    next === IpProtocol.DESTINATION_OPTIONS
  ) {
    if (at + 8 > end) return false;
    // A later fragment holds no header; what it belongs to is not known.
    if (next === IpProtocol.FRAGMENT && (bytes[at + 2] !== 0 || bytes[at + 3]! > 7)) return false;
    const length = next === IpProtocol.FRAGMENT ? 8 : (bytes[at + 1]! + 1) << 3;
    next = bytes[at]!;
    at += length;
  }
  if (next !== IpProtocol.ICMPV6) return false;
  return at >= end || bytes[at]! < 128 || bytes[at] === Icmpv6Type.REDIRECT;
}
