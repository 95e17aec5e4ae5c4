/**
 * Memory of idle established connections: `idle.js COUNT [target]`. Run with --expose-gc. Both ends live in this process, so a
 * connection counts twice; the figure is for one end, everything of it included (record, view, table, endpoint, path, port).
 * 'target': then every end is offloaded to the engine target of its stack, and measured again.
 */
import { createStack, memoryLinkPair, SystemRuntime, type TcpEndpoint, type TcpHandler } from 'chimney';
import { type Figure, report } from '../measure.ts';

const count = Number(process.argv[2] ?? 100_000);
const isOffloaded = process.argv[3] === 'target';
const runtime = new SystemRuntime();
const wire = memoryLinkPair({ runtime, mtu: 1500, medium: 'ip', queueBytes: 64 << 20 });
const limits = { connections: 4_000_000, halfOpen: 1 << 20 };
const target = { kind: 'engine', capacity: { tcpEntries: count } } as const;
const server = createStack({ runtime, tcp: { limits }, links: [{ link: wire.a, addresses: ['10.0.0.1/8'], target }] });
// One client address reaches 28,000 ports of one server port; several server ports make up the rest.
const client = createStack({ runtime, tcp: { limits }, links: [{ link: wire.b, addresses: ['10.0.0.2/8'], target }] });
const ends: TcpEndpoint[] = [];
const quiet: TcpHandler = { connected() {}, data: (_b, _a, n) => n, dataDone() {}, end() {}, closed() {} };

const gc = (globalThis as { gc?: () => void }).gc;
if (gc === undefined) throw new Error('run with --expose-gc');
const PER_PORT = 20_000;
const AHEAD_MAX = 10_000;
const OPENING_MS_MAX = 600_000;
const ports = Math.ceil(count / PER_PORT);
let accepted = 0;
for (let i = 0; i < ports; i++) {
  server.transports.listen({ local: { address: '10.0.0.1', port: 1000 + i }, backlog: 65535 }, (endpoint) => {
    endpoint.handler = quiet;
    ends.push(endpoint);
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
for (let i = 0; i < count; i++) {
  ends.push(
    client.transports.connect({ remote: { address: '10.0.0.1', port: 1000 + Math.floor(i / PER_PORT) } }, counting),
  );
  if (i % 1000 === 999) await new Promise((resolve) => setImmediate(resolve));
  // Not more at once than are soon accepted: what would be lost is sent again a second later.
  while (i - accepted > AHEAD_MAX && performance.now() - start < OPENING_MS_MAX) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
while (connected < count || accepted < count) {
  await new Promise((resolve) => setTimeout(resolve, 10));
  if (performance.now() - start > OPENING_MS_MAX) throw new Error(`only ${connected} connected, ${accepted} accepted`);
}
const seconds = (performance.now() - start) / 1000;
await settle();
const figures: Figure[] = [];
const measure = (what: string): void => {
  const rss = process.memoryUsage().rss - rssBefore;
  figures.push({ name: `memory per idle connection${what}`, value: (used() - before) / (2 * count), unit: 'B' });
  figures.push({ name: `resident set per idle connection${what}`, value: rss / (2 * count), unit: 'B' });
};
measure('');
figures.push({ name: 'connections opened a second', value: count / seconds, unit: '1/s' });
if (isOffloaded) {
  const begun = performance.now();
  // Some thousands at a time: what asks for a move, and waits for it, is not what is measured.
  for (let i = 0; i < ends.length; i += 5000) {
    await Promise.all(ends.slice(i, i + 5000).map(({ chimney }) => chimney.offload()));
  }
  figures.push({
    name: 'connections offloaded a second',
    value: (2000 * count) / (performance.now() - begun),
    unit: '1/s',
  });
  await settle();
  measure(', offloaded');
}
report(figures);
process.exit(ends.length === 2 * count ? 0 : 1);
