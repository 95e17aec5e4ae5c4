/**
 * Measures what the host path allocates per segment, from write to handler and back: two host stacks, all layers real but the
 * wire and the runtime, which reuse everything. In a process of its own, with the flags of test/support/child.ts.
 */
import { SeededRandom } from '../../src/base/random.ts';
import { NEVER, type Runtime, type Timer } from '../../src/base/runtime.ts';
import type { TcpEndpoint, TcpHandler } from '../../src/host/api.ts';
import { HostStack } from '../../src/host/host-stack.ts';
import type { Link, LinkReceiver } from '../../src/link/link.ts';
import { NdisLibrary } from '../../src/ndis/ndis-library.ts';
import { PlainAdapter } from '../../src/target/plain/plain-adapter.ts';
import { Trace } from '../../src/trace/trace.ts';
import { leastOf } from '../support/least.ts';

const MTU = 1500;
const FRAMES = 4096;
const TASKS = 1024;
/** Tells time in steps of one microsecond a turn: enough for a clock that moves, and no heap number. */
let nowUs = 1_000_000;

class QuietTimer implements Timer {
  atUs: number = NEVER;
  readonly onDue: (nowUs: number) => void;
  constructor(onDue: (nowUs: number) => void) {
    this.onDue = onDue;
  }
  arm(atUs: number): void {
    this.atUs = atUs;
  }
  disarm(): void {
    this.atUs = NEVER;
  }
}

/** A runtime whose queue of tasks is a ring. */
class QuietRuntime implements Runtime {
  readonly random: SeededRandom = new SeededRandom(1);
  readonly #tasks: ((() => void) | null)[] = new Array<(() => void) | null>(TASKS).fill(null);
  readonly #timers: QuietTimer[] = [];
  #first = 0;
  #next = 0;

  nowUs(): number {
    return nowUs;
  }
  timer(onDue: (nowUs: number) => void): Timer {
    const timer = new QuietTimer(onDue);
    this.#timers.push(timer);
    return timer;
  }
  defer(task: () => void): void {
    if (this.#next - this.#first === TASKS) throw new Error('too many tasks');
    this.#tasks[this.#next++ % TASKS] = task;
  }
  urgent(task: () => void): void {
    this.defer(task);
  }
  /** One turn; false: there was nothing to do. */
  turn(): boolean {
    nowUs++;
    for (let i = 0; i < this.#timers.length; i++) {
      const timer = this.#timers[i]!;
      if (timer.atUs > nowUs) continue;
      timer.atUs = NEVER;
      timer.onDue(nowUs);
    }
    const end = this.#next;
    if (this.#first === end) return false;
    while (this.#first < end) this.#tasks[this.#first++ % TASKS]!();
    return true;
  }
}

/** One end of a wire whose frames lie in one ring of memory. */
class QuietLink implements Link {
  readonly medium = 'ip';
  readonly mtu: number = MTU;
  readonly name: string;
  readonly #runtime: Runtime;
  readonly #ring: Uint8Array = new Uint8Array(FRAMES * MTU);
  readonly #lengths: Int32Array = new Int32Array(FRAMES);
  #first = 0;
  #next = 0;
  #isDeferred = false;
  #receiver: LinkReceiver | null = null;
  peer: QuietLink | null = null;
  frames = 0;
  readonly #deliver = (): void => this.#deliverAll();

  constructor(runtime: Runtime, name: string) {
    this.#runtime = runtime;
    this.name = name;
  }
  start(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }
  transmit(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.#next - this.#first === FRAMES) throw new Error('the wire is full');
    const slot = this.#next++ % FRAMES;
    const to = slot * MTU;
    for (let i = 0; i < length; i++) this.#ring[to + i] = bytes[at + i]!;
    this.#lengths[slot] = length;
    this.frames++;
    if (!this.#isDeferred) {
      this.#isDeferred = true;
      this.#runtime.defer(this.#deliver);
    }
    return true;
  }
  close(): void {}

  #deliverAll(): void {
    this.#isDeferred = false;
    const receiver = this.peer!.#receiver!;
    const end = Math.min(this.#next, this.#first + 64);
    for (; this.#first < end; this.#first++) {
      const slot = this.#first % FRAMES;
      receiver.receive(this.#ring, slot * MTU, this.#lengths[slot]!);
    }
    receiver.receiveDone();
    if (this.#first < this.#next && !this.#isDeferred) {
      this.#isDeferred = true;
      this.#runtime.defer(this.#deliver);
    }
  }
}

const runtime = new QuietRuntime();
const linkA = new QuietLink(runtime, 'a');
const linkB = new QuietLink(runtime, 'b');
linkA.peer = linkB;
linkB.peer = linkA;

function host(link: QuietLink, address: string): HostStack {
  const trace = new Trace();
  const ndis = new NdisLibrary(runtime, trace);
  ndis.registerAdapter(new PlainAdapter({ link, runtime, trace }));
  const stack = new HostStack(runtime, trace, ndis);
  stack.attachInterface(link.name, { addresses: [address], duplicateAddressDetection: 'off' });
  return stack;
}

const a = host(linkA, '10.0.0.1/24');
const b = host(linkB, '10.0.0.2/24');

class Counter implements TcpHandler {
  received = 0;
  connected(): void {}
  data(_bytes: Uint8Array, _at: number, length: number): number {
    this.received += length;
    return length;
  }
  dataDone(): void {}
  end(): void {}
  closed(error: string | null): void {
    throw new Error(`closed: ${error}`);
  }
}

const atServer = new Counter();
const atClient = new Counter();
const ends: TcpEndpoint[] = [];
b.listen({ local: { address: '0.0.0.0', port: 80 } }, (endpoint) => {
  endpoint.handler = atServer;
  endpoint.setNoDelay(true);
  ends.push(endpoint);
});
ends.push(a.connect({ remote: { address: '10.0.0.2', port: 80 } }, atClient));
while (ends.length < 2) runtime.turn();
const client = ends[0]!;
const server = ends[1]!;
client.setNoDelay(true);

const small = new Uint8Array(48);
const large = new Uint8Array(65_536);
const WINDOW = 8;
let outstanding = 0;
const onWritten = (): void => {
  outstanding--;
};

/** Keeps eight writes of 64 KiB under way until `bytes` have arrived. */
function bulk(bytes: number): void {
  const until = atServer.received + bytes;
  while (atServer.received < until) {
    while (outstanding < WINDOW) {
      outstanding++;
      client.write(large, onWritten);
    }
    runtime.turn();
  }
  while (outstanding > 0) runtime.turn();
}

/** One small write there and one back, `count` times. */
function pingPong(count: number): void {
  for (let i = 0; i < count; i++) {
    const toServer = atServer.received + small.length;
    client.write(small, null);
    while (atServer.received < toServer) runtime.turn();
    const toClient = atClient.received + small.length;
    server.write(small, null);
    while (atClient.received < toClient) runtime.turn();
  }
}

const garbage: unknown[] = [null];

interface Result {
  readonly bytesPerSegment: number;
  readonly nsPerSegment: number;
  readonly segments: number;
}

function measure(run: () => void): Result {
  return leastOf(
    () => measureOnce(run),
    (result) => result.bytesPerSegment,
  );
}

function measureOnce(run: () => void): Result {
  run();
  run();
  gc!();
  const framesBefore = linkA.frames + linkB.frames;
  const before = process.memoryUsage().heapUsed;
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  const segments = linkA.frames + linkB.frames - framesBefore;
  return {
    bytesPerSegment: (process.memoryUsage().heapUsed - before) / segments,
    nsPerSegment: (1000 * (user + system)) / segments,
    segments,
  };
}

const results = {
  bulk: measure(() => bulk(64 << 20)),
  pingPong: measure(() => pingPong(20_000)),
  control: measure(() => {
    for (let i = 0; i < 10_000; i++) {
      garbage[0] = { i, small };
      pingPong(1);
      garbage[0] = [garbage[0], small, i];
    }
  }),
};
console.log(JSON.stringify(results));
