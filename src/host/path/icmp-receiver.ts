/**
 * ICMP and ICMPv6 messages in: echo is answered, errors are passed on, the rest is counted and dropped. RFC 1122 3.2.2, RFC 4443.
 *
 * Promises: nothing of a message with a wrong checksum is used; unknown types are dropped in silence, save unknown ICMPv6 errors, which
 * go to the protocol above. Leaves to others: neighbor discovery and MLD (framing/).
 */

import { copyBytes } from '../../base/copy-bytes.ts';
import { Event } from '../../trace/events.ts';
import { decodeIcmp, IcmpMessage, IcmpType, turnIcmpEchoIntoReply } from '../../wire/icmp.ts';
import { decodeIcmpv6, encodeIcmpv6Echo, ICMPV6_HEADER_LENGTH, Icmpv6Message, Icmpv6Type } from '../../wire/icmpv6.ts';
import type { Ipv6Header } from '../../wire/ipv6.ts';
import type { Ipv6Extensions } from '../../wire/ipv6-extensions.ts';
import { isNdType } from '../../wire/nd.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { WIRE_OK } from '../../wire/status.ts';
import type { GroupTable } from '../framing/groups.ts';
import type { NeighborDiscovery } from '../framing/neighbor-discovery.ts';
import type { AddressTable } from './address-table.ts';
import type { IpContext } from './context.ts';
import type { IcmpErrors } from './icmp-errors.ts';
import type { PathBack } from './icmp-sender.ts';
import type { IpSender } from './ip-sender.ts';
import type { Pings } from './ping.ts';
import type { Redirects } from './redirects.ts';
import { IcmpErrorKind, LINK_HEADROOM, type RxPacket } from './types.ts';

/** Who takes what arrives. */
export interface IcmpUsers {
  readonly sender: IpSender;
  readonly pathBack: PathBack;
  readonly errors: IcmpErrors;
  readonly pings: Pings;
  readonly redirects: Redirects;
  readonly nd: NeighborDiscovery;
  readonly groups: GroupTable;
  readonly addresses: AddressTable;
}

export class IcmpReceiver {
  readonly #context: IpContext;
  readonly #users: IcmpUsers;
  readonly #ipv4 = new IcmpMessage();
  readonly #ipv6 = new Icmpv6Message();

  constructor(context: IpContext, users: IcmpUsers) {
    this.#context = context;
    this.#users = users;
  }

  /** An ICMP message: `rx.length` bytes at `rx.at`. */
  receiveIpv4(rx: RxPacket): void {
    const message = this.#ipv4;
    if (decodeIcmp(rx.bytes, rx.at, rx.length, message) !== WIRE_OK) {
      this.#context.trace.count(Event.ICMP_BAD);
      return;
    }
    switch (message.type) {
      case IcmpType.ECHO:
        this.#echoIpv4(rx);
        return;
      case IcmpType.ECHO_REPLY:
        this.#replied(rx, message);
        return;
      case IcmpType.SOURCE_QUENCH:
        this.#context.trace.count(Event.ICMP_SOURCE_QUENCH);
        return;
      case IcmpType.DESTINATION_UNREACHABLE:
      case IcmpType.TIME_EXCEEDED:
      case IcmpType.PARAMETER_PROBLEM:
      case IcmpType.REDIRECT:
        this.#errorIpv4(rx, message);
        return;
      default:
        // RFC 1122 3.2.2, 3.2.2.7 to 3.2.2.9: also timestamps, information and address masks are left unanswered.
        this.#context.trace.count(Event.ICMP_TYPE_UNKNOWN);
    }
  }

  /** An ICMPv6 message with the headers that it came behind. */
  receiveIpv6(rx: RxPacket, header: Ipv6Header, extensions: Ipv6Extensions): void {
    const message = this.#ipv6;
    if (decodeIcmpv6(rx.bytes, rx.at, rx.length, rx.srcAt, rx.dstAt, message) !== WIRE_OK) {
      this.#context.trace.count(Event.ICMP_BAD);
      return;
    }
    const { type } = message;
    if (message.isError) this.#errorIpv6(rx, message);
    else if (type === Icmpv6Type.ECHO_REQUEST) this.#echoIpv6(rx, message);
    else if (type === Icmpv6Type.ECHO_REPLY) this.#replied(rx, message);
    else if (isNdType(type)) this.#users.nd.receive(rx, header, extensions.hasFragmentHeader);
    else if (type === Icmpv6Type.MLD_QUERY) this.#users.groups.query(rx, extensions.hasRouterAlert);
    else this.#context.trace.count(Event.ICMP_TYPE_UNKNOWN);
  }

  #errorIpv4(rx: RxPacket, message: IcmpMessage): void {
    const { errors, redirects, addresses } = this.#users;
    const { quote, code, type } = message;
    const { iface, bytes } = rx;
    // An error goes to the one host that sent the packet it quotes.
    const isAcceptable = quote.family === 4 && !rx.toBroadcast && !rx.toMulticast;
    if (!isAcceptable) {
      this.#context.trace.count(Event.ICMP_QUOTE_BAD);
      return;
    }
    if (type === IcmpType.DESTINATION_UNREACHABLE) errors.unreachableIpv4(iface, bytes, quote, code, message.mtu);
    else if (type === IcmpType.PARAMETER_PROBLEM) errors.parameterProblem(iface, bytes, quote, type, code);
    else if (type === IcmpType.TIME_EXCEEDED) {
      errors.report(iface, bytes, quote, IcmpErrorKind.TIME_EXCEEDED, type, code, 'EHOSTUNREACH', false);
    } else if (code <= 3 && addresses.find(bytes, quote.srcAt, 4)?.isUsable === true) {
      redirects.redirectedIpv4(rx, message.gatewayAt, quote.dstAt);
    } else this.#context.trace.count(Event.REDIRECT_REFUSED);
  }

  #errorIpv6(rx: RxPacket, message: Icmpv6Message): void {
    const { errors } = this.#users;
    const { quote, code, type } = message;
    const { iface, bytes } = rx;
    if (quote.family !== 6) {
      this.#context.trace.count(Event.ICMP_QUOTE_BAD);
      return;
    }
    switch (type) {
      case Icmpv6Type.DESTINATION_UNREACHABLE:
        errors.unreachableIpv6(iface, bytes, quote, code);
        return;
      case Icmpv6Type.PACKET_TOO_BIG:
        errors.tooBigIpv6(iface, bytes, quote, code, message.mtu);
        return;
      case Icmpv6Type.TIME_EXCEEDED:
        errors.report(iface, bytes, quote, IcmpErrorKind.TIME_EXCEEDED, type, code, 'EHOSTUNREACH', false);
        return;
      case Icmpv6Type.PARAMETER_PROBLEM:
        errors.parameterProblem(iface, bytes, quote, type, code);
        return;
      default:
        errors.report(iface, bytes, quote, IcmpErrorKind.UNKNOWN, type, code, 'EHOSTUNREACH', false);
    }
  }

  #replied(rx: RxPacket, message: IcmpMessage | Icmpv6Message): void {
    this.#users.pings.replied(message.identifier, message.sequence, rx.bytes, message.dataAt, message.dataLength);
  }

  /** RFC 1122 3.2.2.6: the same data, from the address that was asked, with the TOS of the request. */
  #echoIpv4(rx: RxPacket): void {
    if ((rx.toBroadcast || rx.toMulticast) && !this.#context.options.answersBroadcastEcho) {
      this.#context.trace.count(Event.ICMP_ECHO_IGNORED);
      return;
    }
    const path = this.#users.pathBack(rx);
    const out = path === null ? null : this.#users.sender.begin(path, rx.length);
    if (out === null) return;
    copyBytes(rx.bytes, rx.at, rx.length, out.bytes, out.at);
    turnIcmpEchoIntoReply(out.bytes, out.at, rx.length);
    this.#context.trace.count(Event.ICMP_ECHO_ANSWERED);
    this.#users.sender.send(out, rx.length, IpProtocol.ICMP, 0, rx.tos & 0xfc, 0, false, 0);
  }

  /** RFC 4443 4.2: also to groups, from a unicast address. */
  #echoIpv6(rx: RxPacket, message: Icmpv6Message): void {
    const path = this.#users.pathBack(rx);
    const out = path === null ? null : this.#users.sender.begin(path, rx.length);
    if (path === null || out === null) return;
    copyBytes(rx.bytes, rx.at, rx.length, out.bytes, out.at);
    const srcAt = LINK_HEADROOM + 8;
    copyBytes(path.local.bytes, 0, 16, out.bytes, srcAt);
    copyBytes(path.remote.bytes, 0, 16, out.bytes, srcAt + 16);
    const { identifier, sequence } = message;
    const dataLength = rx.length - ICMPV6_HEADER_LENGTH;
    const type = Icmpv6Type.ECHO_REPLY;
    encodeIcmpv6Echo(out.bytes, out.at, type, identifier, sequence, dataLength, srcAt, srcAt + 16);
    this.#context.trace.count(Event.ICMP_ECHO_ANSWERED);
    this.#users.sender.send(out, rx.length, IpProtocol.ICMPV6, 0, rx.tos & 0xfc, 0, false, 0);
  }
}
