/**
 * A TUN or TAP device of Linux as a link: the kernel's own TCP/IP is at the other end of the wire.
 *
 * Promises: reads and writes never block the event loop (a poll of the thread pool says when there is something to read); a
 * device that vanishes is a link that went down, not a crash; closing removes a device that was made here.
 * Source: Linux Documentation/networking/tuntap.rst.
 */

import type { Link, LinkReceiver, Medium } from '../link.ts';
import { DeviceError, errnoName, type Libc, libc } from './libc.ts';
import { addAddress, addRoute, setLink } from './rtnetlink.ts';

export interface TunOptions {
  /** 'tun' carries IP packets (the default), 'tap' Ethernet frames. */
  readonly kind?: 'tun' | 'tap';
  /** Name of the device, at most 15 characters; absent: the kernel chooses one. */
  readonly name?: string;
  /** Bytes of IP packet; 576 to 65535. Default 1500. */
  readonly mtu?: number;
  /** Addresses of the kernel's end: '10.1.0.1/24'. Empty or absent: somebody else sets the device up, and brings it up. */
  readonly addresses?: readonly { readonly address: Uint8Array; readonly prefixLength: number }[];
  /** Prefixes the kernel shall reach over the device. */
  readonly routes?: readonly { readonly prefix: Uint8Array; readonly prefixLength: number }[];
  /** Packets the kernel queues for us. Default 5000. */
  readonly txQueueLength?: number;
}

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 1;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;
const IFREQ_BYTES = 40;
const POLLIN = 1;
const POLLERR = 8;
const EAGAIN = 11;
const EINTR = 4;
const EIO = 5;
const ETHERNET_HEADER_MAX = 18;
/** Frames read in one go before the event loop gets its turn. */
const BATCH_FRAMES = 64;
/** How long one poll lasts at most: bounds how long the end of the process can be held up, milliseconds. */
const POLL_MS = 100;

/** A TUN or TAP device. Needs CAP_NET_ADMIN, or a device that was made for this user. */
export class TunLink implements Link {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly #libc: Libc;
  #fd: number;
  readonly #wakeFd: number;
  readonly #buffer: Uint8Array;
  readonly #bufferAddress: number;
  /** struct pollfd[2]: device, wake-up. */
  readonly #poll: Uint8Array = new Uint8Array(128);
  readonly #pollView: DataView = new DataView(this.#poll.buffer);
  readonly #pollAddress: number;
  #receiver: LinkReceiver | null = null;
  #isPolling = false;
  #isClosed = false;
  /** Frames the kernel did not take. */
  transmitErrors = 0;

  /** Opens (and, where addresses are given, sets up) a device. Throws {@link DeviceError}. */
  static open(options: TunOptions = {}): TunLink {
    return new TunLink(options);
  }

  private constructor(options: TunOptions) {
    const kind = options.kind ?? 'tun';
    this.mtu = options.mtu ?? 1500;
    if (!Number.isInteger(this.mtu) || this.mtu < 576 || this.mtu > 65535) {
      throw new RangeError(`mtu: expected 576 to 65535, got ${this.mtu}`);
    }
    if (options.name !== undefined && !/^[^\s/]{1,15}$/.test(options.name)) {
      throw new RangeError(`name: expected 1 to 15 characters without space or slash, got '${options.name}'`);
    }
    this.medium = kind === 'tun' ? 'ip' : 'ethernet';
    this.#libc = libc();
    this.#fd = this.#openDevice();
    try {
      this.name = this.#attach(kind, options.name ?? '');
      this.#setUp(options);
    } catch (error) {
      this.#libc.close(this.#fd);
      throw error;
    }
    this.#wakeFd = this.#libc.eventfd(0, O_NONBLOCK | O_CLOEXEC);
    this.#buffer = new Uint8Array(65536 + ETHERNET_HEADER_MAX);
    this.#bufferAddress = this.#libc.addressOf(this.#buffer);
    this.#pollAddress = this.#libc.addressOf(this.#poll);
  }

  #openDevice(): number {
    const fd = this.#libc.open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) return fd;
    const code = errnoName(this.#libc.errno());
    throw new DeviceError(
      code,
      'open',
      `/dev/net/tun: ${code === 'ENOENT' ? 'this system has no TUN driver' : 'not allowed'}`,
    );
  }

  #attach(kind: 'tun' | 'tap', name: string): string {
    const request = new Uint8Array(128); // struct ifreq is 40 bytes; larger so that V8 does not move it
    for (let i = 0; i < name.length; i++) request[i] = name.charCodeAt(i);
    new DataView(request.buffer).setUint16(16, (kind === 'tun' ? IFF_TUN : IFF_TAP) | IFF_NO_PI, true);
    if (this.#libc.ioctl(this.#fd, TUNSETIFF, this.#libc.addressOf(request)) < 0) {
      const code = errnoName(this.#libc.errno());
      const why = code === 'EPERM' ? 'making a device needs CAP_NET_ADMIN (root)' : 'the device cannot be had';
      throw new DeviceError(code, 'ioctl', `TUNSETIFF ${name}: ${why}`);
    }
    let out = '';
    for (let i = 0; i < IFREQ_BYTES && i < 16 && request[i] !== 0; i++) out += String.fromCharCode(request[i]!);
    return out;
  }

  #setUp(options: TunOptions): void {
    const addresses = options.addresses ?? [];
    const routes = options.routes ?? [];
    if (addresses.length === 0 && routes.length === 0) return;
    const index = this.#libc.nameToIndex(this.name);
    setLink(index, true, this.mtu, options.txQueueLength ?? 5000);
    for (const { address, prefixLength } of addresses) addAddress(index, address, prefixLength);
    for (const { prefix, prefixLength } of routes) addRoute(index, prefix, prefixLength);
  }

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#pollView.setInt32(0, this.#fd, true);
    this.#pollView.setInt16(4, POLLIN, true);
    this.#pollView.setInt32(8, this.#wakeFd, true);
    this.#pollView.setInt16(12, POLLIN, true);
    this.#wait();
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.#isClosed) return true;
    const n = this.#libc.write(this.#fd, this.#libc.addressOf(bytes) + at, length);
    if (n < 0) this.transmitErrors++;
    return true;
  }

  /** Closes the device, which removes it. Resolves when the last poll has come back. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receiver = null;
    const one = new Uint8Array(128);
    one[0] = 1;
    this.#libc.write(this.#wakeFd, this.#libc.addressOf(one), 8);
    while (this.#isPolling) await new Promise((resolve) => setImmediate(resolve));
    this.#libc.close(this.#fd);
    this.#libc.close(this.#wakeFd);
    this.#fd = -1;
  }

  #wait(): void {
    if (this.#isClosed || this.#isPolling) return;
    this.#isPolling = true;
    this.#libc.pollAsync(this.#pollAddress, 2, POLL_MS, () => {
      this.#isPolling = false;
      this.#drain();
    });
  }

  /** Reads what is there, a batch at a time, then waits again. */
  #drain(): void {
    for (let frames = 0; frames < BATCH_FRAMES; frames++) {
      if (this.#isClosed) return;
      const n = this.#libc.read(this.#fd, this.#bufferAddress, this.#buffer.length);
      if (n > 0) {
        this.#receiver?.receive(this.#buffer, 0, n);
        continue;
      }
      // Read at once: what the receiver sends makes system calls of its own.
      const errno = this.#libc.errno();
      if (frames > 0) this.#receiver?.receiveDone();
      if (this.#isClosed) return;
      if (n < 0 && errno !== EAGAIN && errno !== EINTR && errno !== EIO) this.#vanished();
      else this.#wait();
      return;
    }
    this.#receiver?.receiveDone();
    setImmediate(() => this.#drain());
  }

  /** The device was removed under us. */
  #vanished(): void {
    const revents = this.#pollView.getInt16(6, true);
    this.#receiver?.linkState(false);
    this.#receiver = (revents & POLLERR) !== 0 ? null : this.#receiver;
  }
}
