/**
 * A bulk move of idle connections through one tree: `bulk.js COUNT ROUNDS`. All go down, come back and go down again, each time
 * asked for in one turn, so that the host builds one initiate and one terminate of them all.
 *
 * Time of each move from the first request to the last completion, and how long each connection stood still (its freeze: from
 * the moment it left one engine until the other served it).
 */
import { createStack, type Move, memoryLinkPair, SystemRuntime, type TcpEndpoint, type TcpHandler } from 'chimney';
import { quantile, report } from '../measure.ts';

const count = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 3);
const runtime = new SystemRuntime();
const wire = memoryLinkPair({ runtime, mtu: 1500, medium: 'ip', queueBytes: 64 << 20 });
const limits = { connections: 4_000_000, halfOpen: 1 << 20 };
const server = createStack({
  runtime,
  tcp: { limits },
  links: [{ link: wire.a, addresses: ['10.0.0.1/8'], target: { kind: 'engine', capacity: { tcpEntries: count } } }],
});
// One client address reaches 28,000 ports of one server port; several server ports make up the rest.
const client = createStack({ runtime, tcp: { limits }, links: [{ link: wire.b, addresses: ['10.0.0.2/8'] }] });
const quiet: TcpHandler = { connected() {}, data: (_b, _a, n) => n, dataDone() {}, end() {}, closed() {} };

const PER_PORT = 20_000;
const ports = Math.ceil(count / PER_PORT);
const accepted: TcpEndpoint[] = [];
for (let i = 0; i < ports; i++) {
  server.transports.listen({ local: { address: '10.0.0.1', port: 1000 + i }, backlog: 65535 }, (endpoint) => {
    endpoint.handler = quiet;
    accepted.push(endpoint);
  });
}
let connected = 0;
const counting: TcpHandler = { ...quiet, connected: () => connected++ };
const start = performance.now();
for (let i = 0; i < count; i++) {
  client.transports.connect({ remote: { address: '10.0.0.1', port: 1000 + Math.floor(i / PER_PORT) } }, counting);
  if (i % 1000 === 999) await new Promise((resolve) => setImmediate(resolve));
}
while (connected < count || accepted.length < count) {
  await new Promise((resolve) => setTimeout(resolve, 10));
  if (performance.now() - start > 120_000) throw new Error(`only ${connected} connected, ${accepted.length} accepted`);
}

const times: Record<'initiate' | 'terminate', number[]> = { initiate: [], terminate: [] };
const freezes: Record<'initiate' | 'terminate', number[]> = { initiate: [], terminate: [] };

async function moveAll(kind: 'initiate' | 'terminate'): Promise<void> {
  const begunUs = performance.now();
  const asked = accepted.map(({ chimney }) => (kind === 'initiate' ? chimney.offload() : chimney.takeBack()));
  const moves: Move[] = await Promise.all(asked);
  times[kind].push(performance.now() - begunUs);
  freezes[kind] = moves.map((move) => move.freezeUs);
}

for (let round = 0; round < rounds; round++) {
  await moveAll('initiate');
  if (server.target(wire.a.name).control.held().tcpObjects !== count) throw new Error('not all went down');
  await moveAll('terminate');
  if (server.held().stateObjects !== 0) throw new Error('not all came back');
}
const name = `${count.toLocaleString('en-US')} connections`;
report([
  { name: `${name} down`, value: quantile(times.initiate, 0.5), unit: 'ms' },
  { name: `${name} back`, value: quantile(times.terminate, 0.5), unit: 'ms' },
  { name: 'down, per connection', value: (quantile(times.initiate, 0.5) * 1000) / count, unit: 'us' },
  { name: 'back, per connection', value: (quantile(times.terminate, 0.5) * 1000) / count, unit: 'us' },
  { name: 'freeze down p50', value: quantile(freezes.initiate, 0.5) / 1000, unit: 'ms' },
  { name: 'freeze down p99', value: quantile(freezes.initiate, 0.99) / 1000, unit: 'ms' },
  { name: 'freeze back p50', value: quantile(freezes.terminate, 0.5) / 1000, unit: 'ms' },
  { name: 'freeze back p99', value: quantile(freezes.terminate, 0.99) / 1000, unit: 'ms' },
]);
process.exit(0);
