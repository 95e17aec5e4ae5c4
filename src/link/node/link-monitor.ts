/**
 * Whether a network interface is up (and has a carrier), as the kernel tells it: rtnetlink(7) notifications.
 *
 * Promises: never blocks; an interface that was moved to another namespace while its descriptor still works is not called gone.
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
const IFF_UP = 1;
/** There is a carrier. */
const IFF_LOWER_UP = 0x10000;
const NLMSG_HEADER = 16;

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
    if (c.bind(this.fd, c.addressOf(address), 12) >= 0) return;
    const code = errnoName(c.errno());
    c.close(this.fd);
    throw new DeviceError(code, 'bind', 'rtnetlink notifications');
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
    // ENOBUFS says that notifications were lost: the next one tells how things stand.
    for (let length = n; length >= NLMSG_HEADER; length = this.#receive()) change = this.#parse(length, change);
    return change;
  }

  #receive(): number {
    const c = libc();
    return c.recv(this.fd, c.addressOf(this.#buffer), this.#buffer.length, 0);
  }

  #parse(n: number, before: LinkChange): LinkChange {
    let change = before;
    for (let at = 0; at + NLMSG_HEADER + 16 <= n; ) {
      const length = this.#view.getUint32(at, true);
      if (length < NLMSG_HEADER) break;
      const type = this.#view.getUint16(at + 4, true);
      // struct ifinfomsg: family, pad, type, index at 4, flags at 8. Of another family: it joined or left a bridge, say.
      const isOurs = this.#view.getInt32(at + NLMSG_HEADER + 4, true) === this.#index;
      if (isOurs && this.#view.getUint8(at + NLMSG_HEADER) === AF_UNSPEC) {
        const isUp = (this.#view.getUint32(at + NLMSG_HEADER + 8, true) & this.#flags) === this.#flags;
        if (type === RTM_DELLINK) change = LinkChange.REMOVED;
        else if (type === RTM_NEWLINK) change = isUp ? LinkChange.UP : LinkChange.DOWN;
      }
      at += (length + 3) & ~3;
    }
    return change;
  }

  close(): void {
    libc().close(this.fd);
  }
}
