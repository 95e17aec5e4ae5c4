/**
 * Whether a network interface is up (and has a carrier) and what its MTU is, as the kernel tells it: rtnetlink(7) notifications.
 *
 * Promises: never blocks; how things stand is told first, and again after notifications were lost; an interface that was moved to another namespace while its descriptor still works is not called gone.
 */

import { DeviceError, errnoName, libc } from './libc.ts';

const AF_UNSPEC = 0;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const RTMGRP_LINK = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const NLM_F_REQUEST = 1;
const IFLA_MTU = 4;
const IFF_UP = 1;
/** There is a carrier. */
const IFF_LOWER_UP = 0x10000;
const NLMSG_HEADER = 16;
const IFINFOMSG = 16;
const RTATTR_HEADER = 4;
const ENOBUFS = 105;

/** What {@link LinkMonitor.read} found out. */
export const LinkChange = { NONE: 0, UP: 1, DOWN: 2, REMOVED: 3 } as const;
export type LinkChange = (typeof LinkChange)[keyof typeof LinkChange];

/** Notifications about one interface. */
export class LinkMonitor {
  readonly fd: number;
  readonly #index: number;
  readonly #buffer: Uint8Array = new Uint8Array(16_384);
  readonly #view: DataView = new DataView(this.#buffer.buffer);

  /** Flags of an interface that is up. */
  readonly #flags: number;
  /** Notifications were lost: how things stand is to be asked once those that were not are read (before, there is no room for the answer). */
  #hasLost = false;
  /** MTU as it was last told, bytes; 0: not yet. */
  mtu = 0;

  /** `index`: of the interface. `needsCarrier`: whether it is down without one, too. Throws {@link DeviceError}. */
  constructor(index: number, needsCarrier = false) {
    const c = libc();
    this.#index = index;
    this.#flags = needsCarrier ? IFF_UP | IFF_LOWER_UP : IFF_UP;
    this.fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (this.fd < 0) throw new DeviceError(errnoName(c.errno()), 'socket', 'rtnetlink notifications');
    const address = new Uint8Array(128); // struct sockaddr_nl
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(8, RTMGRP_LINK, true);
    if (c.bind(this.fd, c.addressOf(address), 12) >= 0) {
      this.#ask();
      return;
    }
    const code = errnoName(c.errno());
    c.close(this.fd);
    throw new DeviceError(code, 'bind', 'rtnetlink notifications');
  }

  /** Has the kernel tell how things stand; the answer is like a notification. */
  #ask(): void {
    const c = libc();
    const request = new Uint8Array(128);
    const view = new DataView(request.buffer);
    view.setUint32(0, NLMSG_HEADER + IFINFOMSG, true);
    view.setUint16(4, RTM_GETLINK, true);
    view.setUint16(6, NLM_F_REQUEST, true);
    view.setInt32(NLMSG_HEADER + 4, this.#index, true);
    c.send(this.fd, c.addressOf(request), NLMSG_HEADER + IFINFOMSG, 0);
  }

  /** Where notifications are read into by whoever waits for them; {@link took} is told how many bytes. */
  get buffer(): Uint8Array {
    return this.#buffer;
  }

  /** Takes in what has been notified; answers the last change of the interface. */
  read(): LinkChange {
    return this.took(this.#receive());
  }

  /** Takes in `n` bytes of the buffer and whatever else has been notified; answers the last change of the interface. */
  took(n: number): LinkChange {
    let change: LinkChange = LinkChange.NONE;
    for (let length = n; length >= NLMSG_HEADER; length = this.#receive()) change = this.#parse(length, change);
    if (this.#hasLost) {
      this.#hasLost = false;
      this.#ask();
    }
    return change;
  }

  /** Somebody else's read has failed: notifications were lost. */
  lost(): void {
    this.#hasLost = true;
  }

  #receive(): number {
    const c = libc();
    const n = c.recv(this.fd, c.addressOf(this.#buffer), this.#buffer.length, 0);
    if (n >= 0 || c.errno() !== ENOBUFS) return n;
    // Said once; what was not lost is still there.
    this.#hasLost = true;
    return c.recv(this.fd, c.addressOf(this.#buffer), this.#buffer.length, 0);
  }

  #parse(n: number, before: LinkChange): LinkChange {
    let change = before;
    for (let at = 0; at + NLMSG_HEADER + IFINFOMSG <= n; ) {
      const length = this.#view.getUint32(at, true);
      if (length < NLMSG_HEADER) break;
      const type = this.#view.getUint16(at + 4, true);
      // struct ifinfomsg: family, pad, type, index at 4, flags at 8. Of another family: it joined or left a bridge, say.
      const isOurs = this.#view.getInt32(at + NLMSG_HEADER + 4, true) === this.#index;
      if (isOurs && this.#view.getUint8(at + NLMSG_HEADER) === AF_UNSPEC) {
        const isUp = (this.#view.getUint32(at + NLMSG_HEADER + 8, true) & this.#flags) === this.#flags;
        if (type === RTM_DELLINK) change = LinkChange.REMOVED;
        else if (type === RTM_NEWLINK) {
          change = isUp ? LinkChange.UP : LinkChange.DOWN;
          this.#readMtu(at + NLMSG_HEADER + IFINFOMSG, Math.min(n, at + length));
        }
      }
      at += (length + 3) & ~3;
    }
    return change;
  }

  #readMtu(from: number, end: number): void {
    for (let at = from; at + RTATTR_HEADER <= end; ) {
      const length = this.#view.getUint16(at, true);
      if (length < RTATTR_HEADER) return;
      if (this.#view.getUint16(at + 2, true) === IFLA_MTU && length >= RTATTR_HEADER + 4 && at + length <= end) {
        this.mtu = this.#view.getUint32(at + RTATTR_HEADER, true);
        return;
      }
      at += (length + 3) & ~3;
    }
  }

  close(): void {
    libc().close(this.fd);
  }
}
