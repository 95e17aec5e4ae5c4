/**
 * UDP of a host stack: ports, datagrams out and in, errors. RFC 768, RFC 1122 section 4.1, RFC 8200 section 8.1, RFC 6056.
 *
 * Promises: a datagram is copied once, into its packet; a port keeps no queue. A datagram for nobody is answered by IP with port
 * unreachable (1122-U1); the checksum is always made, and one that is missing is accepted over IPv4 only.
 */

import { read16, write16 } from '../../base/bytes.ts';
import { copyBytes } from '../../base/copy-bytes.ts';
import type { Runtime } from '../../base/runtime.ts';
import { Event } from '../../trace/events.ts';
import type { Trace } from '../../trace/trace.ts';
import { addressLength, IpAddress, parseIp } from '../../wire/ip-address.ts';
import { IpProtocol } from '../../wire/protocol.ts';
import { WIRE_OK } from '../../wire/status.ts';
import { decodeUdp, encodeUdp, isUdpChecksumGood, UDP_HEADER_LENGTH, UdpDatagram } from '../../wire/udp.ts';
import {
  type Endpoint,
  TransportError,
  type TransportErrorCode,
  type UdpBindOptions,
  type UdpHandler,
  type UdpPort,
} from '../api.ts';
import type { IpLayer } from '../path/ip-layer.ts';
import type { IcmpError, PathEntry, RxPacket, UpperProtocol } from '../path/types.ts';
import { type BindAddress, endpointText, parseBindAddress } from './addresses.ts';
import { BindTable, type Bound, Sharing } from './bind-table.ts';
import { partialPathChecksum, pathPseudoSum } from './path-checksum.ts';
import { EphemeralPorts } from './ports.ts';

/** Largest payload of one datagram: the IPv4 total length and the IPv6 payload length are 16 bits. */
const PAYLOAD_MAX_IP4: number = 65_535 - 20 - UDP_HEADER_LENGTH;
const PAYLOAD_MAX_IP6: number = 65_535 - UDP_HEADER_LENGTH;

/** Datagrams that one packet stands for at most, as Linux has it (UDP_MAX_SEGMENTS). */
const SEGMENTS_MAX = 64;

/** Ports bound at most. */
const PORTS_MAX = 32_768;

/** A bound port. */
class HostUdpPort implements UdpPort, Bound {
  readonly bind: BindAddress;
  readonly port: number;
  readonly handler: UdpHandler;
  readonly sharing: Sharing;
  readonly #udp: UdpTransport;
  isClosed = false;
  /** TTL or hop limit; 0: the default. */
  hopLimit = 0;
  /** Where the last datagram went, and by which path: most ports talk to one peer. */
  #lastTo = '';
  #lastPath: PathEntry | null = null;
  /** Whence the last datagram came. */
  #lastFrom: Endpoint | null = null;
  readonly #lastFromBytes: Uint8Array = new Uint8Array(16);
  #lastFromFamily = 0;

  constructor(udp: UdpTransport, bind: BindAddress, port: number, handler: UdpHandler, sharing: Sharing) {
    this.#udp = udp;
    this.sharing = sharing;
    this.bind = bind;
    this.port = port;
    this.handler = handler;
  }

  get local(): Endpoint {
    return endpointText(this.bind.address, this.port, false);
  }

  send(bytes: Uint8Array, to: Endpoint, segmentBytes = 0): TransportErrorCode | null {
    if (this.isClosed) return 'EPIPE';
    if (!(to.port > 0 && to.port <= 65_535) || !(segmentBytes >= 0)) return 'EINVAL';
    const path = this.#pathTo(to.address);
    if (typeof path === 'string') return path;
    const { length } = bytes;
    if (segmentBytes > 0 && length > segmentBytes) return this.#udp.sendMany(path, this, to.port, bytes, segmentBytes);
    return this.#udp.send(path, this, to.port, bytes, 0, length);
  }

  localTo(remote: Endpoint): string | TransportErrorCode {
    const path = this.#pathTo(remote.address);
    return typeof path === 'string' ? path : endpointText(path.local, this.port, this.isDual).address;
  }

  setHopLimit(hops: number): void {
    this.hopLimit = hops;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#lastPath?.release();
    this.#lastPath = null;
    this.#udp.portClosed(this);
  }

  /** The sender of a packet as an endpoint; the same object while the same sender goes on. */
  senderOf(rx: RxPacket, port: number): Endpoint {
    const length = addressLength(rx.family);
    let last = this.#lastFrom;
    let isSame = last !== null && last.port === port && this.#lastFromFamily === rx.family;
    for (let i = 0; isSame && i < length; i++) isSame = rx.bytes[rx.srcAt + i] === this.#lastFromBytes[i];
    if (last === null || !isSame) {
      copyBytes(rx.bytes, rx.srcAt, length, this.#lastFromBytes, 0);
      this.#lastFromFamily = rx.family;
      last = endpointText(IpAddress.fromBytes(rx.bytes, rx.srcAt, rx.family), port, this.isDual);
      this.#lastFrom = last;
    }
    return last;
  }

  /** Takes both families: IPv4 addresses are shown mapped. */
  get isDual(): boolean {
    return this.bind.family === 0;
  }

  #pathTo(text: string): PathEntry | TransportErrorCode {
    const last = this.#lastPath;
    if (last?.isUp && text === this.#lastTo) return last;
    const remote = parseIp(text)?.unmapped() ?? null;
    if (remote === null) return 'EINVAL';
    if (remote.isUnspecified) return 'EADDRNOTAVAIL';
    if (this.bind.family !== 0 && this.bind.family !== remote.family) return 'EADDRNOTAVAIL';
    const path = this.#udp.ip.routeTo(remote, this.bind.isWildcard ? null : this.bind.address);
    if (typeof path === 'string') return path;
    path.retain();
    last?.release();
    this.#lastPath = path;
    this.#lastTo = text;
    return path;
  }
}

/** UDP above an IP layer. */
export class UdpTransport implements UpperProtocol {
  readonly ip: IpLayer;
  readonly #trace: Trace;
  readonly #bound: BindTable<HostUdpPort>;
  readonly #ephemeral: EphemeralPorts;
  readonly #datagram: UdpDatagram = new UdpDatagram();
  #isClosed = false;

  constructor(runtime: Runtime, trace: Trace, ip: IpLayer) {
    this.ip = ip;
    this.#trace = trace;
    this.#bound = new BindTable<HostUdpPort>(runtime.random);
    this.#ephemeral = new EphemeralPorts(runtime.random);
  }

  /** Ports that are bound. */
  get portCount(): number {
    return this.#bound.size;
  }

  bind(local: Endpoint, handler: UdpHandler, options: UdpBindOptions = {}): UdpPort {
    if (this.#isClosed) throw new TransportError('ENETDOWN', 'bind: the stack is closed');
    const bind = parseBindAddress(local, options.ipv6Only ?? false, 'bind');
    if (!bind.isWildcard && !this.ip.isOurs(bind.address)) {
      throw new TransportError('EADDRNOTAVAIL', `bind: ${local.address} is not an address of this host`);
    }
    if (this.#bound.size >= PORTS_MAX) throw new TransportError('ENOBUFS', 'bind: too many ports are bound');
    const port = local.port !== 0 ? local.port : this.#ephemeral.any((candidate) => this.#bound.hasPort(candidate));
    const sharing = sharingOf(options);
    if (port < 0 || this.#bound.conflicts(bind, port, sharing)) {
      throw new TransportError('EADDRINUSE', `bind: port ${local.port} of ${local.address} is in use`);
    }
    const bound = new HostUdpPort(this, bind, port, handler, sharing);
    this.#bound.add(bound);
    return bound;
  }

  close(): void {
    this.#isClosed = true;
    for (const bound of this.#bound.all()) bound.close();
  }

  portClosed(port: HostUdpPort): void {
    this.#bound.remove(port);
  }

  /** One datagram: `size` bytes of the payload from `from`. */
  send(
    path: PathEntry,
    port: HostUdpPort,
    to: number,
    payload: Uint8Array,
    from: number,
    size: number,
  ): TransportErrorCode | null {
    if (size > (path.family === 4 ? PAYLOAD_MAX_IP4 : PAYLOAD_MAX_IP6)) return 'EMSGSIZE';
    const length = UDP_HEADER_LENGTH + size;
    const out = this.ip.beginPacket(path, length);
    if (out === null) return 'ENOBUFS';
    const { bytes, at } = out;
    copyBytes(payload, from, size, bytes, at + UDP_HEADER_LENGTH);
    encodeUdp(bytes, at, port.port, to, size, pathPseudoSum(path, IpProtocol.UDP, length));
    return this.ip.sendPacket(out, length, IpProtocol.UDP, port.hopLimit, 0, 0, false) ? null : 'EHOSTUNREACH';
  }

  /**
   * Datagrams of `segmentBytes` each, the last one of what is left: as few packets as the device cuts, where it does and each fits into
   * the path; else one by one.
   */
  sendMany(
    path: PathEntry,
    port: HostUdpPort,
    to: number,
    payload: Uint8Array,
    segmentBytes: number,
  ): TransportErrorCode | null {
    const headers = (path.family === 4 ? 20 : 40) + UDP_HEADER_LENGTH;
    const isCut = path.iface.largeDatagrams && headers + segmentBytes <= path.mtu;
    const fitting = Math.floor((Math.min(path.iface.largeSendBytes, 65_535) - headers) / segmentBytes);
    const most = isCut ? segmentBytes * Math.max(1, Math.min(fitting, SEGMENTS_MAX)) : segmentBytes;
    for (let from = 0; from < payload.length; from += most) {
      const size = Math.min(most, payload.length - from);
      const error =
        size > segmentBytes
          ? this.#sendLarge(path, port, to, payload, from, size, segmentBytes)
          : this.send(path, port, to, payload, from, size);
      if (error !== null) return error;
    }
    return null;
  }

  /** One packet for several datagrams. */
  #sendLarge(
    path: PathEntry,
    port: HostUdpPort,
    to: number,
    payload: Uint8Array,
    from: number,
    size: number,
    segmentBytes: number,
  ): TransportErrorCode | null {
    const length = UDP_HEADER_LENGTH + size;
    const out = this.ip.beginLargePacket(path);
    if (out === null) return 'ENOBUFS';
    const { bytes, at } = out;
    write16(bytes, at, port.port);
    write16(bytes, at + 2, to);
    write16(bytes, at + 4, length);
    write16(bytes, at + 6, partialPathChecksum(path, IpProtocol.UDP, length));
    copyBytes(payload, from, size, bytes, at + UDP_HEADER_LENGTH);
    const isSent = this.ip.sendPacket(out, length, IpProtocol.UDP, port.hopLimit, 0, 0, false, segmentBytes);
    return isSent ? null : 'EHOSTUNREACH';
  }

  receive(rx: RxPacket): boolean {
    const datagram = this.#datagram;
    if (decodeUdp(rx.bytes, rx.at, rx.length, datagram) !== WIRE_OK) {
      this.#trace.count(Event.UDP_HEADER_BAD);
      return true;
    }
    if (rx.segmentBytes === 0 && !isUdpChecksumGood(rx.bytes, rx.at, datagram.length, rx.family, rx.srcAt, rx.dstAt)) {
      this.#trace.count(Event.UDP_CHECKSUM_BAD);
      return true;
    }
    // To a group or broadcast address a port that takes any address listens.
    const { srcPort, dstPort } = datagram;
    const bound = this.#bound.find(rx.family, rx.bytes, rx.dstAt, dstPort, rx.srcAt, srcPort);
    if (bound === null) {
      this.#trace.count(Event.UDP_NO_PORT);
      return false;
    }
    const from = bound.senderOf(rx, srcPort);
    // Datagrams that the device has joined (USO) are datagrams all the same.
    const each = rx.segmentBytes === 0 ? datagram.payloadLength : rx.segmentBytes;
    let at = datagram.payloadAt;
    const end = at + datagram.payloadLength;
    do {
      const length = Math.min(each, end - at);
      bound.handler.message(rx.bytes, at, length, from);
      at += length;
    } while (at < end && !bound.isClosed);
    return true;
  }

  receiveDone(): void {}

  icmpError(error: IcmpError): boolean {
    const { bytes, quotedAt } = error;
    if (error.quotedLength < UDP_HEADER_LENGTH) return false;
    const [own, theirs] = [read16(bytes, quotedAt), read16(bytes, quotedAt + 2)];
    const bound = this.#bound.find(error.family, bytes, error.localAt, own, error.remoteAt, theirs);
    if (bound === null) {
      this.#trace.count(Event.UDP_ICMP_IGNORED);
      return false;
    }
    const remote = IpAddress.fromBytes(bytes, error.remoteAt, error.family);
    bound.handler.error(error.error, endpointText(remote, theirs, bound.isDual));
    return true;
  }

  pathMtuChanged(_path: PathEntry): void {}

  addressLost(_address: IpAddress): void {}
}

function sharingOf(options: UdpBindOptions): Sharing {
  if (options.reusePort === true) return Sharing.SPREAD;
  return options.reuseAddress === true ? Sharing.LAST : Sharing.NONE;
}
