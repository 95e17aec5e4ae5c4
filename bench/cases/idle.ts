/**
 * Memory of idle established connections: `idle.js COUNT`. Run with --expose-gc. Both ends live in this process, so a
 * connection counts twice; the figure is for one end, everything of it included (record, view, table, endpoint, path, port).
 */
import { createStack, memoryLinkPair, SystemRuntime, type TcpEndpoint, type TcpHandler } from 'chimney';
import { report } from '../measure.ts';

const count = Number(process.argv[2] ?? 100_000);
const runtime = new SystemRuntime();
const wire = memoryLinkPair({ runtime, mtu: 1500, medium: 'ip', queueBytes: 64 << 20 });
const limits = { connections: 4_000_000, halfOpen: 1 << 20 };
const server = createStack({ runtime, tcp: { limits }, links: [{ link: wire.a, addresses: ['10.0.0.1/8'] }] });
// One client address reaches 28,000 ports of one server port; several server ports make up the rest.
const client = createStack({ runtime, tcp: { limits }, links: [{ link: wire.b, addresses: ['10.0.0.2/8'] }] });
const quiet: TcpHandler = { connected() {}, data: (_b, _a, n) => n, dataDone() {}, end() {}, closed() {} };

const gc = (globalThis as { gc?: () => void }).gc;
if (gc === undefined) throw new Error('run with --expose-gc');
const PER_PORT = 20_000;
const ports = Math.ceil(count / PER_PORT);
let accepted = 0;
for (let i = 0; i < ports; i++) {
  server.transports.listen({ local: { address: '10.0.0.1', port: 1000 + i }, backlog: 65535 }, (endpoint) => {
    endpoint.handler = quiet;
    accepted++;
  });
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    gc();
  }
};
const used = (): number => {
  const m = process.memoryUsage();
  return m.heapUsed + m.external; // array buffers are part of external
};
await settle();
const before = used();
const rssBefore = process.memoryUsage().rss;
const start = performance.now();
let connected = 0;
const counting: TcpHandler = { ...quiet, connected: () => connected++ };
const kept: TcpEndpoint[] = [];
for (let i = 0; i < count; i++) {
  kept.push(
    client.transports.connect({ remote: { address: '10.0.0.1', port: 1000 + Math.floor(i / PER_PORT) } }, counting),
  );
  if (i % 1000 === 999) await new Promise((resolve) => setImmediate(resolve));
}
while (connected < count || accepted < count) {
  await new Promise((resolve) => setTimeout(resolve, 10));
  if (performance.now() - start > 120_000) throw new Error(`only ${connected} connected, ${accepted} accepted`);
}
const seconds = (performance.now() - start) / 1000;
await settle();
const bytes = (used() - before) / (2 * count);
report([
  { name: 'memory per idle connection', value: bytes, unit: 'B' },
  { name: 'resident set per idle connection', value: (process.memoryUsage().rss - rssBefore) / (2 * count), unit: 'B' },
  { name: 'connections opened a second', value: count / seconds, unit: '1/s' },
]);
process.exit(kept.length === count ? 0 : 1);
