/**
 * Goodput of one bulk stream: `goodput.js VARIANT MIB MTU`, where VARIANT is 'host' (both ends on the host path), 'target' (both
 * ends offloaded to engine targets) or 'node' (Node's own TCP over loopback). Sender and receiver share one thread.
 */
import { createConnection, createServer } from 'node:net';
import { createStack, memoryLinkPair, SystemRuntime, type TcpHandler } from 'chimney';
import { report } from '../measure.ts';

const [variant = 'host', mib = '512', mtu = '65535'] = process.argv.slice(2);
const total = Number(mib) * 2 ** 20;
const CHUNK = 65536;
const chunk = new Uint8Array(CHUNK).fill(7);

async function overChimney(offloaded: boolean): Promise<number> {
  const runtime = new SystemRuntime();
  const wire = memoryLinkPair({ runtime, mtu: Number(mtu), medium: 'ip', queueBytes: 32 << 20 });
  const tcp = { receiveBuffer: 4 << 20 };
  const server = createStack({ runtime, tcp, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
  const client = createStack({ runtime, tcp, links: [{ link: wire.b, addresses: ['10.0.0.2/24'] }] });
  let received = 0;
  let done!: () => void;
  const finished = new Promise<void>((resolve) => {
    done = resolve;
  });
  const sink: TcpHandler = {
    connected() {},
    data(_bytes, _at, length) {
      received += length;
      if (received >= total) done();
      return length;
    },
    dataDone() {},
    end() {},
    closed() {},
  };
  const accepted = new Promise<import('chimney').TcpEndpoint>((resolve) => {
    server.transports.listen({ local: { address: '10.0.0.1', port: 80 } }, (endpoint) => {
      endpoint.handler = sink;
      resolve(endpoint);
    });
  });
  let sent = 0;
  let outstanding = 0;
  const pour = (): void => {
    while (sent < total && outstanding < 4 << 20) {
      sent += CHUNK;
      outstanding += CHUNK;
      source.write(chunk, onDone);
    }
  };
  const onDone = (): void => {
    outstanding -= CHUNK;
    pour();
  };
  let isReady!: () => void;
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  const source = client.transports.connect(
    { remote: { address: '10.0.0.1', port: 80 } },
    { connected: () => isReady(), data: (_b, _a, n) => n, dataDone() {}, end() {}, closed() {} },
  );
  await ready;
  const endpoint = await accepted;
  if (offloaded) await Promise.all([source.chimney.offload(), endpoint.chimney.offload()]);
  const start = performance.now();
  pour();
  await finished;
  const seconds = (performance.now() - start) / 1000;
  await Promise.all([client.close(), server.close()]);
  return seconds;
}

function overNode(): Promise<number> {
  return new Promise((resolve) => {
    let start = 0;
    let received = 0;
    const server = createServer((socket) => {
      socket.on('data', (data) => {
        received += data.length;
        if (received < total) return;
        resolve((performance.now() - start) / 1000);
        socket.destroy();
        server.close();
      });
    }).listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      const socket = createConnection(port, '127.0.0.1', () => {
        start = performance.now();
        let sent = 0;
        const pour = (): void => {
          while (sent < total) {
            sent += CHUNK;
            if (!socket.write(chunk)) break;
          }
        };
        socket.on('drain', pour);
        pour();
      });
      socket.on('error', () => {});
    });
  });
}

const seconds = variant === 'node' ? await overNode() : await overChimney(variant === 'target');
report([{ name: `goodput ${variant}`, value: (total * 8) / seconds / 1e9, unit: 'Gbit/s' }]);
process.exit(0);
