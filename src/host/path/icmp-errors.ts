/**
 * ICMP errors about packets we sent: to whom they belong, what they mean, and path MTU discovery. RFC 1122 3.2.2, RFC 4443, RFC 5927.
 *
 * Promises: a quote from an address that is not ours goes no further; the protocol above judges whether the quoted packet
 * can have been its own before a path MTU is lowered. Leaves to others: what a connection does about it.
 */

import { Event } from '../../trace/events.ts';
import { IcmpUnreachable } from '../../wire/icmp.ts';
import type { QuotedPacket } from '../../wire/icmp-quote.ts';
import { Icmpv6Unreachable } from '../../wire/icmpv6.ts';
import { ParameterProblem } from '../../wire/ipv6-extensions.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import type { TransportErrorCode } from '../api.ts';
import type { AddressTable } from './address-table.ts';
import type { IpContext } from './context.ts';
import type { PathMtu } from './path-mtu.ts';
import type { PathTable } from './path-table.ts';
import type { Pings } from './ping.ts';
import { IcmpError, IcmpErrorKind, type Interface } from './types.ts';

export class IcmpErrors {
  readonly #context: IpContext;
  readonly #addresses: AddressTable;
  readonly #paths: PathTable;
  readonly #pathMtu: PathMtu;
  readonly #pings: Pings;
  readonly #error = new IcmpError();

  constructor(context: IpContext, addresses: AddressTable, paths: PathTable, pathMtu: PathMtu, pings: Pings) {
    this.#context = context;
    this.#addresses = addresses;
    this.#paths = paths;
    this.#pathMtu = pathMtu;
    this.#pings = pings;
  }

  /** Destination unreachable for IPv4, fragmentation needed included. `mtu`: as the message says. */
  unreachableIpv4(iface: Interface, bytes: Uint8Array, quote: QuotedPacket, code: number, mtu: number): void {
    if (code === IcmpUnreachable.FRAGMENTATION_NEEDED) {
      this.#tooBig(iface, bytes, quote, 3, code, mtu);
      return;
    }
    const isProtocol = code === IcmpUnreachable.PROTOCOL;
    const isPort = code === IcmpUnreachable.PORT;
    const kind = isProtocol
      ? IcmpErrorKind.PROTOCOL_UNREACHABLE
      : isPort
        ? IcmpErrorKind.PORT_UNREACHABLE
        : IcmpErrorKind.UNREACHABLE;
    this.report(iface, bytes, quote, kind, 3, code, errorOfIpv4(code), isProtocol || isPort);
  }

  /** Destination unreachable for IPv6. */
  unreachableIpv6(iface: Interface, bytes: Uint8Array, quote: QuotedPacket, code: number): void {
    const isPort = code === Icmpv6Unreachable.PORT;
    const kind = isPort ? IcmpErrorKind.PORT_UNREACHABLE : IcmpErrorKind.UNREACHABLE;
    this.report(iface, bytes, quote, kind, 1, code, errorOfIpv6(code), isPort);
  }

  /** Packet too big. RFC 8201. */
  tooBigIpv6(iface: Interface, bytes: Uint8Array, quote: QuotedPacket, code: number, mtu: number): void {
    this.#tooBig(iface, bytes, quote, 2, code, mtu);
  }

  /** Parameter problem: of IPv6, code 1 says that nobody takes the protocol. RFC 9293 3.9.2.2, RFC 1122 4.2.3.9. */
  parameterProblem(iface: Interface, bytes: Uint8Array, quote: QuotedPacket, type: number, code: number): void {
    const isProtocol = quote.family === 6 && code === ParameterProblem.NEXT_HEADER;
    const kind = isProtocol ? IcmpErrorKind.PROTOCOL_UNREACHABLE : IcmpErrorKind.PARAMETER_PROBLEM;
    this.report(iface, bytes, quote, kind, type, code, isProtocol ? 'ECONNREFUSED' : 'EHOSTUNREACH', isProtocol);
  }

  /** Passes an error up. Answers whether its packet can have been ours. */
  report(
    iface: Interface,
    bytes: Uint8Array,
    quote: QuotedPacket,
    kind: IcmpErrorKind,
    type: number,
    code: number,
    error: TransportErrorCode,
    hard: boolean,
  ): boolean {
    const info = this.#error;
    info.kind = kind;
    info.type = type;
    info.code = code;
    info.error = error;
    info.hard = hard;
    info.mtu = 0;
    return this.#pass(iface, bytes, quote);
  }

  #tooBig(
    iface: Interface,
    bytes: Uint8Array,
    quote: QuotedPacket,
    type: number,
    code: number,
    reported: number,
  ): void {
    const path = quote.family === 0 ? null : this.#paths.find(bytes, quote.srcAt, quote.dstAt, quote.family);
    // RFC 1191 5: an old router's quote says how long the packet was that did not fit.
    const quotedLength = path !== null && path.family === 4 ? (bytes[quote.at + 2]! << 8) | bytes[quote.at + 3]! : 0;
    const mtu = path === null ? 0 : this.#pathMtu.proposed(path, reported, quotedLength);
    if (path === null || mtu === 0) {
      this.#bad();
      return;
    }
    const info = this.#error;
    info.kind = IcmpErrorKind.PACKET_TOO_BIG;
    info.type = type;
    info.code = code;
    info.error = 'EMSGSIZE';
    info.hard = false;
    info.mtu = mtu;
    info.believe = () => {
      const proposed = this.#pathMtu.proposed(path, reported, quotedLength);
      if (proposed !== 0 && path.isKept) this.#pathMtu.lower(path, proposed, reported, quotedLength);
    };
    // Null: somebody has taken it, and judges later.
    if (this.#pass(iface, bytes, quote)) info.believe?.();
    info.believe = null;
  }

  #pass(iface: Interface, bytes: Uint8Array, quote: QuotedPacket): boolean {
    if (!this.#isFromUs(iface, bytes, quote)) return this.#bad();
    const info = this.#error;
    info.family = quote.family === 6 ? 6 : 4;
    info.bytes = bytes;
    info.localAt = quote.srcAt;
    info.remoteAt = quote.dstAt;
    info.quotedAt = quote.upperAt;
    info.quotedLength = quote.upperLength;
    info.protocol = quote.protocol;
    info.path = this.#paths.find(bytes, quote.srcAt, quote.dstAt, info.family);
    if (!this.#judge(info)) return this.#bad();
    this.#context.trace.count(Event.ICMP_ERROR_RECEIVED);
    return true;
  }

  #judge(info: IcmpError): boolean {
    if (info.protocol === (info.family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6)) return this.#pings.icmpError(info);
    const upper = this.#context.uppers[info.protocol];
    return upper?.icmpError(info) === true;
  }

  /** RFC 1122 3.2.2, RFC 5927 4: the quoted source is ours, and there is enough of the packet to find its sender. */
  #isFromUs(iface: Interface, bytes: Uint8Array, quote: QuotedPacket): boolean {
    if (quote.family === 0 || quote.isLaterFragment || quote.upperLength < 8) return false;
    if (iface.config.forwardAll === true) return true;
    return this.#addresses.find(bytes, quote.srcAt, quote.family)?.isUsable === true;
  }

  #bad(): false {
    this.#context.trace.count(Event.ICMP_QUOTE_BAD);
    return false;
  }
}

function errorOfIpv4(code: number): TransportErrorCode {
  if (code === IcmpUnreachable.PROTOCOL || code === IcmpUnreachable.PORT) return 'ECONNREFUSED';
  const isNet =
    code === IcmpUnreachable.NET || code === IcmpUnreachable.NET_UNKNOWN || code === IcmpUnreachable.NET_PROHIBITED;
  return isNet ? 'ENETUNREACH' : 'EHOSTUNREACH';
}

function errorOfIpv6(code: number): TransportErrorCode {
  if (code === Icmpv6Unreachable.PORT) return 'ECONNREFUSED';
  return code === Icmpv6Unreachable.NO_ROUTE ? 'ENETUNREACH' : 'EHOSTUNREACH';
}
