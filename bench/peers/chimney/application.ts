/**
 * The services of the comparison on the stack's callbacks (`stack.transports`), without streams: the application of a device thread. What
 * it takes is read where it was received, what it sends leaves from where it lies.
 */
import { createStack, type TcpEndpoint, type TcpHandler } from 'chimney';
import type { DeviceApplicationClose, DeviceApplicationContext } from 'chimney/node';
import { PORT_BASE } from '../services.ts';

const CHUNK = Buffer.alloc(65_536, 7);
/** Chunks on their way at most: more than any window. */
const CHUNKS_OUT = 64;
const BACKLOG = 16_384;
const CALL_BACK = 29;

/** Takes everything. */
class Discard implements TcpHandler {
  readonly endpoint: TcpEndpoint;

  constructor(endpoint: TcpEndpoint) {
    this.endpoint = endpoint;
  }

  connected(): void {}
  data(_bytes: Uint8Array, _at: number, length: number): number {
    return length;
  }
  dataDone(): void {}
  end(): void {
    this.endpoint.shutdown();
  }
  closed(): void {}
}

/** Sends back what comes. */
class Echo extends Discard {
  override data(bytes: Uint8Array, at: number, length: number): number {
    this.endpoint.write(bytes.slice(at, at + length), null);
    return length;
  }
}

/** Has {@link CHUNKS_OUT} chunks on their way until the other end has enough. */
class Generate extends Discard {
  #isOver = false;

  start(): this {
    for (let i = 0; i < CHUNKS_OUT; i++) this.#more();
    return this;
  }

  readonly #more = (): void => {
    if (!this.#isOver) this.endpoint.write(CHUNK, this.#more);
  };

  override end(): void {
    this.#isOver = true;
    this.endpoint.abort();
  }

  override closed(): void {
    this.#isOver = true;
  }
}

/** Serves all at the address that it is given. */
export function start({ links, data }: DeviceApplicationContext): DeviceApplicationClose {
  const address = data as string;
  const stack = createStack({ links: [{ link: links[0]!, addresses: [`${address}/24`] }] });
  const { transports } = stack;
  const at = (service: number, accepted: (endpoint: TcpEndpoint) => TcpHandler): void => {
    transports.listen({ local: { address, port: PORT_BASE + service }, backlog: BACKLOG }, (endpoint) => {
      endpoint.setNoDelay(true);
      endpoint.handler = accepted(endpoint);
    });
  };
  at(7, (endpoint) => new Echo(endpoint));
  at(9, (endpoint) => new Discard(endpoint));
  at(19, (endpoint) => new Generate(endpoint).start());
  at(CALL_BACK, (endpoint) => {
    const remote = { address: endpoint.remote.address, port: PORT_BASE + CALL_BACK };
    let called: TcpEndpoint | null = null;
    const handler: TcpHandler = {
      connected() {},
      data: (_bytes, _at, length) => length,
      dataDone() {},
      end: () => called?.shutdown(),
      closed() {},
    };
    called = transports.connect({ remote }, handler);
    return new Discard(endpoint);
  });
  return () => stack.close();
}
