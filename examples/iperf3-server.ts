/**
 * A small iperf3 server on a stack: the kernel's own `iperf3 -c` measures against it, forward and with -R, several streams.
 *
 * On Linux, as root: `node dist/examples/iperf3-server.js`, then in another terminal `iperf3 -c 10.98.76.2`. It speaks TCP only
 * and one test at a time; statistics are the byte counts. With `--move MS` every data connection goes host, target, host.
 */
import type { Socket } from 'node:net';
import { createStack, type Stack } from 'chimney';
import { TunLink } from 'chimney/node';

// States of the control connection, as iperf3 numbers them.
const TEST_START = 1;
const TEST_RUNNING = 2;
const TEST_END = 4;
const PARAM_EXCHANGE = 9;
const CREATE_STREAMS = 10;
const EXCHANGE_RESULTS = 13;
const DISPLAY_RESULTS = 14;
const IPERF_DONE = 16;
const ACCESS_DENIED = 255;
const COOKIE_BYTES = 37;
const JSON_MAX = 1 << 20;

interface Parameters {
  readonly parallel?: number;
  readonly reverse?: boolean;
  readonly len?: number;
}

interface Stream {
  readonly socket: Socket;
  bytes: number;
}

/** Takes exact numbers of bytes out of a socket, one request after the other. */
class Reader {
  #chunks: Buffer[] = [];
  #length = 0;
  #wanted: { bytes: number; resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | null = null;
  #isClosed = false;

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#serve();
    });
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wanted?.reject(new Error('the control connection was closed'));
    });
    socket.on('error', () => {});
  }

  take(bytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed && this.#length < bytes) {
        reject(new Error('the control connection was closed'));
        return;
      }
      this.#wanted = { bytes, resolve, reject };
      this.#serve();
    });
  }

  #serve(): void {
    const wanted = this.#wanted;
    if (wanted === null || this.#length < wanted.bytes) return;
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(wanted.bytes)];
    this.#length -= wanted.bytes;
    this.#wanted = null;
    wanted.resolve(all.subarray(0, wanted.bytes));
  }
}

async function takeJson(reader: Reader): Promise<Record<string, unknown>> {
  const length = (await reader.take(4)).readUInt32BE(0);
  if (length > JSON_MAX) throw new Error(`a JSON text of ${length} bytes: expected at most ${JSON_MAX}`);
  return JSON.parse((await reader.take(length)).toString('utf8')) as Record<string, unknown>;
}

function sendJson(socket: Socket, value: unknown): void {
  const text = Buffer.from(JSON.stringify(value));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length, 0);
  socket.write(Buffer.concat([length, text]));
}

const sendState = (socket: Socket, state: number): boolean => socket.write(Buffer.of(state));

/** One test, from the cookie on. */
class Test {
  readonly cookie: string;
  readonly #control: Socket;
  readonly #reader: Reader;
  readonly #streams: Stream[] = [];
  #allThere: () => void = () => {};
  #wanted = 1;
  #isReverse = false;
  #isOver = false;

  constructor(control: Socket, reader: Reader, cookie: string) {
    this.#control = control;
    this.#reader = reader;
    this.cookie = cookie;
  }

  async run(): Promise<void> {
    sendState(this.#control, PARAM_EXCHANGE);
    const parameters = (await takeJson(this.#reader)) as Parameters;
    this.#wanted = Math.min(128, Math.max(1, parameters.parallel ?? 1));
    this.#isReverse = parameters.reverse ?? false;
    const there = new Promise<void>((resolve) => {
      this.#allThere = resolve;
    });
    sendState(this.#control, CREATE_STREAMS);
    await there;
    sendState(this.#control, TEST_START);
    sendState(this.#control, TEST_RUNNING);
    if (this.#isReverse) for (const stream of this.#streams) this.#pour(stream, parameters.len ?? 131_072);
    const [state] = await this.#reader.take(1);
    if (state !== TEST_END) throw new Error(`the client sent state ${state}: expected the end of the test`);
    this.#isOver = true;
    sendState(this.#control, EXCHANGE_RESULTS);
    await takeJson(this.#reader);
    sendJson(this.#control, this.#results());
    sendState(this.#control, DISPLAY_RESULTS);
    const [last] = await this.#reader.take(1);
    if (last !== IPERF_DONE) throw new Error(`the client sent state ${last}: expected that it is done`);
  }

  /** A data connection of this test. */
  add(socket: Socket): void {
    const stream: Stream = { socket, bytes: 0 };
    this.#streams.push(stream);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      stream.bytes += chunk.length;
    });
    if (this.#streams.length === this.#wanted) this.#allThere();
  }

  close(): void {
    this.#isOver = true;
    for (const { socket } of this.#streams) socket.destroy();
    this.#control.end();
  }

  #pour(stream: Stream, length: number): void {
    const block = Buffer.alloc(Math.min(1 << 20, Math.max(1, length)), 'chimney ');
    const more = (): void => {
      while (!this.#isOver && !stream.socket.destroyed) {
        stream.bytes += block.length;
        if (!stream.socket.write(block)) break;
      }
    };
    stream.socket.on('drain', more);
    more();
  }

  #results(): unknown {
    return {
      cpu_util_total: 0,
      cpu_util_user: 0,
      cpu_util_system: 0,
      sender_has_retransmits: 0,
      // iperf3 numbers its streams 1, 3, 4, 5, ...
      streams: this.#streams.map(({ bytes }, i) => ({
        id: i === 0 ? 1 : i + 2,
        bytes,
        retransmits: -1,
        jitter: 0,
        errors: 0,
        packets: 0,
      })),
    };
  }
}

/** Serves iperf3 on the stack; `onData` sees every data connection. Answers a function that stops. */
export function serveIperf3(stack: Stack, port = 5201, onData: (socket: Socket) => void = () => {}): () => void {
  let current: Test | null = null;
  const server = stack.net.createServer((given) => {
    const socket = given as unknown as Socket;
    const reader = new Reader(socket);
    reader
      .take(COOKIE_BYTES)
      .then(async (bytes) => {
        const cookie = bytes.toString('latin1');
        if (current !== null && current.cookie === cookie) {
          onData(socket);
          current.add(socket);
          return;
        }
        if (current !== null) {
          sendState(socket, ACCESS_DENIED);
          socket.end();
          return;
        }
        const test = new Test(socket, reader, cookie);
        current = test;
        try {
          await test.run();
        } finally {
          test.close();
          current = null;
        }
      })
      .catch(() => socket.destroy());
  });
  server.listen(port);
  return () => server.close();
}

function main(): void {
  const link = TunLink.open({
    addresses: [
      { address: Uint8Array.of(10, 98, 76, 1), prefixLength: 24 },
      { address: Uint8Array.of(0xfd, 0x98, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), prefixLength: 64 },
    ],
  });
  const stack = createStack({ links: [{ link, addresses: ['10.98.76.2/24', 'fd98::2/64'] }] });
  const at = process.argv.indexOf('--move');
  const everyMs = at < 0 ? 0 : Number(process.argv[at + 1]);
  serveIperf3(stack, 5201, (socket) => {
    if (!(everyMs > 0)) return;
    const { chimney } = socket as unknown as {
      chimney: { location: string; offload(): Promise<unknown>; takeBack(): Promise<unknown> };
    };
    const timer = setInterval(() => {
      const move = chimney.location === 'host' ? chimney.offload() : chimney.takeBack();
      move.catch(() => {});
    }, everyMs);
    socket.on('close', () => clearInterval(timer));
  });
  console.log(`iperf3 server on 10.98.76.2, device ${link.name}: iperf3 -c 10.98.76.2 (or fd98::2)`);
}

if (process.argv[1]?.endsWith('iperf3-server.js')) main();
