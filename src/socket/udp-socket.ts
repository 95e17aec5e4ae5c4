/**
 * A UDP socket in node:dgram's shape: `dgram.Socket` over the stack.
 *
 * bind, connect, send in all of Node's overloads, 'listening', 'message', 'connect', 'error' and 'close' in its order. A send
 * before the socket is bound binds it and waits. What is left out stands in docs/node-net.md.
 */

import { type Endpoint, TransportError, type UdpBindOptions, type UdpHandler, type UdpPort } from '../host/api.ts';
import { type AddressInfo, addressInfo, isIP } from './addresses.ts';
import {
  type LookupCallback,
  type LookupFunction,
  noDescriptors,
  onAbort,
  validateFunction,
  validateNumber,
  validatePort,
  validateString,
} from './arguments.ts';
import { tell, udpSocket } from './diagnostics.ts';
import {
  badSocketType,
  callError,
  dgramAlreadyBound,
  dgramIsConnected,
  dgramNotConnected,
  dgramNotRunning,
  placeError,
} from './errors.ts';
import type { ClosedWithStack, NetContext } from './net-context.ts';
import { AsyncResource, reportUncaught } from './node.ts';
import { UdpGroups } from './udp-groups.ts';
import { joined, sliceOf } from './udp-message.ts';
import { BufferSizes } from './udp-sizes.ts';

export type UdpType = 'udp4' | 'udp6';

/** Options of a UDP socket: Node's, as far as they have a meaning here. */
export interface UdpSocketOptions {
  readonly type: UdpType;
  readonly lookup?: LookupFunction | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly recvBufferSize?: number | undefined;
  readonly sendBufferSize?: number | undefined;
  /** udp6 only: no datagrams over IPv4. */
  readonly ipv6Only?: boolean | undefined;
  /** Others with this option may bind the same port; the last one gets what comes. */
  readonly reuseAddr?: boolean | undefined;
}

/** What 'message' tells of the sender. */
export interface RemoteInfo extends AddressInfo {
  /** Bytes of the message. */
  size: number;
}

interface GivenEnd {
  readonly address: string | undefined;
  readonly port: number;
}

type SendCallback = (error: Error | null, bytes?: number) => void;
type Bytes = string | ArrayBufferView;
/** dgram.lookup is asked with the family alone. */
type FamilyLookup = (hostname: string, family: 4 | 6, callback: LookupCallback) => void;

const Bind = { NOT: 0, GOING_ON: 1, DONE: 2 } as const;
const Connect = { NOT: 0, GOING_ON: 1, DONE: 2 } as const;

/** Sends and connects that wait for the port; more are refused with ENOBUFS. */
const WAITING_MAX = 1024;

/** `dgram.Socket`. */
export class StackUdpSocket extends UdpGroups implements ClosedWithStack {
  readonly type: UdpType;
  readonly #net: NetContext;
  readonly #lookupName: FamilyLookup;
  readonly #scope = new AsyncResource('UDPWRAP');
  #port: UdpPort | null = null;
  /** See {@link setSegmentSize}. */
  #segmentBytes = 0;
  #bind: number = Bind.NOT;
  #connect: number = Connect.NOT;
  #peer: Endpoint | null = null;
  /** The own address to which being connected has bound it. */
  #ownAddress: string | null = null;
  #waiting: (() => void)[] | null = null;
  #isClosed = false;
  #isReferenced = true;
  #isHolding = false;
  readonly #sizes: BufferSizes;
  readonly #bindOptions: UdpBindOptions;

  constructor(options: UdpSocketOptions | UdpType, onMessage: AnyListener | undefined, net: NetContext) {
    super();
    const settings: UdpSocketOptions = typeof options === 'object' && options !== null ? options : { type: options };
    this.#sizes = new BufferSizes(settings);
    if (settings.lookup !== undefined) validateFunction(settings.lookup, 'lookup');
    if (settings.type !== 'udp4' && settings.type !== 'udp6') throw badSocketType();
    this.type = settings.type;
    this.#net = net;
    this.#lookupName = lookupOf(settings, net);
    this.#bindOptions = { ipv6Only: Boolean(settings.ipv6Only), reuseAddress: Boolean(settings.reuseAddr) };
    if (typeof onMessage === 'function') this.on('message', onMessage as (...args: unknown[]) => void);
    this.#heedSignal(settings.signal);
    tell(udpSocket, { socket: this });
  }

  /** A signal that is aborted already closes it at once. */
  #heedSignal(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const forget = onAbort(signal, () => {
      if (!this.#isClosed) this.close();
    });
    if (signal.aborted) this.close();
    else this.once('close', forget);
  }

  /** bind([port][, address][, callback]) or bind({port, address}[, callback]). */
  bind(...args: unknown[]): this {
    this._healthCheck();
    if (this.#bind !== Bind.NOT) throw dgramAlreadyBound();
    noDescriptors(args[0] instanceof Object ? args[0] : undefined);
    this.#bind = Bind.GOING_ON;
    const callback = args[args.length - 1];
    if (typeof callback === 'function') this.#onceListening(callback as () => void);
    const first = args[0];
    let port = first;
    let address = typeof args[1] === 'string' ? args[1] : '';
    if (typeof first === 'object' && first !== null) {
      port = (first as { port?: unknown }).port;
      address = (first as { address?: string }).address ?? '';
    } else if (typeof first === 'function') port = 0;
    this.#lookup(address || (this.type === 'udp4' ? '0.0.0.0' : '::'), (error, ip) => {
      if (this.#isClosed) return;
      if (error !== null) this.#bindFailed(error);
      else this.#bindTo(ip, Number(port) || 0);
    });
    return this;
  }

  /** connect(port[, address][, callback]). */
  connect(port: number, ...rest: unknown[]): void {
    const number = validatePort(port, 'Port', false);
    const callback = rest.find((value) => typeof value === 'function') as ((error?: Error) => void) | undefined;
    const address = typeof rest[0] === 'function' || rest[0] === undefined ? '' : validateString(rest[0], 'address');
    if (this.#connect !== Connect.NOT) throw dgramIsConnected();
    this.#connect = Connect.GOING_ON;
    if (this.#bind === Bind.NOT) this.bind({ port: 0 });
    this.#whenBound(() => {
      if (callback !== undefined) this.once('connect', callback);
      this.#lookup(address, (error, ip) => {
        if (this.#isClosed) return;
        if (error !== null) {
          this.#connect = Connect.NOT;
          process.nextTick(() => this.#tell(error, callback, 'connect'));
          return;
        }
        const failure = this.#connectTo({ address: ip, port: number }, address);
        if (failure === null) process.nextTick(() => this.emit('connect'));
        else process.nextTick(() => this.#tell(failure, callback, 'connect'));
      });
    });
  }

  /** Answers why not; `given` is the program's name for the address. */
  #connectTo(peer: Endpoint, given: string): Error | null {
    const own = this.#isOfFamily(peer.address) ? (this.#port?.localTo(peer) ?? 'EBADF') : 'EINVAL';
    this.#connect = Connect.NOT;
    if (isIP(own) === 0) return placeError(own, 'connect', given, peer.port);
    this.#ownAddress = own;
    this.#peer = peer;
    this.#connect = Connect.DONE;
    return null;
  }

  /** As the system calls, which take addresses of the socket's family only. */
  #isOfFamily(address: string): boolean {
    return isIP(address) === (this.type === 'udp4' ? 4 : 6);
  }

  disconnect(): void {
    if (this.#connect !== Connect.DONE) throw dgramNotConnected();
    this.#connect = Connect.NOT;
    this.#peer = null;
    this.#ownAddress = null;
  }

  /**
   * send(msg[, offset, length][, port][, address][, callback]); `msg` is a string, bytes, or a list of them that makes one
   * datagram. Without a callback errors of the address become 'error' events.
   */
  send(message: Bytes | readonly Bytes[], ...rest: unknown[]): void {
    if (this.#connect === Connect.DONE) {
      this.#sendToPeer(message, rest);
      return;
    }
    const hasRange = Boolean(rest[3]) || (Boolean(rest[2]) && typeof rest[2] !== 'function');
    const bytes = hasRange ? sliceOf(message, rest[0], rest[1]) : joined(message);
    const [first, second, third] = hasRange ? rest.slice(2) : rest;
    const callback = [third, second, first].find((value) => typeof value === 'function') as SendCallback | undefined;
    const port = validatePort(first, 'Port', false);
    const given = second == null || typeof second === 'function' ? undefined : validateString(second, 'address');
    this._healthCheck();
    if (this.#bind === Bind.NOT) this.bind({ port: 0 });
    const own = this.#bind === Bind.DONE ? bytes : bytes.slice();
    this.#whenBound(() => {
      this.#lookup(given ?? '', (error, ip) => {
        if (error !== null) process.nextTick(() => this.#tell(error, callback));
        else if (!this.#isClosed) this.#transmit(own, { address: ip, port }, callback, { address: given, port });
      });
    });
  }

  /** send(msg[, offset, length][, callback]) of a connected socket. */
  #sendToPeer(message: unknown, rest: readonly unknown[]): void {
    const hasRange = typeof rest[1] === 'number';
    const bytes = hasRange ? sliceOf(message, rest[0], rest[1]) : joined(message);
    const callback = hasRange ? rest[2] : rest[0];
    const isCallback = hasRange && typeof rest[2] === 'function';
    if ((rest[2] && !isCallback) || rest[3]) throw dgramIsConnected();
    this._healthCheck();
    this.#transmit(bytes, this.#peer!, typeof callback === 'function' ? (callback as SendCallback) : undefined);
  }

  address(): AddressInfo {
    this._healthCheck();
    if (this.#port === null) throw callError('EBADF', 'getsockname');
    const { address, port } = this.#port.local;
    return addressInfo({ address: this.#ownAddress ?? address, port }, this.type === 'udp4' ? 4 : 6);
  }

  remoteAddress(): AddressInfo {
    this._healthCheck();
    if (this.#peer === null) throw dgramNotConnected();
    return addressInfo(this.#peer, this.type === 'udp4' ? 4 : 6);
  }

  close(callback?: () => void): this {
    if (typeof callback === 'function') this.on('close', callback);
    if (this.#waiting !== null) {
      this.#waiting.push(() => void this.close());
      return this;
    }
    this._healthCheck();
    this.#isClosed = true;
    this.#net.opened.delete(this);
    this.#port?.close();
    this.#port = null;
    this.#letGo();
    process.nextTick(() => this.emit('close'));
    return this;
  }

  closeWithStack(): void {
    if (!this.#isClosed) this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => this.close(resolve));
  }

  ref(): this {
    this.#isReferenced = true;
    if (this.#port !== null) this.#hold();
    return this;
  }

  unref(): this {
    this.#isReferenced = false;
    this.#letGo();
    return this;
  }

  /** Hops of what is sent from now on, 1 to 255. */
  setTTL(hops: number): number {
    const ttl = validateNumber(hops, 'ttl');
    if (!(ttl >= 1 && ttl <= 255)) throw callError('EINVAL', 'setTTL');
    if (this.#port === null) throw callError('EBADF', 'setTTL');
    this.#port.setHopLimit(ttl);
    return ttl;
  }

  /** Legacy name of {@link send} with all its arguments. */
  sendto(message: Bytes, offset: number, length: number, port: number, address: string, callback?: SendCallback): void {
    validateNumber(offset, 'offset');
    validateNumber(length, 'length');
    validateNumber(port, 'port');
    validateString(address, 'address');
    this.send(message, offset, length, port, address, callback);
  }

  override _checkBound(call: string): void {
    if (this.#port === null) throw callError('EBADF', call);
  }

  /**
   * From now on each send is cut into datagrams of so many bytes, the last one of what is left; 0: it is one datagram again. As
   * UDP_SEGMENT of Linux; a device that can do it does.
   */
  setSegmentSize(bytes: number): void {
    const size = validateNumber(bytes, 'bytes');
    if (!(Number.isInteger(size) && size >= 0 && size <= 65_507)) throw callError('EINVAL', 'setSegmentSize');
    this.#segmentBytes = size;
  }

  getRecvBufferSize(): number {
    return this.#sizes.receive(this.#port !== null);
  }

  setRecvBufferSize(size: number): void {
    this.#sizes.receive(this.#port !== null, size);
  }

  getSendBufferSize(): number {
    return this.#sizes.send(this.#port !== null);
  }

  setSendBufferSize(size: number): void {
    this.#sizes.send(this.#port !== null, size);
  }

  /** A datagram goes out or is given up at once: nothing waits. */
  getSendQueueSize(): number {
    return 0;
  }

  getSendQueueCount(): number {
    return 0;
  }

  override _healthCheck(): void {
    if (this.#isClosed) throw dgramNotRunning();
  }

  /** Finds an address; on a later tick, as Node's. An empty name is this host. */
  #lookup(name: string, found: (error: Error | null, ip: string) => void): void {
    const family = this.type === 'udp4' ? 4 : 6;
    const host = name || (family === 4 ? '127.0.0.1' : '::1');
    this.#lookupName(host, family, (error, answer) => {
      found(error ?? null, typeof answer === 'string' ? answer : (answer?.[0]?.address ?? ''));
    });
  }

  #bindTo(address: string, port: number): void {
    if (!this.#isOfFamily(address)) {
      this.#bindFailed(placeError('EINVAL', 'bind', address, port));
      return;
    }
    try {
      this.#port = this.#net.handles.transports.bindUdp({ address, port }, this.#handler, this.#bindOptions);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      this.#bindFailed(placeError(error.code, 'bind', address, port));
      return;
    }
    this.#bind = Bind.DONE;
    this.#net.opened.add(this);
    if (this.#isReferenced) this.#hold();
    this.emit('listening');
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const task of waiting) task();
  }

  #bindFailed(error: Error): void {
    this.#bind = Bind.NOT;
    this.#waiting = null;
    this.emit('error', error);
  }

  #onceListening(callback: () => void): void {
    const forget = (): void => {
      this.removeListener('error', forget);
      this.removeListener('listening', onListening);
    };
    const onListening = (): void => {
      forget();
      callback.call(this);
    };
    this.on('error', forget);
    this.on('listening', onListening);
  }

  #whenBound(task: () => void): void {
    if (this.#bind === Bind.DONE) {
      task();
      return;
    }
    this.#waiting ??= [];
    if (this.#waiting.length >= WAITING_MAX) process.nextTick(() => this.emit('error', callError('ENOBUFS', 'send')));
    else this.#waiting.push(task);
  }

  /** `given`: what the program said, which an error repeats; nothing where it is connected. */
  #transmit(bytes: Uint8Array, to: Endpoint, callback: SendCallback | undefined, given?: GivenEnd): void {
    const outcome: { code: string | null } = { code: null };
    if (callback !== undefined) {
      const { length } = bytes;
      // Before anything that the datagram causes: from one end of the stack to the other it takes no longer than a tick.
      process.nextTick(() => {
        if (outcome.code === null) callback(null, length);
        else callback(placeError(outcome.code, 'send', given?.address, given?.port));
      });
    }
    if (this.#port === null) outcome.code = 'ECANCELED';
    else if (!this.#isOfFamily(to.address)) outcome.code = 'EINVAL';
    else outcome.code = this.#port.send(bytes, to, this.#segmentBytes);
  }

  #tell(error: Error, callback: ((error: Error) => void) | undefined, event?: string): void {
    if (callback === undefined) {
      this.emit('error', error);
      return;
    }
    if (event !== undefined) this.removeListener(event, callback as (...args: unknown[]) => void);
    callback(error);
  }

  #hold(): void {
    if (this.#isHolding) return;
    this.#isHolding = true;
    this.#net.handles.keepAlive.ref();
  }

  #letGo(): void {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    this.#net.handles.keepAlive.unref();
  }

  /** What the stack calls, on its own turn: nothing a listener throws may unwind it. */
  readonly #handler: UdpHandler = {
    message: (bytes, at, length, from) => {
      const peer = this.#peer;
      if (this.#isClosed || (peer !== null && (peer.port !== from.port || peer.address !== from.address))) return;
      const copy = Buffer.allocUnsafe(length);
      copy.set(bytes.subarray(at, at + length));
      const remote: RemoteInfo = { ...addressInfo(from, this.type === 'udp4' ? 4 : 6), size: length };
      this.#emitSafely('message', copy, remote);
    },
    error: (code, to) => {
      const peer = this.#peer;
      // Only a connected socket learns of them: another one could not tell which send it was.
      if (this.#isClosed || peer === null || peer.port !== to.port || peer.address !== to.address) return;
      this.#emitSafely('error', callError(code, 'recvmsg'));
    },
  };

  #emitSafely(event: string, ...args: unknown[]): void {
    try {
      this.#scope.runInAsyncScope(this.emit as (event: string, ...args: unknown[]) => boolean, this, event, ...args);
    } catch (error) {
      reportUncaught(error);
    }
  }
}

type AnyListener = (...args: never[]) => void;

/** Who is asked for addresses: the program's own function in node:dgram's form, or the stack's. */
function lookupOf(settings: UdpSocketOptions, net: NetContext): FamilyLookup {
  if (settings.lookup !== undefined) return settings.lookup as unknown as FamilyLookup;
  return (hostname, family, callback) => net.lookup(hostname, { family }, callback);
}
