/**
 * A UDP socket in node:dgram's shape: `dgram.Socket` over the stack.
 *
 * bind, connect, send in all of Node's overloads, 'listening', 'message', 'connect', 'error' and 'close' in its order. A send
 * before the socket is bound binds it and waits. What is left out stands in docs/node-net.md.
 */

import { type Endpoint, TransportError, type UdpHandler, type UdpPort } from '../host/api.ts';
import { type AddressInfo, addressInfo, isIP } from './addresses.ts';
import { noDescriptors, onAbort, validateNumber, validatePort, validateString } from './arguments.ts';
import { isBlocked } from './blocking.ts';
import { tell, udpSocket } from './diagnostics.ts';
import {
  callError,
  dgramAlreadyBound,
  dgramIsConnected,
  dgramNotConnected,
  dgramNotRunning,
  ipBlocked,
  placeError,
} from './errors.ts';
import type { ClosedWithStack, NetContext } from './net-context.ts';
import { AsyncResource, errorMonitor, majorOfNode, reportUncaught } from './node.ts';
import { UdpGroups } from './udp-groups.ts';
import { joined, sliceOf } from './udp-message.ts';
import {
  type FamilyLookup,
  optionsOf,
  syncBinding,
  syncPeer,
  type UdpSettings,
  type UdpSocketOptions,
  type UdpType,
  udpSettings,
} from './udp-options.ts';
import { BufferSizes } from './udp-sizes.ts';

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

const Bind = { NOT: 0, GOING_ON: 1, DONE: 2 } as const;
const Connect = { NOT: 0, GOING_ON: 1, DONE: 2 } as const;

/** Whether a callback of `bind` leaves an error to whoever listens to it, or to nobody: as Node since 24. */
const watchesBinding: boolean = majorOfNode >= 24;

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
  readonly #settings: UdpSettings;

  constructor(options: UdpSocketOptions | UdpType, onMessage: AnyListener | undefined, net: NetContext) {
    super();
    const given = optionsOf(options);
    this.#sizes = new BufferSizes(given);
    this.#settings = udpSettings(given);
    this.type = this.#settings.type;
    this.#net = net;
    this.#lookupName =
      this.#settings.lookup ?? ((hostname, family, callback) => net.lookup(hostname, { family }, callback));
    if (typeof onMessage === 'function') this.on('message', onMessage as (...args: unknown[]) => void);
    this.#heedSignal(given.signal);
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
      const failure = error ?? this.#bindTo(ip, Number(port) || 0);
      if (failure !== null) this.#bindFailed(failure);
      else this.#bound();
    });
    return this;
  }

  /** bindSync({port, address}): binds at once, or throws; 'listening' follows on the next tick. Answers the address. */
  bindSync(options?: { readonly port?: number | undefined; readonly address?: string | undefined }): AddressInfo {
    this._healthCheck();
    if (this.#bind !== Bind.NOT) throw dgramAlreadyBound();
    const { address, port } = syncBinding(options, this.#settings.family);
    const failure = this.#bindTo(address, port);
    if (failure !== null) throw failure;
    process.nextTick(() => {
      if (!this.#isClosed) this.emit('listening');
    });
    return this.address();
  }

  /** connectSync(port[, address]): connects at once, or throws; 'connect' follows on the next tick. */
  connectSync(port: number, address?: string): void {
    this._healthCheck();
    const number = validatePort(port, 'Port', false);
    if (this.#connect !== Connect.NOT) throw dgramIsConnected();
    const ip = syncPeer(address, this.#settings.family);
    if (this.#bind === Bind.NOT) this.bindSync();
    else if (this.#bind !== Bind.DONE) throw dgramAlreadyBound();
    const failure = this.#connectTo({ address: ip, port: number }, ip);
    if (failure !== null) throw failure;
    process.nextTick(() => {
      if (!this.#isClosed) this.emit('connect');
    });
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
    if (this.#isBlocked(peer.address)) {
      this.#connect = Connect.NOT;
      return ipBlocked(peer.address);
    }
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
    return isIP(address) === this.#settings.family;
  }

  /** Whether nothing is to be sent there. */
  #isBlocked(address: string): boolean {
    return isBlocked(this.#settings.sendBlockList, address, isIP(address) || undefined);
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
    return addressInfo({ address: this.#ownAddress ?? address, port }, this.#settings.family);
  }

  remoteAddress(): AddressInfo {
    this._healthCheck();
    if (this.#peer === null) throw dgramNotConnected();
    return addressInfo(this.#peer, this.#settings.family);
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
    const { family } = this.#settings;
    const host = name || (family === 4 ? '127.0.0.1' : '::1');
    this.#lookupName(host, family, (error, answer) => {
      found(error ?? null, typeof answer === 'string' ? answer : (answer?.[0]?.address ?? ''));
    });
  }

  /** Answers why not. */
  #bindTo(address: string, port: number): Error | null {
    if (!this.#isOfFamily(address)) return placeError('EINVAL', 'bind', address, port);
    try {
      this.#port = this.#net.handles.transports.bindUdp({ address, port }, this.#handler, this.#settings.bind);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      return placeError(error.code, 'bind', address, port);
    }
    this.#bind = Bind.DONE;
    this.#net.opened.add(this);
    if (this.#isReferenced) this.#hold();
    return null;
  }

  #bound(): void {
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
    // Up to Node 22 that makes it a listener to the error; later it only watches.
    const failed = watchesBinding ? errorMonitor : 'error';
    const forget = (): void => {
      this.removeListener(failed, forget);
      this.removeListener('listening', onListening);
    };
    const onListening = (): void => {
      forget();
      callback.call(this);
    };
    this.on(failed, forget);
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
    if (given !== undefined && this.#isBlocked(to.address)) {
      if (callback !== undefined) process.nextTick(callback, ipBlocked(to.address));
      return;
    }
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
      const { family, receiveBlockList } = this.#settings;
      if (isBlocked(receiveBlockList, from.address, family)) return;
      const copy = Buffer.allocUnsafe(length);
      copy.set(bytes.subarray(at, at + length));
      const remote: RemoteInfo = { ...addressInfo(from, family), size: length };
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
