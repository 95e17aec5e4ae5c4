/** Two stacks with a real Unix socket between them, framed as QEMU frames it. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { socketLink } from '../../src/link/node/socket-link.ts';
import { SystemRuntime } from '../../src/runtime.ts';
import { createStack } from '../../src/stack.ts';

test('a connection over a Unix socket: a megabyte there and back, and the end of the socket is a link that went down', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'chimney-socket-'));
  const path = join(folder, 'wire');
  const listener = createServer().listen(path);
  await once(listener, 'listening');
  const near = createConnection(path);
  const [far] = (await once(listener, 'connection')) as [Socket];
  const runtime = new SystemRuntime();
  const why: string[] = [];
  const a = createStack({ runtime, links: [{ link: socketLink(near, { runtime }), addresses: ['10.0.0.1/24'] }] });
  const onClosed = (text: string): unknown => why.push(text);
  const b = createStack({
    runtime,
    links: [{ link: socketLink(far, { runtime, onClosed }), addresses: ['10.0.0.2/24'] }],
  });
  try {
    a.transports.listen({ local: { address: '10.0.0.1', port: 7 } }, (endpoint) => {
      endpoint.handler = {
        connected() {},
        data(bytes, at, length) {
          endpoint.write(bytes.slice(at, at + length), null);
          return length;
        },
        dataDone() {},
        end: () => endpoint.shutdown(),
        closed() {},
      };
    });
    const sent = new Uint8Array(1 << 20).map((_, i) => (i * 31) >> 3);
    const got: number[] = [];
    await new Promise<void>((resolve, reject) => {
      const endpoint = b.transports.connect(
        { remote: { address: '10.0.0.1', port: 7 } },
        {
          connected() {
            endpoint.write(sent, null);
            endpoint.shutdown();
          },
          data(bytes, at, length) {
            for (let i = 0; i < length; i++) got.push(bytes[at + i]!);
            return length;
          },
          dataDone() {},
          end() {},
          closed: (error) => (error === null ? resolve() : reject(new Error(error))),
        },
      );
    });
    expect(Buffer.from(got).equals(sent)).toBe(true);
    near.destroy();
    // Either it is seen to be closed, or a frame on its way meets the broken pipe first.
    await vi.waitFor(() => expect(why.length).toBe(1));
    expect(why[0]).toMatch(/the socket was closed|EPIPE|ECONNRESET/);
    expect(b.counters()).toBeDefined();
  } finally {
    listener.close();
    await Promise.all([a.close(), b.close()]);
    runtime.close();
    rmSync(folder, { recursive: true });
  }
});
