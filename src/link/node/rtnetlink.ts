/**
 * Setting up a network interface of this machine: addresses, routes, MTU, up. rtnetlink(7) messages, one request at a time.
 *
 * Promises: each call either took effect or throws a {@link DeviceError} with the kernel's reason. Works in the network
 * namespace of the process. Byte order is the machine's, which is little-endian wherever Node runs on Linux.
 */

import { DeviceError, errnoName, libc } from './libc.ts';

const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const NLMSG_ERROR = 2;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_F_NODAD = 2;
const IFF_UP = 1;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const HEADER_BYTES = 16;

/** Builds one netlink message. */
class Message {
  readonly #bytes: Uint8Array = new Uint8Array(512);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  #length = HEADER_BYTES;

  constructor(type: number, flags: number) {
    this.#view.setUint16(4, type, true);
    this.#view.setUint16(6, flags | NLM_F_REQUEST | NLM_F_ACK, true);
    this.#view.setUint32(8, 1, true);
  }

  u8(...values: number[]): this {
    for (const value of values) this.#bytes[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#length, value >>> 0, true);
    this.#length += 4;
    return this;
  }

  attribute(type: number, value: Uint8Array | number): this {
    const bytes = typeof value === 'number' ? 4 : value.length;
    this.u16(4 + bytes).u16(type);
    if (typeof value === 'number') this.u32(value);
    else {
      this.#bytes.set(value, this.#length);
      this.#length += bytes;
    }
    this.#length = (this.#length + 3) & ~3;
    return this;
  }

  finish(): Uint8Array {
    this.#view.setUint32(0, this.#length, true);
    return this.#bytes;
  }

  get length(): number {
    return this.#length;
  }
}

function request(message: Message, what: string): void {
  const c = libc();
  const fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new DeviceError(errnoName(c.errno()), 'socket', `rtnetlink for: ${what}`);
  try {
    const bytes = message.finish();
    if (c.send(fd, c.addressOf(bytes), message.length, 0) < 0) {
      throw new DeviceError(errnoName(c.errno()), 'send', `rtnetlink: ${what}`);
    }
    const answer = new Uint8Array(4096);
    const n = c.recv(fd, c.addressOf(answer), answer.length, 0);
    if (n < HEADER_BYTES + 4) throw new DeviceError(errnoName(c.errno()), 'recv', `rtnetlink: ${what}`);
    const view = new DataView(answer.buffer);
    const error = view.getUint16(4, true) === NLMSG_ERROR ? -view.getInt32(HEADER_BYTES, true) : 22;
    if (error !== 0) throw new DeviceError(errnoName(error), 'rtnetlink', what);
  } finally {
    c.close(fd);
  }
}

/** For messages. */
function textOf(address: Uint8Array): string {
  if (address.length === 4) return address.join('.');
  return Array.from({ length: 8 }, (_, i) => ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16)).join(':');
}

function familyOf(address: Uint8Array): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}

/** Brings an interface up or down (null: as it is), with its MTU and transmit queue length. */
export function setLink(index: number, isUp: boolean | null, mtu?: number, txQueueLength?: number): void {
  const message = new Message(RTM_NEWLINK, 0);
  message
    .u8(AF_UNSPEC, 0)
    .u16(0)
    .u32(index)
    .u32(isUp === true ? IFF_UP : 0)
    .u32(isUp === null ? 0 : IFF_UP);
  if (mtu !== undefined) message.attribute(IFLA_MTU, mtu);
  if (txQueueLength !== undefined) message.attribute(IFLA_TXQLEN, txQueueLength);
  request(message, `set link ${index}${isUp === null ? '' : isUp ? ' up' : ' down'}`);
}

/** Removes an interface. */
export function deleteLink(index: number): void {
  request(new Message(RTM_DELLINK, 0).u8(AF_UNSPEC, 0).u16(0).u32(index).u32(0).u32(0), `delete link ${index}`);
}

/**
 * Gives an interface an address: 4 or 16 bytes; one that it has already is left as it is. IPv6 addresses are usable at once (no duplicate
 * detection).
 */
export function addAddress(index: number, address: Uint8Array, prefixLength: number): void {
  const message = new Message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  message.u8(familyOf(address), prefixLength, address.length === 16 ? IFA_F_NODAD : 0, RT_SCOPE_UNIVERSE).u32(index);
  message.attribute(IFA_LOCAL, address).attribute(IFA_ADDRESS, address);
  try {
    request(message, `add address ${textOf(address)}/${prefixLength} to link ${index}`);
  } catch (error) {
    // A device that outlives who opened it keeps its addresses.
    if (!(error instanceof DeviceError) || error.code !== 'EEXIST') throw error;
  }
}

/** Adds a route; without `gateway` the prefix is on the link. */
export function addRoute(index: number, prefix: Uint8Array, prefixLength: number, gateway?: Uint8Array): void {
  const scope = gateway === undefined && prefix.length === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const message = new Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  message.u8(familyOf(prefix), prefixLength, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST).u32(0);
  message.attribute(RTA_DST, prefix).attribute(RTA_OIF, index);
  if (gateway !== undefined) message.attribute(RTA_GATEWAY, gateway);
  request(message, `add route to ${textOf(prefix)}/${prefixLength} over link ${index}`);
}
