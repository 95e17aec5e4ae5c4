/**
 * The mixed load of the soak: what a client asks of a server, and the server that answers it. Every stream's bytes follow from a
 * number, so both ends know the right SHA-256.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { Stack } from 'chimney';

/** A socket of a stack, as far as it is used here. */
export type Socket = ReturnType<Stack['net']['connect']>;

export const SERVER_ADDRESS = '10.0.0.1';
const DOWN_PORT = 1001;
const UP_PORT = 1002;
const ECHO_PORT = 1003;
const HTTP_PORT = 1004;
const POOL_BYTES = 1 << 20;
const PIECE = 65536;
const HEADER_BYTES = 8;

/** Numbers that follow from a seed. Mulberry32. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A whole number from 0 to `below` - 1. */
  next(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  }
}

const pool = Buffer.alloc(POOL_BYTES);
const poolDice = new Dice(1);
for (let i = 0; i < POOL_BYTES; i += 4) pool.writeUInt32LE(poolDice.next(0xffffffff), i);

/** The pieces of the stream with that number. */
function* pieces(number: number, length: number): Generator<Buffer> {
  let at = number % POOL_BYTES;
  for (let left = length; left > 0; ) {
    const count = Math.min(left, PIECE, POOL_BYTES - at);
    yield pool.subarray(at, at + count);
    left -= count;
    at = (at + count * 3) % POOL_BYTES;
  }
}

function hashOf(number: number, length: number): string {
  const hash = createHash('sha256');
  for (const piece of pieces(number, length)) hash.update(piece);
  return hash.digest('hex');
}

async function pour(socket: Socket, number: number, length: number): Promise<void> {
  for (const piece of pieces(number, length)) {
    if (!socket.write(piece)) await once(socket, 'drain');
  }
}

function header(number: number, length: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt32LE(number, 0);
  bytes.writeUInt32LE(length, 4);
  return bytes;
}

/** The first `count` bytes of a stream; what follows stays in it. */
async function readExactly(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(count) as Buffer | null;
    if (bytes !== null) return bytes;
    await once(socket, 'readable');
  }
}

/** Hashes a stream to its end. (`for await` would destroy it there, with what it has still to write.) */
async function drainHash(socket: Socket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => void hash.update(chunk));
  await once(socket, 'end');
  return hash.digest('hex');
}

/** Makes the server listen. `began` sees every connection. */
export async function serve(stack: Stack, began: (socket: Socket) => void): Promise<void> {
  const listen = async (port: number, handle: (socket: Socket) => Promise<unknown>): Promise<void> => {
    const server = stack.net.createServer({ allowHalfOpen: true }, (socket: Socket) => {
      began(socket);
      // A client that breaks off is part of the load.
      socket.on('error', () => {});
      handle(socket).catch(() => socket.destroy());
    });
    server.listen(port, SERVER_ADDRESS);
    await once(server, 'listening');
  };
  await listen(DOWN_PORT, async (socket) => {
    const wish = await readExactly(socket, HEADER_BYTES);
    socket.resume();
    await pour(socket, wish.readUInt32LE(0), wish.readUInt32LE(4));
    socket.end();
  });
  await listen(UP_PORT, async (socket) => {
    await readExactly(socket, HEADER_BYTES);
    socket.end(await drainHash(socket));
  });
  await listen(ECHO_PORT, async (socket) => {
    socket.pipe(socket);
  });
  const web = stack.net.http.createServer((request: http.IncomingMessage, response: http.ServerResponse) => {
    response.end(pool.subarray(0, Number(request.url!.slice(1))));
  });
  web.on('connection', (socket) => began(socket as unknown as Socket));
  web.listen(HTTP_PORT, SERVER_ADDRESS);
  await once(web, 'listening');
}

/** What the clients have seen. */
export interface Account {
  jobs: number;
  bytes: number;
  /** What was wrong; bounded. */
  readonly faults: string[];
}

/** One client: asks for this and that, until it is told to stop. */
export class Client {
  readonly #stack: Stack;
  readonly #dice: Dice;
  readonly #account: Account;
  readonly #began: (socket: Socket) => void;
  readonly #jobs: readonly (() => Promise<void>)[];

  constructor(stack: Stack, seed: number, account: Account, began: (socket: Socket) => void) {
    this.#stack = stack;
    this.#dice = new Dice(seed);
    this.#account = account;
    this.#began = began;
    this.#jobs = [
      () => this.#download(),
      () => this.#download(),
      () => this.#upload(),
      () => this.#chat(),
      () => this.#fetch(),
      () => this.#fetch(),
      () => this.#breakOff(),
      () => this.#rest(),
    ];
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const job = this.#jobs[this.#dice.next(this.#jobs.length)]!;
      try {
        await job();
        this.#account.jobs++;
      } catch (error) {
        this.#fault(String(error));
      }
      await pause(this.#dice.next(40));
    }
  }

  #fault(what: string): void {
    if (this.#account.faults.length < 20) this.#account.faults.push(what);
  }

  async #connect(port: number): Promise<Socket> {
    const socket = this.#stack.net.connect({ port, host: SERVER_ADDRESS, allowHalfOpen: true });
    await once(socket, 'connect');
    this.#began(socket);
    return socket;
  }

  async #download(): Promise<void> {
    const number = this.#dice.next(POOL_BYTES);
    const length = 1 + this.#dice.next(1 << (10 + this.#dice.next(12)));
    const socket = await this.#connect(DOWN_PORT);
    socket.end(header(number, length));
    const hash = await drainHash(socket);
    this.#account.bytes += length;
    if (hash !== hashOf(number, length)) this.#fault(`download ${number} of ${length} bytes: wrong hash`);
  }

  async #upload(): Promise<void> {
    const number = this.#dice.next(POOL_BYTES);
    const length = 1 + this.#dice.next(1 << (10 + this.#dice.next(12)));
    const socket = await this.#connect(UP_PORT);
    socket.write(header(number, length));
    await pour(socket, number, length);
    socket.end();
    let said = '';
    for await (const chunk of socket) said += String(chunk);
    this.#account.bytes += length;
    if (said !== hashOf(number, length)) this.#fault(`upload ${number} of ${length} bytes: wrong hash`);
  }

  /** Small questions, one after the other. */
  async #chat(): Promise<void> {
    const socket = await this.#connect(ECHO_PORT);
    socket.setNoDelay(true);
    for (let i = 0; i < 50; i++) {
      const question = pool.subarray(i, i + 1 + this.#dice.next(200));
      socket.write(question);
      const answer = await readExactly(socket, question.length);
      if (!answer.equals(question)) this.#fault(`echo of ${question.length} bytes: wrong`);
      this.#account.bytes += 2 * question.length;
    }
    socket.end();
    socket.resume();
    await once(socket, 'close');
  }

  async #fetch(): Promise<void> {
    const length = 1 + this.#dice.next(20_000);
    const { agent } = this.#stack.net.http;
    const request = http.get({ host: SERVER_ADDRESS, port: HTTP_PORT, path: `/${length}`, agent });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    this.#account.bytes += length;
    if (!Buffer.concat(chunks).equals(pool.subarray(0, length))) this.#fault(`http of ${length} bytes: wrong`);
  }

  /** Goes away in the middle, by FIN or by RST. */
  async #breakOff(): Promise<void> {
    const socket = await this.#connect(DOWN_PORT);
    socket.write(header(1, 16 << 20));
    await once(socket, 'data');
    if (this.#dice.next(2) === 0) socket.destroy();
    else socket.resetAndDestroy();
    await once(socket, 'close');
  }

  /** Is there and does nothing for a while. */
  async #rest(): Promise<void> {
    const socket = await this.#connect(ECHO_PORT);
    await pause(this.#dice.next(3000));
    socket.end('x');
    if ((await drainHash(socket)) !== createHash('sha256').update('x').digest('hex')) this.#fault('late echo: wrong');
  }
}

/** Resolves after so many milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
