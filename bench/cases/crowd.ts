/**
 * Many connections at once, each with a request and an answer: `crowd.js COUNT`. All are open before the first request is sent.
 */
import { createStack, memoryLinkPair, SystemRuntime, type TcpEndpoint } from 'chimney';
import { report } from '../measure.ts';

const count = Number(process.argv[2] ?? 10_000);
const REQUEST = 64;
const ANSWER = 1024;
const runtime = new SystemRuntime();
const wire = memoryLinkPair({ runtime, mtu: 1500, medium: 'ip', queueBytes: 64 << 20 });
const server = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
const client = createStack({ runtime, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
const answer = new Uint8Array(ANSWER).fill(1);
const request = new Uint8Array(REQUEST).fill(2);
server.transports.listen({ local: { address: '10.0.0.1', port: 80 }, backlog: 65535 }, (endpoint) => {
  let got = 0;
  endpoint.handler = {
    connected() {},
    data(_b, _a, length) {
      got += length;
      if (got === REQUEST) endpoint.write(answer, null);
      return length;
    },
    dataDone() {},
    end: () => endpoint.shutdown(),
    closed() {},
  };
});
let connected = 0;
let answered = 0;
let closed = 0;
let failed = 0;
const endpoints: TcpEndpoint[] = [];
const until = async (isSo: () => boolean, what: string): Promise<void> => {
  const start = performance.now();
  while (!isSo()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (performance.now() - start > 120_000) throw new Error(`${what}: ${connected} ${answered} ${closed} ${failed}`);
  }
};
const start = performance.now();
for (let i = 0; i < count; i++) {
  let got = 0;
  const endpoint = client.transports.connect(
    { remote: { address: '10.0.0.1', port: 80 } },
    {
      connected: () => connected++,
      data(_b, _a, length) {
        got += length;
        if (got === ANSWER) {
          answered++;
          endpoint.shutdown();
        }
        return length;
      },
      dataDone() {},
      end() {},
      closed: (error) => {
        if (error === null) closed++;
        else failed++;
      },
    },
  );
  endpoints.push(endpoint);
}
await until(() => connected === count, 'opening');
const opened = performance.now();
for (const endpoint of endpoints) endpoint.write(request, null);
await until(() => answered === count, 'answering');
const done = performance.now();
report([
  { name: 'connections open at once', value: count, unit: '' },
  { name: 'connections opened a second', value: (count * 1000) / (opened - start), unit: '1/s' },
  { name: 'requests answered a second', value: (count * 1000) / (done - opened), unit: '1/s' },
  { name: 'connections that failed', value: failed, unit: '' },
]);
process.exit(failed === 0 ? 0 : 1);
