/**
 * Freeze of a move, in one process, with data flowing both ways: `freeze.js MOVES`. From the moment the host stops serving the
 * connection until somebody serves it again, as each move reports it.
 */
import { createStack, memoryLinkPair, SystemRuntime, type TcpEndpoint, type TcpHandler } from 'chimney';
import { quantile, report } from '../measure.ts';

const moves = Number(process.argv[2] ?? 2000);
const runtime = new SystemRuntime();
const wire = memoryLinkPair({ runtime, mtu: 1500, impairment: { delayUs: 100 } });
const server = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
const client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
const chunk = new Uint8Array(16384);

/** Sends without end and takes everything. */
class Busy implements TcpHandler {
  endpoint!: TcpEndpoint;
  received = 0;
  #outstanding = 0;
  readonly #onDone = (error: unknown): void => {
    this.#outstanding -= chunk.length;
    if (error === null) this.connected();
  };
  connected(): void {
    while (this.#outstanding < 262_144) {
      this.#outstanding += chunk.length;
      this.endpoint.write(chunk, this.#onDone);
    }
  }
  data(_bytes: Uint8Array, _at: number, length: number): number {
    this.received += length;
    return length;
  }
  dataDone(): void {}
  end(): void {}
  closed(): void {}
}

const near = new Busy();
const far = new Busy();
await new Promise<void>((resolve) => {
  server.transports.listen({ local: { address: '10.0.0.1', port: 80 } }, (endpoint) => {
    near.endpoint = endpoint;
    endpoint.handler = near;
    near.connected();
    resolve();
  });
  far.endpoint = client.transports.connect({ remote: { address: '10.0.0.1', port: 80 } }, far);
});
const down: number[] = [];
const up: number[] = [];
for (let i = 0; i < moves; i++) {
  const isDown = i % 2 === 0;
  const move = await (isDown ? near.endpoint.chimney.offload() : near.endpoint.chimney.takeBack());
  if (i >= 200) (isDown ? down : up).push(move.freezeUs);
  await new Promise((resolve) => setTimeout(resolve, 1));
}
/** How often the machine itself stands still: a loop that only reads the clock, and the share of windows of 100 us it loses. */
function stolenWindows(): number {
  const end = performance.now() + 2000;
  let last = performance.now();
  let lost = 0;
  while (last < end) {
    const now = performance.now();
    if (now - last > 1) lost += (now - last) * 10;
    last = now;
  }
  return (lost / 20_000) * 100;
}

report([
  { name: 'freeze down p50', value: quantile(down, 0.5), unit: 'us' },
  { name: 'freeze down p99', value: quantile(down, 0.99), unit: 'us' },
  { name: 'freeze down max', value: Math.max(...down), unit: 'us' },
  { name: 'freeze up p50', value: quantile(up, 0.5), unit: 'us' },
  { name: 'freeze up p99', value: quantile(up, 0.99), unit: 'us' },
  { name: 'freeze up max', value: Math.max(...up), unit: 'us' },
  { name: 'control: time the machine steals in pauses over 1 ms', value: stolenWindows(), unit: '%' },
  { name: 'bytes moved meanwhile', value: near.received + far.received, unit: 'B' },
]);
process.exit(0);
