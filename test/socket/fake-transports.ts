/**
 * Transports without a network under them: TCP as its users see it, in memory, for tests of what stands above.
 *
 * Keeps host/api.ts to the letter: no handler is called from inside a call, bytes refused are kept and offered again after
 * `resume`, writes are done when the other side has taken them, `closed` comes last and once.
 */

import {
  type ChimneyHandle,
  type ConnectOptions,
  type Endpoint,
  type ListenOptions,
  type ReserveOptions,
  type TcpEndpoint,
  type TcpHandler,
  type TcpInfo,
  type TcpListener,
  type TcpReservation,
  TransportError,
  type TransportErrorCode,
  type Transports,
  type UdpBindOptions,
  type UdpHandler,
  type UdpPort,
} from '../../src/host/api.ts';

const SEGMENT = 1460;
const RECEIVE_BUFFER = 65536;

interface Write {
  bytes: Uint8Array;
  at: number;
  done: ((error: TransportErrorCode | null) => void) | null;
}

const DEAF: TcpHandler = { connected() {}, data: () => 0, dataDone() {}, end() {}, closed() {} };

export class FakeEndpoint implements TcpEndpoint {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly family: 4 | 6;
  readonly chimney = {} as ChimneyHandle;
  readonly options: Record<string, unknown> = {};
  peer: FakeEndpoint | null = null;
  #handler: TcpHandler = DEAF;
  #writes: Write[] = [];
  #unread: Uint8Array[] = [];
  #hasRefused = false;
  #isShut = false;
  #finSent = false;
  #finReceived = false;
  #endTold = false;
  #discards = false;
  isOver = false;
  /** Holds everything back, as a peer that does not acknowledge. */
  isStalled = false;

  constructor(local: Endpoint, remote: Endpoint) {
    this.local = local;
    this.remote = remote;
    this.family = local.address.includes(':') ? 6 : 4;
  }

  get handler(): TcpHandler {
    return this.#handler;
  }

  set handler(handler: TcpHandler) {
    const wasDeaf = this.#handler === DEAF;
    this.#handler = handler;
    if (wasDeaf) this.resume();
  }

  get unacknowledgedBytes(): number {
    return this.#writes.reduce((sum, write) => sum + write.bytes.length - write.at, 0);
  }

  get #unreadBytes(): number {
    return this.#unread.reduce((sum, piece) => sum + piece.length, 0);
  }

  moveWrite(): void {}

  write(bytes: Uint8Array, done: Write['done']): void {
    if (this.isOver || this.#isShut) setImmediate(() => done?.('EPIPE'));
    else this.#writes.push({ bytes, at: 0, done });
    this.turnSoon();
  }

  shutdown(): void {
    this.#isShut = true;
    this.turnSoon();
  }

  close(): void {
    if (this.#unread.length > 0) {
      this.abort();
      return;
    }
    this.#discards = true;
    this.shutdown();
  }

  abort(): void {
    if (this.isOver) return;
    const peer = this.peer;
    setImmediate(() => peer?.fail('ECONNRESET'));
    setImmediate(() => this.fail('ECONNABORTED'));
    this.isOver = true;
  }

  fail(code: TransportErrorCode): void {
    if (this.isOver && code !== 'ECONNABORTED') return;
    this.isOver = true;
    this.#unread = [];
    const writes = this.#writes;
    this.#writes = [];
    for (const write of writes) write.done?.(code);
    this.#closed(code);
  }

  takeData(): boolean {
    return false;
  }

  keepData(): null {
    return null;
  }

  resume(): void {
    this.#hasRefused = false;
    this.turnSoon();
  }

  setNoDelay(on: boolean): void {
    this.options['noDelay'] = on;
  }

  setKeepAlive(on: boolean, idleMs: number, intervalMs?: number, probes?: number): void {
    this.options['keepAlive'] = on ? [idleMs, intervalMs, probes] : false;
  }

  setReceiveBuffer(): void {}
  setUserTimeout(): void {}
  setHopLimit(): void {}
  setUserPriority(): void {}
  setReceiveLowWater(): void {}

  setTrafficClass(value: number): void {
    this.options['trafficClass'] = value;
  }

  readonly sendBacklog = 29_200;
  info(): TcpInfo {
    return { minRttUs: 0 } as TcpInfo;
  }

  turnSoon(): void {
    setImmediate(() => this.#turn());
  }

  /** Moves what can be moved: to the peer, to the handler. */
  #turn(): void {
    if ((this.#handler === DEAF && !this.#discards) || this.isStalled) return;
    this.#offerUnread();
    const peer = this.peer;
    if (peer === null || this.isOver) return;
    for (const write of [...this.#writes]) {
      while (write.at < write.bytes.length) {
        const count = Math.min(SEGMENT, write.bytes.length - write.at);
        if (!peer.#receive(write.bytes, write.at, count)) break;
        write.at += count;
      }
      if (write.at < write.bytes.length) break;
      this.#writes.shift();
      write.done?.(null);
    }
    peer.#handler.dataDone();
    if (this.#isShut && !this.#finSent && this.#writes.length === 0) {
      this.#finSent = true;
      peer.#finReceived = true;
      peer.turnSoon();
    }
    this.#overIfBothEnded();
  }

  #receive(bytes: Uint8Array, at: number, count: number): boolean {
    if (this.#discards) {
      this.abort();
      return true;
    }
    if (this.#unreadBytes + count > RECEIVE_BUFFER) return false;
    let taken = 0;
    if (!this.#hasRefused && this.#unread.length === 0 && this.#handler !== DEAF) {
      taken = this.#handler.data(bytes, at, count);
      if (taken < count) this.#hasRefused = true;
    }
    if (taken < count) this.#unread.push(bytes.slice(at + taken, at + count));
    return true;
  }

  #offerUnread(): void {
    while (this.#unread.length > 0 && !this.#hasRefused) {
      const piece = this.#unread[0]!;
      const taken = this.#handler.data(piece, 0, piece.length);
      if (taken < piece.length) {
        this.#hasRefused = true;
        this.#unread[0] = piece.subarray(taken);
      } else this.#unread.shift();
    }
    this.#handler.dataDone();
    this.peer?.turnSoonIfWaiting();
    if (this.#finReceived && !this.#endTold && this.#unread.length === 0) {
      this.#endTold = true;
      if (!this.#discards) this.#handler.end();
      this.#overIfBothEnded();
    }
  }

  turnSoonIfWaiting(): void {
    if (this.#writes.length > 0) this.turnSoon();
  }

  #overIfBothEnded(): void {
    if (this.isOver || !this.#finSent || !this.#endTold) return;
    this.isOver = true;
    this.#closed(null);
  }

  #closed(code: TransportErrorCode | null): void {
    const handler = this.#handler;
    this.#handler = DEAF;
    handler.closed(code);
  }
}

/** One network of fake hosts; every host shares it. */
export class FakeTransports implements Transports {
  readonly #address: string;
  readonly #listeners = new Map<number, { options: ListenOptions; take: (endpoint: TcpEndpoint) => void }[]>();
  readonly #reserved = new Map<number, ReserveOptions>();
  readonly #udp = new Map<number, { handler: UdpHandler; sharing: string }[]>();
  /** Whose turn it is of those that share a port. */
  #turn = 0;
  #nextPort = 49152;
  /** Connections whose SYN nobody answers. */
  isMute = false;
  /** An address that does not answer. */
  muteAddress: string | null = null;
  /** Ends of all connections made, in order: client, server, client, server. */
  readonly endpoints: FakeEndpoint[] = [];

  constructor(address = '127.0.0.1') {
    this.#address = address;
  }

  connect(options: ConnectOptions, handler: TcpHandler): TcpEndpoint {
    if (options.remote.address === '198.51.100.1') throw new TransportError('ENETUNREACH', 'no route');
    if (options.local?.address === '198.51.100.77') throw new TransportError('EADDRNOTAVAIL', 'not ours');
    const local = { address: options.local?.address ?? this.#address, port: options.local?.port ?? this.#nextPort++ };
    const client = new FakeEndpoint(local, options.remote);
    client.handler = handler;
    if (this.isMute || options.remote.address === this.muteAddress) return client;
    setImmediate(() => {
      const sharing = this.#listeners.get(options.remote.port) ?? [];
      const listener = sharing[this.#turn++ % sharing.length];
      if (client.isOver) return;
      // Nobody listens on the loopback of the other family.
      if (listener === undefined || options.remote.address === '::1') {
        client.fail('ECONNREFUSED');
        return;
      }
      const server = new FakeEndpoint(options.remote, local);
      client.peer = server;
      server.peer = client;
      this.endpoints.push(client, server);
      handler.connected();
      listener.take(server);
    });
    return client;
  }

  listen(options: ListenOptions, onConnection: (endpoint: TcpEndpoint) => void): TcpListener {
    const { port, key } = this.#claim(options);
    const entry = { options, take: onConnection };
    const sharing = this.#listeners.get(key) ?? [];
    sharing.push(entry);
    this.#listeners.set(key, sharing);
    return {
      local: { ...options.local, port },
      close: () => {
        sharing.splice(sharing.indexOf(entry), 1);
        if (sharing.length === 0) this.#listeners.delete(key);
      },
    };
  }

  reserve(options: ReserveOptions): TcpReservation {
    const { port, key } = this.#claim(options);
    this.#reserved.set(key, options);
    return { local: { ...options.local, port }, close: () => void this.#reserved.delete(key) };
  }

  #claim(options: ReserveOptions): { port: number; key: number } {
    const port = options.local.port === 0 ? this.#nextPort++ : options.local.port;
    // One that takes IPv6 only leaves the port to IPv4.
    const key = options.ipv6Only === true ? -port : port;
    const others = (this.#listeners.get(key) ?? []).map((listener) => listener.options as ReserveOptions);
    if (this.#reserved.has(key)) others.push(this.#reserved.get(key)!);
    if (others.some((other) => !(other.reusePort && options.reusePort)))
      throw new TransportError('EADDRINUSE', 'taken');
    if (options.local.address === '198.51.100.77') throw new TransportError('EADDRNOTAVAIL', 'not ours');
    return { port, key };
  }

  bindUdp(local: Endpoint, handler: UdpHandler, options: UdpBindOptions = {}): UdpPort {
    const port = local.port === 0 ? this.#nextPort++ : local.port;
    if (local.address === '198.51.100.77') throw new TransportError('EADDRNOTAVAIL', 'not ours');
    const key = options.ipv6Only === true ? -port : port;
    const isReused = options.reuseAddress === true;
    const sharing = options.reusePort === true ? 'spread' : isReused ? 'last' : 'none';
    const bound = this.#udp.get(key) ?? [];
    if (bound.some((other) => sharing === 'none' || other.sharing !== sharing))
      throw new TransportError('EADDRINUSE', 'taken');
    const own = { address: local.address, port };
    const entry = { handler, sharing };
    bound.unshift(entry);
    this.#udp.set(key, bound);
    return {
      local: own,
      send: (bytes, to) => {
        if (bytes.length > 65507) return 'EMSGSIZE';
        const copy = bytes.slice();
        setImmediate(() => {
          const bound = this.#udp.get(to.port) ?? [];
          const there = bound[0]?.sharing === 'spread' ? bound[this.#turn++ % bound.length] : bound[0];
          if (there === undefined) handler.error('ECONNREFUSED', to);
          else there.handler.message(copy, 0, copy.length, { address: this.#address, port });
        });
        return null;
      },
      localTo: () => this.#address,
      setHopLimit: () => {},
      close: () => void bound.splice(bound.indexOf(entry), 1),
    };
  }
}
