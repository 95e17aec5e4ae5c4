/**
 * One test of iperf3, seen from the server: parameters, data connections, the run, results. One runs at a time, as with
 * iperf3's own server.
 */
import type { StackSocket } from 'chimney';
import {
  type Parameters,
  ProtocolError,
  parseParameters,
  refuse,
  resultsJson,
  State,
  type StreamResult,
  sendJson,
  sendState,
  takeJson,
  takeState,
  UnsupportedError,
} from './protocol.ts';

export interface Summary {
  readonly streams: number;
  readonly serverSends: boolean;
  readonly clientSends: boolean;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly seconds: number;
}

/** A data connection: it sends or receives for as long as the test runs. */
class Stream {
  bytes = 0;
  readonly isSender: boolean;
  readonly #socket: StackSocket;
  #isRunning = false;
  #retransmits = 0;

  constructor(socket: StackSocket, isSender: boolean, noDelay: boolean) {
    this.#socket = socket;
    this.isSender = isSender;
    socket.setNoDelay(noDelay);
    socket.on('error', () => {}); // The client may reset what it has no use for any more.
    socket.on('data', (chunk: Buffer) => {
      if (this.#isRunning && !isSender) this.bytes += chunk.length;
    });
  }

  start(block: Buffer): void {
    this.#isRunning = true;
    if (this.isSender) this.#pour(block);
  }

  #pour(block: Buffer): void {
    while (this.#isRunning && !this.#socket.destroyed) {
      const hasRoom = this.#socket.write(block);
      this.bytes += block.length;
      if (hasRoom) continue;
      this.#socket.once('drain', () => this.#pour(block));
      return;
    }
  }

  stop(): void {
    this.#isRunning = false;
    this.#retransmits = this.#socket.tcpInfo()?.retransmittedSegments ?? 0;
    // A client that reads waits for whole blocks: the end of the stream frees it, as iperf3's own server does.
    if (this.isSender) this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }

  result(id: number, seconds: number): StreamResult {
    return { id, bytes: this.bytes, retransmits: this.#retransmits, seconds };
  }
}

/** The test that a control connection with a valid cookie asks for. */
export class Session {
  readonly cookie: string;
  readonly #control: StackSocket;
  readonly #streams: Stream[] = [];
  #parameters: Parameters | null = null;
  #onComplete: (() => void) | null = null;

  constructor(control: StackSocket, cookie: string) {
    this.#control = control;
    this.cookie = cookie;
    control.on('error', () => this.#onComplete?.());
    control.once('close', () => this.#onComplete?.());
  }

  /** Takes a connection with this test's cookie. Answers whether one was expected. */
  join(socket: StackSocket): boolean {
    const wanted = this.#parameters;
    if (wanted === null || this.#streams.length === expected(wanted)) return false;
    // With --bidir those come first on which the client sends.
    const isSender = wanted.serverSends && (!wanted.clientSends || this.#streams.length >= wanted.parallel);
    this.#streams.push(new Stream(socket, isSender, wanted.noDelay));
    if (this.#streams.length === expected(wanted)) this.#onComplete?.();
    return true;
  }

  /** Runs the test to its end. Throws {@link ProtocolError}. */
  async run(): Promise<Summary> {
    try {
      sendState(this.#control, State.PARAM_EXCHANGE);
      const parameters = parseParameters(await takeJson(this.#control));
      await this.#connect(parameters);
      const seconds = await this.#transfer(parameters);
      return this.#summary(parameters, seconds);
    } catch (error) {
      if (error instanceof UnsupportedError) refuse(this.#control);
      throw error;
    } finally {
      for (const stream of this.#streams) stream.close();
      this.#control.end();
    }
  }

  async #connect(parameters: Parameters): Promise<void> {
    const complete = new Promise<void>((resolve) => {
      this.#onComplete = resolve;
    });
    this.#parameters = parameters;
    sendState(this.#control, State.CREATE_STREAMS);
    await complete;
    this.#onComplete = null;
    if (this.#streams.length < expected(parameters)) throw new ProtocolError('the client went away');
  }

  async #transfer(parameters: Parameters): Promise<number> {
    const block = Buffer.alloc(parameters.blockBytes);
    const startMs = performance.now();
    const startCpu = process.cpuUsage();
    sendState(this.#control, State.TEST_START);
    sendState(this.#control, State.TEST_RUNNING);
    for (const stream of this.#streams) stream.start(block);
    const state = await takeState(this.#control);
    for (const stream of this.#streams) stream.stop();
    if (state !== State.TEST_END) throw new ProtocolError(`the client broke the test off (${state})`);
    const seconds = (performance.now() - startMs) / 1000;
    const cpu = process.cpuUsage(startCpu);
    await this.#exchange(parameters, seconds, (cpu.user + cpu.system) / (seconds * 1e4));
    return seconds;
  }

  async #exchange(parameters: Parameters, seconds: number, cpuPercent: number): Promise<void> {
    sendState(this.#control, State.EXCHANGE_RESULTS);
    await takeJson(this.#control); // The client's own figures; it prints them itself.
    // iperf3 numbers its streams 1, 3, 4, 5 …
    const results = this.#streams.map((stream, i) => stream.result(i === 0 ? 1 : i + 2, seconds));
    sendJson(this.#control, resultsJson(results, parameters.serverSends, cpuPercent));
    sendState(this.#control, State.DISPLAY_RESULTS);
    await takeState(this.#control);
  }

  #summary(parameters: Parameters, seconds: number): Summary {
    let bytesSent = 0;
    let bytesReceived = 0;
    for (const stream of this.#streams) {
      if (stream.isSender) bytesSent += stream.bytes;
      else bytesReceived += stream.bytes;
    }
    const { serverSends, clientSends } = parameters;
    return { streams: this.#streams.length, serverSends, clientSends, bytesSent, bytesReceived, seconds };
  }
}

function expected(parameters: Parameters): number {
  return parameters.parallel * (Number(parameters.clientSends) + Number(parameters.serverSends));
}
