/** The application of a device thread, for tests: on the stack's callbacks, a service a port. */
import { createHash } from 'node:crypto';
import type { TcpEndpoint, TcpHandler } from '../../src/host/api.ts';
import type { DeviceApplicationClose, DeviceApplicationContext } from '../../src/link/node/device-thread.ts';
import { createStack } from '../../src/stack.ts';

/** What it serves, and where. */
export const Port = {
  /** Reads to the end, answers the hash of it and how many bytes it was, and finishes. */
  HASH: 81,
  /** Reads a number and a line feed, sends so many bytes of {@link patternAt}, and finishes. */
  PATTERN: 82,
  /** Throws when there is data. */
  THROW: 83,
  /** Aborts when there is data. */
  ABORT: 84,
  /** Says so and never comes back when there is data. */
  HANG: 85,
  /** Sends back what comes, by `stack.net`. */
  STREAM: 86,
} as const;

/** Byte `at` of what is sent. */
export function patternAt(at: number): number {
  return Math.imul(at ^ (at >>> 11), 2_654_435_761) >>> 24;
}

/** The hash of `bytes` bytes of it. */
export function patternHash(bytes: number): string {
  const all = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) all[i] = patternAt(i);
  return createHash('sha256').update(all).digest('hex');
}

export interface ApplicationData {
  readonly addresses: readonly string[];
  /** It is not to start: with an error of these words. */
  readonly fails?: string;
}

const CHUNK = 65_536;
const CHUNKS_OUT = 8;

/** What every service has. */
abstract class Service implements TcpHandler {
  readonly endpoint: TcpEndpoint;

  constructor(endpoint: TcpEndpoint) {
    this.endpoint = endpoint;
  }

  abstract data(bytes: Uint8Array, at: number, length: number): number;
  connected(): void {}
  dataDone(): void {}
  end(): void {}
  closed(): void {}
}

class Hash extends Service {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  data(bytes: Uint8Array, at: number, length: number): number {
    this.#hash.update(bytes.subarray(at, at + length));
    this.#bytes += length;
    return length;
  }

  override end(): void {
    this.endpoint.write(Buffer.from(`${this.#bytes} ${this.#hash.digest('hex')}`), null);
    this.endpoint.shutdown();
  }
}

class Pattern extends Service {
  #line = '';
  #at = 0;
  #length = 0;

  data(bytes: Uint8Array, at: number, length: number): number {
    this.#line += Buffer.from(bytes.slice(at, at + length)).toString('latin1');
    if (!this.#line.endsWith('\n')) return length;
    this.#length = Number(this.#line);
    for (let i = 0; i < CHUNKS_OUT; i++) this.#more();
    return length;
  }

  readonly #more = (): void => {
    if (this.#at === this.#length) return;
    const n = Math.min(CHUNK, this.#length - this.#at);
    const chunk = new Uint8Array(n);
    for (let i = 0; i < n; i++) chunk[i] = patternAt(this.#at + i);
    this.#at += n;
    this.endpoint.write(chunk, this.#more);
    if (this.#at === this.#length) this.endpoint.shutdown();
  };
}

class Act extends Service {
  readonly #act: (endpoint: TcpEndpoint) => void;

  constructor(endpoint: TcpEndpoint, act: (endpoint: TcpEndpoint) => void) {
    super(endpoint);
    this.#act = act;
  }

  data(_bytes: Uint8Array, _at: number, length: number): number {
    this.#act(this.endpoint);
    return length;
  }
}

/** A device thread's entry. */
export function start({ links, data, port }: DeviceApplicationContext): DeviceApplicationClose {
  const { addresses, fails } = data as ApplicationData;
  if (fails !== undefined) throw new Error(fails);
  const stack = createStack({ links: [{ link: links[0]!, addresses }] });
  const { transports } = stack;
  const at = (service: number, make: (endpoint: TcpEndpoint) => TcpHandler): void => {
    transports.listen({ local: { address: '::', port: service }, backlog: 1024 }, (endpoint) => {
      endpoint.handler = make(endpoint);
    });
  };
  at(Port.HASH, (endpoint) => new Hash(endpoint));
  at(Port.PATTERN, (endpoint) => new Pattern(endpoint));
  at(Port.ABORT, (endpoint) => new Act(endpoint, () => endpoint.abort()));
  at(
    Port.THROW,
    (endpoint) =>
      new Act(endpoint, () => {
        throw new Error('a callback of the application has thrown');
      }),
  );
  at(
    Port.HANG,
    (endpoint) =>
      new Act(endpoint, () => {
        port.postMessage('from here on');
        for (;;);
      }),
  );
  stack.net
    .createServer((socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    })
    .listen(Port.STREAM);
  // A message comes back, with how many connections there are.
  port.on('message', (message: unknown) => port.postMessage({ message, held: stack.held() }));
  port.unref();
  return () => stack.close();
}
