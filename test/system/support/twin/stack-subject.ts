/**
 * Our TCP as a subject, under virtual time: on the host path, at a target, or moved between the two from step to step.
 *
 * The link is the script's: what the stack sends lies in a list, what is to arrive is handed over. A verifier sits between every two layers.
 */
import { VirtualRuntime } from '../../../../src/base/virtual-runtime.ts';
import { findingText } from '../../../../src/contract/finding.ts';
import type { TcpEndpoint, TcpHandler, TcpListener, TransportErrorCode } from '../../../../src/host/api.ts';
import type { Link, LinkReceiver } from '../../../../src/link/link.ts';
import { createStack, type Stack } from '../../../../src/stack.ts';
import type { TargetChoice } from '../../../../src/stack-options.ts';
import { PairedAdapter } from '../../../../src/target/worker/paired-adapter.ts';
import { ourByte, peerByte } from '../../../support/packet-script/endpoint.ts';
import { type Application, PEER4, PEER6, SUBJECT4, SUBJECT6, type Subject, type SubjectOptions } from './subject.ts';

/** Where a connection is run: on the host path, at the engine target, at the worker's, or at another place after each step. */
export type Place = 'host' | 'engine' | 'worker' | 'moving' | 'moving-worker';

/** Longer than an ACK may be delayed, shorter than anything else takes. */
const RIPE_US = 45_000;
const SETTLE_ROUNDS = 3000;

class ScriptLink implements Link {
  readonly name = 'script';
  readonly medium = 'ip';
  readonly mtu = 1500;
  readonly sent: Uint8Array[] = [];
  #receiver: LinkReceiver | null = null;

  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }

  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    this.sent.push(bytes.slice(at, at + length));
    return true;
  }

  arrive(packet: Uint8Array): void {
    this.#receiver!.receive(packet.slice(), 0, packet.length);
    this.#receiver!.receiveDone();
  }

  close(): void {}
}

/** Our TCP. */
export class StackSubject implements Subject {
  readonly name: string;
  readonly #place: Place;
  #runtime = new VirtualRuntime(1);
  #link = new ScriptLink();
  #stack: Stack | null = null;
  #application: StackApplication | null = null;
  /** What the place did: moves that were made, and that were refused. */
  moves = 0;

  constructor(place: Place) {
    this.#place = place;
    this.name = place;
  }

  open(options: SubjectOptions): Application {
    this.#runtime = new VirtualRuntime(1);
    this.#link = new ScriptLink();
    const usesWorker = this.#place === 'worker' || this.#place === 'moving-worker';
    const target: TargetChoice = usesWorker ? (environment) => new PairedAdapter(environment) : 'engine';
    this.#stack = createStack({
      runtime: this.#runtime,
      verify: true,
      links: [
        {
          link: this.#link,
          target,
          addresses: [`${SUBJECT4}/24`, `${SUBJECT6}/64`],
          acceptRouterAdvertisements: false,
          linkLocal: false,
          duplicateAddressDetection: 'off',
        },
      ],
    });
    this.#runtime.advance(2_000_000);
    this.#link.sent.length = 0;
    this.#application = new StackApplication(this.#stack, options);
    return this.#application;
  }

  async close(): Promise<void> {
    const stack = this.#stack!;
    this.#application!.abandon();
    let isClosed = false;
    const closing = stack.close().then(() => {
      isClosed = true;
    });
    await this.#until(() => isClosed);
    await closing;
    const findings = stack.findings.map(findingText);
    if (findings.length > 0) throw new Error(`${this.name}: ${findings.join('; ')}`);
    const held = stack.held();
    if (held.buffers + held.stateObjects + held.connections > 0) {
      throw new Error(`${this.name}: holds ${JSON.stringify(held)}`);
    }
  }

  exchange(packet: Uint8Array): Uint8Array[] {
    this.#link.arrive(packet);
    return this.collect();
  }

  collect(): Uint8Array[] {
    this.#runtime.settle();
    return this.#link.sent.splice(0);
  }

  ripen(): Uint8Array[] {
    this.#runtime.advance(RIPE_US);
    return this.collect();
  }

  async move(): Promise<void> {
    if (this.#place === 'host') return;
    const endpoint = this.#application!.endpoint;
    if (endpoint === null || this.#application!.isOver) return;
    const { location } = endpoint.chimney;
    if (location === 'host') await this.#settled(endpoint.chimney.offload());
    else if (location === 'target' && this.#place.startsWith('moving'))
      await this.#settled(endpoint.chimney.takeBack());
  }

  async #settled(move: Promise<unknown>): Promise<void> {
    let isOver = false;
    move.then(
      () => {
        this.moves++;
        isOver = true;
      },
      () => {
        isOver = true;
      },
    );
    await this.#until(() => isOver);
  }

  async #until(isTrue: () => boolean): Promise<void> {
    for (let i = 0; i < SETTLE_ROUNDS; i++) {
      await Promise.resolve();
      if (isTrue()) return;
      this.#runtime.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (!isTrue()) throw new Error(`${this.name}: does not come to an end`);
  }

  dispose(): void {}
}

class StackApplication implements Application, TcpHandler {
  endpoint: TcpEndpoint | null = null;
  isOver = false;
  readonly #stack: Stack;
  readonly #options: SubjectOptions;
  #listener: TcpListener | null = null;
  #written = 0;
  #toWrite = 0;
  #read = 0;
  #isHeld = false;
  /** The application has no socket any more. */
  #isClosed = false;
  #end = '';
  #wrong = '';

  constructor(stack: Stack, options: SubjectOptions) {
    this.#stack = stack;
    this.#options = options;
  }

  get #address(): string {
    return this.#options.family === 4 ? SUBJECT4 : SUBJECT6;
  }

  listen(port: number): void {
    const { receiveBuffer } = this.#options;
    this.#listener = this.#stack.transports.listen(
      { local: { address: this.#address, port }, ...(receiveBuffer === undefined ? {} : { receiveBuffer }) },
      (endpoint) => this.#begin(endpoint),
    );
  }

  connect(localPort: number, remotePort: number): void {
    const { family, receiveBuffer } = this.#options;
    const endpoint = this.#stack.transports.connect(
      {
        remote: { address: family === 4 ? PEER4 : PEER6, port: remotePort },
        local: { address: this.#address, port: localPort },
        ...(receiveBuffer === undefined ? {} : { receiveBuffer }),
      },
      this,
    );
    this.#begin(endpoint);
  }

  #begin(endpoint: TcpEndpoint): void {
    // As with the kernel, whoever comes second waits in the queue.
    if (this.endpoint !== null) return;
    this.endpoint = endpoint;
    endpoint.setNoDelay(true);
    endpoint.handler = this;
    if (this.#toWrite > 0) this.write(0);
  }

  connected(): void {}

  data(bytes: Uint8Array, at: number, length: number): number {
    if (this.#isHeld) return 0;
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== peerByte(this.#read + i)) this.#wrong = ' WRONG';
    }
    this.#read += length;
    return length;
  }

  dataDone(): void {}

  end(): void {
    if (this.#end === '') this.#end = ' end';
  }

  closed(error: TransportErrorCode | null): void {
    this.isOver = true;
    if (this.#end === '') this.#end = error === null ? ' end' : ` ${error}`;
  }

  write(bytes: number): void {
    if (this.#isClosed) return;
    this.#toWrite += bytes;
    if (this.endpoint === null) return;
    const text = Uint8Array.from({ length: this.#toWrite }, (_, i) => ourByte(this.#written + i));
    this.#written += text.length;
    this.#toWrite = 0;
    this.endpoint.write(text, null);
  }

  shutdown(): void {
    if (!this.#isClosed) this.endpoint?.shutdown();
  }

  close(): void {
    if (this.endpoint === null || this.#isClosed) return;
    this.#isClosed = true;
    if (this.#end === '') this.#end = ' closed';
    this.endpoint.close();
  }

  abort(): void {
    if (this.endpoint === null || this.#isClosed) return;
    this.#isClosed = true;
    if (this.#end === '') this.#end = ' closed';
    this.endpoint.abort();
  }

  holdReading(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (!isHeld) this.endpoint?.resume();
  }

  seen(): string {
    return `read ${this.#read}${this.#isHeld && this.#end !== ' closed' ? '' : this.#end}${this.#wrong}`;
  }

  state(): string {
    if (this.endpoint === null) return '-';
    const { state, location } = this.endpoint.info();
    return location === 'host' && this.#end !== ' closed' ? state : '?';
  }

  unlisten(): void {
    this.#listener?.close();
    this.#listener = null;
  }

  abandon(): void {
    this.unlisten();
    this.endpoint?.abort();
  }
}
