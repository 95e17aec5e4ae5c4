/**
 * Failover: `failover.js CONNECTIONS KIB`. A server has two links at a switch behind a team and sends to a client over many connections,
 * all offloaded; in full flow the link in use is cut. Reported: whether every stream arrived whole, how long the chimney's change-over
 * took, and for each connection how long after the cut its next byte came. What was on the dead wire has to be sent again, so that
 * most of that time is TCP's retransmission timer (RFC 6298: 200 ms and more).
 */
import { createHash, type Hash } from 'node:crypto';
import {
  createStack,
  memorySwitch,
  SystemRuntime,
  type TcpEndpoint,
  type TcpHandler,
  Team,
  type TeamChange,
} from 'chimney';
import { quantile, report } from '../measure.ts';

const count = Number(process.argv[2] ?? 500);
const bytes = Number(process.argv[3] ?? 1024) * 1024;
const runtime = new SystemRuntime();
const content = new Uint8Array(bytes);
for (let i = 0; i < bytes; i++) content[i] = (Math.imul(i, 2654435761) >>> 24) & 255;
const expected = createHash('sha256').update(content).digest('hex');

// A wire that one thread can fill with time to spare, and windows that fill it without overflowing its queue: what is measured is the
// change-over, not how long a full event loop takes to come round.
const wire = { runtime, mtu: 1500, impairment: { delayUs: 100, rateBps: 400_000_000 }, queueBytes: 32 << 20 };
const RECEIVE_BUFFER = 16_384;
const [one, two, three] = memorySwitch({ ...wire, ports: ['eth0', 'eth1', 'eth2'] });
let change: TeamChange | null = null;
const server = createStack({
  runtime,
  offloadsAgain: true,
  links: [
    {
      addresses: ['10.0.0.1/16'],
      team: {
        members: [{ link: one! }, { link: two! }],
        onChange: (told) => {
          change = told;
        },
      },
    },
  ],
});
const client = createStack({
  runtime,
  tcp: { receiveBuffer: RECEIVE_BUFFER },
  links: [{ link: three!, addresses: ['10.0.0.2/16'] }],
});

/** Sends the content, and no more. */
class Sender implements TcpHandler {
  connected(): void {}
  data(_bytes: Uint8Array, _at: number, length: number): number {
    return length;
  }
  dataDone(): void {}
  end(): void {}
  closed(): void {}
}

/** Takes it, and notes when bytes came after the cut. */
class Receiver implements TcpHandler {
  readonly hash: Hash = createHash('sha256');
  received = 0;
  receivedAtCut = 0;
  resumedUs = Number.NaN;
  error: unknown = null;
  isOver = false;
  connected(): void {}
  data(buffer: Uint8Array, at: number, length: number): number {
    this.hash.update(buffer.subarray(at, at + length));
    this.received += length;
    if (cutAtUs > 0 && Number.isNaN(this.resumedUs)) this.resumedUs = runtime.nowUs() - cutAtUs;
    return length;
  }
  dataDone(): void {}
  end(): void {
    this.isOver = true;
  }
  closed(error: unknown): void {
    this.error = error;
    this.isOver = true;
  }
}

const senders: TcpEndpoint[] = [];
const receivers: Receiver[] = [];
let cutAtUs = 0;
const ignore = (): void => {};

function offloadAll(): void {
  for (const endpoint of senders) {
    if (endpoint.chimney.location === 'host') endpoint.chimney.offload().catch(ignore);
  }
}

server.transports.listen({ local: { address: '10.0.0.1', port: 80 }, backlog: count }, (endpoint) => {
  endpoint.handler = new Sender();
  senders.push(endpoint);
});
for (let i = 0; i < count; i++) {
  const receiver = new Receiver();
  receivers.push(receiver);
  client.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, receiver);
}
const until = async (isTrue: () => boolean): Promise<void> => {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 1));
};
await until(() => senders.length === count);
offloadAll();
await until(() => senders.every((endpoint) => endpoint.chimney.location === 'target'));
const startedUs = runtime.nowUs();
for (const endpoint of senders) {
  for (let at = 0; at < bytes; at += 65_536) endpoint.write(content.subarray(at, Math.min(bytes, at + 65_536)), null);
  endpoint.shutdown();
}
const total = (): number => receivers.reduce((sum, receiver) => sum + receiver.received, 0);
await until(() => total() > (count * bytes) / 4);
const wasAtTarget = senders.filter((endpoint) => endpoint.chimney.location === 'target').length;
const unfinished = receivers.filter((receiver) => receiver.received < bytes);
cutAtUs = runtime.nowUs();
one!.setUp(false);
await until(() => receivers.every((receiver) => receiver.isOver));
const tookUs = runtime.nowUs() - startedUs;
const whole = receivers.filter((receiver) => receiver.hash.digest('hex') === expected).length;
const resumed = unfinished.map((receiver) => receiver.resumedUs / 1000);
report([
  { name: 'failover: connections', value: count, unit: '' },
  { name: 'failover: offloaded and in flow when the link was cut', value: wasAtTarget, unit: '' },
  { name: 'failover: streams with the right SHA-256', value: whole, unit: '' },
  { name: 'failover: connections that ended with an error', value: receivers.filter((r) => r.error).length, unit: '' },
  { name: 'failover: everything taken back, chimney of the other link', value: change!.chimneyUs / 1000, unit: 'ms' },
  { name: 'failover: from the cut to the next byte, p50', value: quantile(resumed, 0.5), unit: 'ms' },
  { name: 'failover: from the cut to the next byte, p99', value: quantile(resumed, 0.99), unit: 'ms' },
  { name: 'failover: goodput, the cut included', value: (count * bytes * 8) / tookUs / 1000, unit: 'Gbit/s' },
]);
process.exit(whole === count && server.driver(Team).chimney === 'eth1' ? 0 : 1);
